package tlsreport

import (
	"context"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

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
