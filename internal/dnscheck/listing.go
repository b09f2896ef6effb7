package dnscheck

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Row is how a finding that was kept is shown.
type Row struct {
	Domain string `json:"domain"`
	dnsfinding.Finding
	Since  time.Time `json:"since"`
	Looked time.Time `json:"looked"`
	Told   bool      `json:"told"` // the operator was, or it was there from the first check on
}

// rowOf makes it.
func rowOf(domain string, k dnsfinding.Kept) Row {
	return Row{Domain: domain, Finding: k.Finding, Since: k.First, Looked: k.Last, Told: k.Told}
}

// Rows are the findings about domains that were kept.
func Rows(ctx context.Context, db *store.Store, domains []dns.Name) (rows []Row, err error) {
	for _, d := range domains {
		kept, err := Findings(ctx, db, d.ASCII())
		if err != nil {
			return nil, err
		}
		for _, k := range kept {
			rows = append(rows, rowOf(d.ASCII(), k))
		}
	}
	return rows, nil
}

// Listing is how they are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("DOMAIN|LEVEL|FINDING|ABOUT|SINCE|LOOKED", "LOOKED", "SINCE"), Cells: func(r *Row) []any {
		return []any{r.Domain, string(r.Level), string(r.Word), r.Subject, r.Since, r.Looked}
	}}
}
