package stspublish

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/text"
)

// Row is one published policy as listings show it.
type Row struct {
	Domain  string    `json:"domain"`
	Mode    string    `json:"mode"`
	MX      []string  `json:"mx"`
	ID      string    `json:"id"`
	Record  string    `json:"record"`
	Changed time.Time `json:"changed"`
}

// Row makes it.
func (p Published) Row() Row {
	return Row{Domain: p.Domain.ASCII(), Mode: string(p.Policy.Mode), MX: p.Policy.Patterns(), ID: p.ID, Record: p.Record(), Changed: p.Changed}
}

// Rows lists what is published, by domain.
func (s *Service) Rows(ctx context.Context) (rows []Row, err error) {
	all, err := s.List(ctx)
	for _, p := range all {
		rows = append(rows, p.Row())
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Domain, b.Domain) })
	return rows, err
}

// Listing is how published policies are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("DOMAIN|MODE|MX|TXT RECORD|SINCE", "SINCE"), Cells: func(r *Row) []any {
		return []any{r.Domain, r.Mode, strings.Join(r.MX, " "), r.Record, r.Changed}
	}}
}

// Instruction says what has to stand in DNS for a policy that host serves.
func (p Published) Instruction(host dns.Name) string {
	return fmt.Sprintf(`Served at https://mta-sts.%[1]s/.well-known/mta-sts.txt by the listeners of kind "https", with a certificate for mta-sts.%[1]s:

%[2]s
Publish in DNS, the address first, the TXT record last:

%[3]s`, p.Domain, strings.ReplaceAll(p.Text, "\r\n", "\n"), strings.TrimSuffix(dnsrecords.Lines(dnsrecords.ForPolicy(p.Domain, p.ID, host)), "\n"))
}
