package tlsreport

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/net/publicsuffix"

	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
)

// The defaults of what is stored of reports by mail on a UTC day, in rows, of
// which a report makes one for each of our domains that it is about.
const (
	defaultPerReporter = 100
	defaultPerDay      = 20_000
	// maxMailKept is the largest stored report by mail, packed; real ones have a
	// few KiB.
	maxMailKept = 1 << 20
)

// errFull: as many reports as are taken in a day are stored.
type errFull struct{ submitter, domain string }

func (e *errFull) Error() string {
	if e.submitter == "" {
		return "more TLS reports today than are taken (tlsrpt.max_received)"
	}
	return fmt.Sprintf("more TLS reports of %s about %s today than are taken (tlsrpt.max_received_per_reporter)", e.submitter, e.domain)
}

// admitMail counts one row that is to be stored. Whoever has a domain can sign
// reports with it (RPT-14 asks no more), and name any host below a domain of ours:
// so organisations are counted, and all together.
func (s *Service) admitMail(tx *store.Tx, submitter, domain string) error {
	day := tlsresult.Day(s.now())
	for _, c := range []struct {
		key   errFull
		limit int
	}{
		{errFull{registrable(submitter), registrable(domain)}, orDefault(s.PerReporter, defaultPerReporter)},
		{errFull{}, orDefault(s.PerDay, defaultPerDay)},
	} {
		n, err := tx.Exec(`INSERT INTO tls_intake (day, submitter, domain, stored, refused) VALUES (?, ?, ?, 1, 0)
			ON CONFLICT (day, submitter, domain) DO UPDATE SET stored = tls_intake.stored + 1 WHERE tls_intake.stored < ?`,
			day, c.key.submitter, c.key.domain, c.limit)
		if err != nil {
			return err
		}
		if n == 0 {
			return &c.key
		}
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
	err = s.write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE tls_intake SET refused = refused + 1 WHERE day = ? AND submitter = ? AND domain = ?`,
			tlsresult.Day(s.now()), f.submitter, f.domain)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("count a TLS report beyond the day's cap: %w", err)
	}
	s.count("in", "over-cap")
	s.log().Warn("TLS report not stored", "reason", f.Error())
	return f.Error(), nil
}

// Refused is how many reports by mail were beyond a cap on a UTC day.
type Refused struct {
	Day       string `json:"day"`
	Submitter string `json:"submitter,omitempty"` // organisation that signed; "" with Domain "": beyond the cap of all
	Domain    string `json:"domain,omitempty"`    // organisation of the policy domain
	Stored    int64  `json:"stored"`
	Refused   int64  `json:"refused"`
}

// RefusedReports lists the caps that were reached in the last week, newest first.
func (s *Service) RefusedReports(ctx context.Context) ([]Refused, error) {
	var out []Refused
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT day, submitter, domain, stored, refused FROM tls_intake WHERE refused > 0 ORDER BY day DESC, refused DESC, submitter, domain LIMIT 1000`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r Refused
			var day int64
			if err := rows.Scan(&day, &r.Submitter, &r.Domain, &r.Stored, &r.Refused); err != nil {
				return err
			}
			r.Day = dayText(day)
			out = append(out, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list the TLS reports beyond the day's caps: %w", err)
	}
	return out, nil
}

// registrable is the organisation of a host name; without one, the name itself.
func registrable(host string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return org
	}
	return host
}

func orDefault(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}

// count tells the metrics of a report that came or went.
func (s *Service) count(direction, result string) {
	if s.Count != nil {
		s.Count(direction, result)
	}
}
