package tlsreport

import (
	"context"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// Filter chooses reports; SendOptions say what SendDay does.
type (
	Filter      = outbox.Filter
	SendOptions = outbox.SendOptions
)

// Summary is what SendDay did.
type Summary struct {
	Day     string `json:"day"`
	DryRun  bool   `json:"dry_run"`
	Partial bool   `json:"partial"`
	Made    []Made `json:"made"` // in the order of the run
}

// Made is what came of one unit.
type Made struct {
	PolicyDomain string   `json:"policy_domain"`
	Host         bool     `json:"mx_host"` // the policy domain is an MX host (RPT-6)
	State        string   `json:"state"`   // a State of package outbox
	Note         string   `json:"note,omitempty"`
	RUA          []string `json:"rua,omitempty"`
	JSON         []byte   `json:"-"`
}

// SendDay makes the run for a day now, not waiting for its time (RPT-13).
func (s *Service) SendDay(ctx context.Context, o SendOptions) (Summary, error) {
	run, err := s.Box.SendDay(ctx, o)
	sum := Summary{Day: run.Day, DryRun: o.DryRun, Partial: run.Partial}
	for _, m := range run.Made {
		sum.Made = append(sum.Made, Made{m.Name, m.Kind == mxHost, string(m.State), m.Note, m.RUA, m.Text})
	}
	return sum, err
}

// Sent is a report of ours.
type Sent struct {
	outbox.Sent
	Host bool `json:"mx_host"`
}

// Sent lists our reports, newest first, with their deliveries.
func (s *Service) Sent(ctx context.Context, f Filter) (out []Sent, err error) {
	all, err := s.Box.Sent(ctx, f)
	for _, x := range all {
		out = append(out, Sent{x, x.Kind == mxHost})
	}
	return out, err
}

// Outcome is what came of one policy domain on one day: reported or why not.
type Outcome struct {
	outbox.Outcome
	Host bool `json:"mx_host"`
}

// Outcomes lists what came of the policy domains of a UTC day that is over; they
// are kept for a week. Domain "" means all.
func (s *Service) Outcomes(ctx context.Context, t time.Time, domain string) (out []Outcome, err error) {
	all, err := s.Box.Outcomes(ctx, t, domain)
	for _, x := range all {
		out = append(out, Outcome{x, x.Kind == mxHost})
	}
	return out, err
}

// Show returns a sent report by its id: as data (Report.Text for people) and as
// JSON, exactly as it went out.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*tlsrpt.Report, []byte, error) {
	gz, err := s.Body(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	r, err := tlsrpt.Stored(gz)
	if err != nil {
		return nil, nil, err
	}
	j, err := r.JSON()
	return r, j, err
}

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
