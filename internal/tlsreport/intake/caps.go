package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
)

// The defaults of what is stored of reports by mail on a UTC day: rows, of which
// a report makes one for each of our domains that it is about, and their octets,
// packed.
const (
	defaultPerReporter = 100
	defaultPerDay      = 20_000
	defaultOctets      = 64 << 20
	// reporterShare: one organisation may fill 1/reporterShare of a day's octets.
	reporterShare = 8
	// maxMailKept is the largest stored report by mail, packed; real ones have a
	// few KiB.
	maxMailKept = 1 << 20
)

// intakeKey names a day's counter: of what one organisation has signed about the
// domains of one of ours, with domain "" of all that it has signed, and with both
// "" of everything.
type intakeKey struct{ submitter, domain string }

// intake is what is to be added to a counter.
type intake struct {
	intakeKey
	rows, octets int64
}

// newRow is the part of a report that is stored for one of our domains.
type newRow struct {
	domain string
	octets int64
}

// errFull: as many reports as are taken in a day are stored, or as many octets.
type errFull struct {
	intakeKey
	octets bool
}

func (e *errFull) Error() string {
	switch {
	case e.octets && e.submitter == "":
		return "more octets of TLS reports today than are taken (tlsrpt.max_received_size)"
	case e.octets:
		return fmt.Sprintf("more octets of TLS reports of %s today than are taken (1/%d of tlsrpt.max_received_size)", e.submitter, reporterShare)
	case e.submitter == "":
		return "more TLS reports today than are taken (tlsrpt.max_received)"
	}
	return fmt.Sprintf("more TLS reports of %s about %s today than are taken (tlsrpt.max_received_per_reporter)", e.submitter, e.domain)
}

// intakes are the counters to which the rows of a report add, in the one order in
// which all transactions lock them: of two that take them in different orders,
// PostgreSQL undoes one. That of everything is last, since everybody waits for it.
func intakes(submitter string, rows []newRow) []intake {
	sums, from := map[intakeKey]intake{}, outbox.Organization(submitter)
	for _, r := range rows {
		for _, k := range []intakeKey{{from, outbox.Organization(r.domain)}, {from, ""}, {}} {
			old := sums[k]
			sums[k] = intake{k, old.rows + 1, old.octets + r.octets}
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b intake) int {
		return -cmp.Or(cmp.Compare(a.submitter, b.submitter), cmp.Compare(a.domain, b.domain))
	})
}

// intakeLimits are the most rows and octets of a counter.
func (s *Service) intakeLimits(k intakeKey) (rows, octets int64) {
	all := cmp.Or(s.OctetsPerDay, defaultOctets)
	switch {
	case k.submitter == "":
		return int64(cmp.Or(s.PerDay, defaultPerDay)), all
	case k.domain == "":
		return math.MaxInt64, all / reporterShare
	}
	return int64(cmp.Or(s.PerReporter, defaultPerReporter)), math.MaxInt64
}

// admitMail counts rows that are to be stored. Whoever has a domain can sign
// reports with it (RPT-14 asks no more), and name any host below a domain of ours:
// so organisations are counted, and all together.
func (s *Service) admitMail(tx *store.Tx, submitter string, rows []newRow) error {
	day := tlsresult.Day(s.Now())
	for _, c := range intakes(submitter, rows) {
		most, octets := s.intakeLimits(c.intakeKey)
		if c.rows > most || c.octets > octets {
			return &errFull{c.intakeKey, c.rows <= most}
		}
		n, err := tx.Exec(`INSERT INTO tls_intake (day, submitter, domain, stored, refused, octets) VALUES (?, ?, ?, ?, 0, ?)
			ON CONFLICT (day, submitter, domain) DO UPDATE SET stored = tls_intake.stored + excluded.stored, octets = tls_intake.octets + excluded.octets
			WHERE tls_intake.stored <= ? AND tls_intake.octets <= ?`,
			day, c.submitter, c.domain, c.rows, c.octets, most-c.rows, octets-c.octets)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		var stored int64
		if err := tx.Row(`SELECT stored FROM tls_intake WHERE day = ? AND submitter = ? AND domain = ?`, day, c.submitter, c.domain).Scan(&stored); err != nil {
			return err
		}
		return &errFull{c.intakeKey, stored <= most-c.rows}
	}
	return nil
}

// full notes that a report was beyond a cap; other errors it leaves alone. The
// reason is for the mail, which goes on as an ordinary one: nothing is lost.
func (s *Service) full(ctx context.Context, cause error) (reason string, err error) {
	var f *errFull
	if !errors.As(cause, &f) {
		return "", cause
	}
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		// There is no row yet where the day's first report is beyond a cap by itself.
		_, err := tx.Exec(`INSERT INTO tls_intake (day, submitter, domain, stored, refused, octets) VALUES (?, ?, ?, 0, 1, 0)
			ON CONFLICT (day, submitter, domain) DO UPDATE SET refused = tls_intake.refused + 1`,
			tlsresult.Day(s.Now()), f.submitter, f.domain)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("count a TLS report beyond the day's cap: %w", err)
	}
	s.count("over-cap")
	s.Log.Warn("TLS report not stored", "reason", f.Error())
	return f.Error(), nil
}

// Refused is how many reports by mail were beyond a cap on a UTC day.
type Refused struct {
	Day       string `json:"day"`
	Submitter string `json:"submitter,omitempty"` // organisation that signed; "" with Domain "": beyond the cap of all
	Domain    string `json:"domain,omitempty"`    // organisation of the policy domain; "": beyond the octets of Submitter
	Stored    int64  `json:"stored"`
	Octets    int64  `json:"octets"` // of those stored, packed
	Refused   int64  `json:"refused"`
}

// RefusedReports lists the caps that were reached in the last week, newest first.
func (s *Service) RefusedReports(ctx context.Context) ([]Refused, error) {
	out, err := store.List(ctx, s.Store, func(r store.Row) (x Refused, err error) {
		var day int64
		err = r.Scan(&day, &x.Submitter, &x.Domain, &x.Stored, &x.Octets, &x.Refused)
		x.Day = dayText(day)
		return x, err
	}, `SELECT day, submitter, domain, stored, octets, refused FROM tls_intake WHERE refused > 0 ORDER BY day DESC, refused DESC, submitter, domain LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("list the TLS reports beyond the day's caps: %w", err)
	}
	return out, nil
}
