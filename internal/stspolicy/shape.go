package stspolicy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/internal/text"
)

// Row is one cached policy as listings show it.
type Row struct {
	Domain     dns.Name  `json:"domain"`
	Mode       string    `json:"mode,omitempty"`
	ID         string    `json:"id,omitempty"`
	MX         []string  `json:"mx,omitempty"`
	Fetched    time.Time `json:"fetched,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Failure    string    `json:"failure,omitempty"`
	none       string    // why there is none, of a refreshed one
}

// Row makes it.
func (e *Entry) Row() Row {
	r := Row{Domain: e.Domain, ID: e.ID, Fetched: e.Fetched, ValidUntil: e.ValidUntil}
	if e.Policy != nil {
		r.Mode, r.MX = string(e.Policy.Mode), e.Policy.Patterns()
	}
	if e.Failure != nil {
		r.Failure = e.Failure.Error()
	}
	return r
}

// Rows lists what is cached.
func (c *Cache) Rows(ctx context.Context) (rows []Row, err error) {
	all, err := c.List(ctx)
	for i := range all {
		rows = append(rows, all[i].Row())
	}
	return rows, err
}

// Listing is how cached policies are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("DOMAIN|MODE|ID|MX|VALID UNTIL|FAILURE", "ID", "VALID UNTIL"), Cells: func(r *Row) []any {
		return []any{r.Domain.ASCII(), r.Mode, r.ID, strings.Join(r.MX, " "), r.ValidUntil, r.Failure}
	}}
}

// String is the policy in words, or that there is none.
func (r Row) String() string {
	switch {
	case r.Mode != "":
		return fmt.Sprintf("%s: mode %s, id %s, mx %s", r.Domain, r.Mode, r.ID, strings.Join(r.MX, " "))
	case r.none != "":
		return fmt.Sprintf("%s has no MTA-STS: %s", r.Domain, r.none)
	}
	return fmt.Sprintf("%s has no MTA-STS", r.Domain)
}

// Refreshed is what Refresh finds. That a domain has no policy is an answer, and no failure.
func (c *Cache) Refreshed(ctx context.Context, domain dns.Name) (Row, error) {
	finding, err := c.Refresh(ctx, domain)
	e := Entry{Domain: domain, ID: finding.ID, Fetched: finding.Fetched, Policy: finding.Policy}
	switch {
	case err == nil && e.Policy != nil:
		e.ValidUntil = finding.Fetched.Add(e.Policy.MaxAge)
	case err == nil:
	case errors.As(err, &e.Failure) && e.Failure.Word == reason.STSNoRecord && e.Policy == nil:
		row := e.Row()
		row.none = e.Failure.Detail
		return row, nil
	default:
		return Row{}, fmt.Errorf("%s: %w", domain, err)
	}
	return e.Row(), nil
}
