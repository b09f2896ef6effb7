package reportbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

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
	Sort
	intakeKey
	octets bool
}

func (e *errFull) Error() string {
	switch {
	case e.octets && e.submitter == "":
		return fmt.Sprintf("more octets of %ss today than are taken (%s.max_received_size)", e.Name, e.Noun)
	case e.octets:
		return fmt.Sprintf("more octets of %ss of %s today than are taken (1/%d of %s.max_received_size)", e.Name, e.submitter, reporterShare, e.Noun)
	case e.submitter == "":
		return fmt.Sprintf("more %ss today than are taken (%s.max_received)", e.Name, e.Noun)
	}
	return fmt.Sprintf("more %ss of %s about %s today than are taken (%s.max_received_per_reporter)", e.Name, e.submitter, e.domain, e.Noun)
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
func (b *Box) intakeLimits(k intakeKey) (rows, octets int64) {
	all := cmp.Or(b.OctetsPerDay, defaultOctets)
	switch {
	case k.submitter == "":
		return int64(cmp.Or(b.PerDay, defaultPerDay)), all
	case k.domain == "":
		return math.MaxInt64, all / reporterShare
	}
	return int64(cmp.Or(b.PerReporter, defaultPerReporter)), math.MaxInt64
}

// admitMail counts rows that are to be stored. Whoever has a domain can sign
// reports with it (RPT-14 asks no more), and name any host below a domain of ours:
// so organisations are counted, and all together.
func (b *Box) admitMail(tx *store.Tx, submitter string, rows []newRow) error {
	day := tlsresult.Day(b.Now())
	for _, c := range intakes(submitter, rows) {
		most, octets := b.intakeLimits(c.intakeKey)
		if c.rows > most || c.octets > octets {
			return &errFull{b.Sort, c.intakeKey, c.rows <= most}
		}
		n, err := tx.Exec(`INSERT INTO `+b.intake()+` AS i (day, submitter, domain, stored, refused, octets) VALUES (?, ?, ?, ?, 0, ?)
			ON CONFLICT (day, submitter, domain) DO UPDATE SET stored = i.stored + excluded.stored, octets = i.octets + excluded.octets
			WHERE i.stored <= ? AND i.octets <= ?`,
			day, c.submitter, c.domain, c.rows, c.octets, most-c.rows, octets-c.octets)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		var stored int64
		if err := tx.Row(`SELECT stored FROM `+b.intake()+` WHERE day = ? AND submitter = ? AND domain = ?`, day, c.submitter, c.domain).Scan(&stored); err != nil {
			return err
		}
		return &errFull{b.Sort, c.intakeKey, stored <= most-c.rows}
	}
	return nil
}

// full notes that a report was beyond a cap; other errors it leaves alone. The
// reason is for the mail, which goes on as an ordinary one: nothing is lost.
func (b *Box) full(ctx context.Context, cause error) (reason string, err error) {
	var f *errFull
	if !errors.As(cause, &f) {
		return "", cause
	}
	err = b.Store.Write(ctx, func(tx *store.Tx) error {
		// There is no row yet where the day's first report is beyond a cap by itself.
		_, err := tx.Exec(`INSERT INTO `+b.intake()+` AS i (day, submitter, domain, stored, refused, octets) VALUES (?, ?, ?, 0, 1, 0)
			ON CONFLICT (day, submitter, domain) DO UPDATE SET refused = i.refused + 1`,
			tlsresult.Day(b.Now()), f.submitter, f.domain)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("count a %s beyond the day's cap: %w", b.Name, err)
	}
	b.Told("over-cap")
	b.Log.Warn(b.Name+" not stored", "error", f)
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
func (b *Box) RefusedReports(ctx context.Context) ([]Refused, error) {
	out, err := store.List(ctx, b.Store, func(r store.Row) (x Refused, err error) {
		var day int64
		err = r.Scan(&day, &x.Submitter, &x.Domain, &x.Stored, &x.Octets, &x.Refused)
		x.Day = tlsresult.Start(day).Format(time.DateOnly)
		return x, err
	}, `SELECT day, submitter, domain, stored, octets, refused FROM `+b.intake()+` WHERE refused > 0 ORDER BY day DESC, refused DESC, submitter, domain LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("list the %ss beyond the day's caps: %w", b.Name, err)
	}
	return out, nil
}
