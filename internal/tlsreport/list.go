package tlsreport

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// Results are the sessions we saw on the UTC day of t; domain "" means all
// recipient domains.
func (s *Service) Results(ctx context.Context, t time.Time, domain string) ([]tlsresult.Row, error) {
	var rows []tlsresult.Row
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		var err error
		rows, err = tlsresult.Rows(tx, tlsresult.Day(t), tlsresult.Filter{Domain: domain, Max: maxRows})
		return err
	})
	return rows, err
}

// Filter chooses what Reports and Sent list. A zero field chooses all.
type Filter struct {
	Domain string    // policy domain
	Since  time.Time // received or made then or later
	Limit  int       // 0: 1,000
}

func (f Filter) limit() int {
	if f.Limit <= 0 {
		return 1000
	}
	return f.Limit
}

// Received is a report that somebody sent us, one policy domain of it.
type Received struct {
	ID           delivery.ID `json:"id"`
	Source       string      `json:"source"`    // mail or https
	Submitter    string      `json:"submitter"` // DKIM domain that authenticated it
	ReportID     string      `json:"report_id"`
	PolicyDomain string      `json:"policy_domain"`
	Organization string      `json:"organization_name"`
	Begin        time.Time   `json:"start_datetime"`
	End          time.Time   `json:"end_datetime"`
	At           time.Time   `json:"received"`
	OK           int64       `json:"ok"`
	Failed       int64       `json:"failed"`
}

// Reports lists what others reported about us, newest first.
func (s *Service) Reports(ctx context.Context, f Filter) ([]Received, error) {
	var out []Received
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT id, source, submitter, report_id, policy_domain, organization, first, last, received, ok, failed
			FROM tls_received WHERE received >= ? AND (? = '' OR policy_domain = ?) ORDER BY received DESC, id DESC LIMIT ?`,
			store.Time(f.Since), f.Domain, f.Domain, f.limit())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r Received
			var first, last, at int64
			if err := rows.Scan(&r.ID, &r.Source, &r.Submitter, &r.ReportID, &r.PolicyDomain, &r.Organization,
				&first, &last, &at, &r.OK, &r.Failed); err != nil {
				return err
			}
			r.Begin, r.End, r.At = store.FromTime(first), store.FromTime(last), store.FromTime(at)
			out = append(out, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list received TLS reports: %w", err)
	}
	return out, nil
}

// Sent is a report of ours.
type Sent struct {
	ID           delivery.ID `json:"id"`
	Day          string      `json:"day"`
	PolicyDomain string      `json:"policy_domain"`
	Host         bool        `json:"mx_host"`
	ReportID     string      `json:"report_id"`
	Created      time.Time   `json:"created"`
	OK           int64       `json:"ok"`
	Failed       int64       `json:"failed"`
	Partial      bool        `json:"partial"`
	State        string      `json:"state"` // sending, delivered, failed
	Deliveries   []Delivery  `json:"deliveries"`
}

// Delivery is what became of a report at one address.
type Delivery struct {
	URI   string    `json:"uri"`
	State string    `json:"state"` // queued, waiting, accepted, failed
	Tries int       `json:"tries"`
	At    time.Time `json:"changed"`
	Note  string    `json:"note,omitempty"`
}

// Sent lists our reports, newest first, with their deliveries.
func (s *Service) Sent(ctx context.Context, f Filter) ([]Sent, error) {
	var out []Sent
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT r.id, r.day, r.kind, r.policy_domain, r.report_id, r.created, r.ok, r.failed, r.partial, r.state,
				coalesce(d.uri, ''), coalesce(d.state, ''), coalesce(d.tries, 0), coalesce(d.changed, 0), coalesce(d.note, '')
			FROM (SELECT * FROM tls_reports WHERE created >= ? AND (? = '' OR policy_domain = ?)
				ORDER BY created DESC, id DESC LIMIT ?) AS r
			LEFT JOIN tls_deliveries AS d ON d.report = r.id ORDER BY r.created DESC, r.id DESC, d.id`,
			store.Time(f.Since), f.Domain, f.Domain, f.limit())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if out, err = addSent(out, rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list sent TLS reports: %w", err)
	}
	return out, nil
}

// addSent adds one row of Sent's query: a report's first row begins an entry.
func addSent(out []Sent, rows *sql.Rows) ([]Sent, error) {
	var r Sent
	var d Delivery
	var day, kind, created, partial, changed int64
	err := rows.Scan(&r.ID, &day, &kind, &r.PolicyDomain, &r.ReportID, &created, &r.OK, &r.Failed, &partial, &r.State,
		&d.URI, &d.State, &d.Tries, &changed, &d.Note)
	if err != nil {
		return nil, err
	}
	if n := len(out); n == 0 || out[n-1].ID != r.ID {
		r.Day = tlsresult.Start(day).Format(time.DateOnly)
		r.Host, r.Partial, r.Created = kind == int64(mxHost), partial != 0, store.FromTime(created)
		out = append(out, r)
	}
	if d.URI != "" {
		d.At = store.FromTime(changed)
		last := &out[len(out)-1]
		last.Deliveries = append(last.Deliveries, d)
	}
	return out, nil
}

// ErrNoReport is returned by Show for an id that is not stored.
var ErrNoReport = errors.New("no such TLS report; see the ids of `waxwing tlsrpt reports`")

// Show returns a report, received or sent, by its id: as data (Report.Text for
// people) and as JSON, a sent one exactly as it went out.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*tlsrpt.Report, []byte, error) {
	var gz []byte
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT json FROM tls_received WHERE id = ? UNION ALL SELECT json FROM tls_reports WHERE id = ?`, int64(id), int64(id)).Scan(&gz)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoReport
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	r, err := tlsrpt.Parse(bytes.NewReader(gz), stored())
	if err != nil {
		return nil, nil, fmt.Errorf("stored report %s: %w", id, err)
	}
	j, err := r.JSON()
	return r, j, err
}

// stored are the limits for what this server stored itself.
func stored() tlsrpt.Limits {
	return tlsrpt.Limits{Input: 64 << 20, Size: 256 << 20, Policies: 100_000, Details: 10_000_000, Own: true}
}

// Outcome is what came of one policy domain on one day: reported or why not.
type Outcome struct {
	Day          string    `json:"day"`
	PolicyDomain string    `json:"policy_domain"`
	Host         bool      `json:"mx_host"`
	State        string    `json:"state"` // open, reported, none (no record), invalid, expired, skipped
	Note         string    `json:"note,omitempty"`
	RUA          []string  `json:"rua,omitempty"`
	Due          time.Time `json:"due,omitzero"` // of an open one
	Tries        int       `json:"tries"`
}

// Outcomes lists what came of the policy domains of a UTC day that is over; they
// are kept for a week. Domain "" means all.
func (s *Service) Outcomes(ctx context.Context, t time.Time, domain string) ([]Outcome, error) {
	var out []Outcome
	day := tlsresult.Day(t)
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT kind, name, state, note, rua, due, tries FROM tls_units WHERE day = ? AND (? = '' OR name = ?) ORDER BY name, kind`,
			day, domain, domain)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			o := Outcome{Day: tlsresult.Start(day).Format(time.DateOnly)}
			var kind, due int64
			var rua string
			if err := rows.Scan(&kind, &o.PolicyDomain, &o.State, &o.Note, &rua, &due, &o.Tries); err != nil {
				return err
			}
			o.Host, o.Due = kind == int64(mxHost), store.FromTime(due)
			if rua != "" {
				o.RUA = strings.Split(rua, "\n")
			}
			out = append(out, o)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list what came of the TLS reports: %w", err)
	}
	return out, nil
}
