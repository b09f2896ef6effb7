package posture

import (
	"context"
	"fmt"
	"slices"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Destination is a recipient domain with what is known of it.
type Destination struct {
	Domain string    `json:"domain"`
	Seen   time.Time `json:"seen"`
	Facts
}

// NamedFact is a fact with the name of what it is about.
type NamedFact struct {
	Name string
	Fact
}

// Named are the facts with their names.
func (f *Facts) Named() (out []NamedFact) {
	names := [...]string{"STARTTLS", "MTA-STS", "DNSSEC", "DANE", "REQUIRETLS"}
	for i, x := range f.fields() {
		out = append(out, NamedFact{names[i], *x})
	}
	return out
}

// Newest are the domains that mail went to last, or the one that is named, from all accounts' mail together.
func (r *Recorder) Newest(ctx context.Context, domain string, limit int) (out []Destination, err error) {
	query, args := `SELECT `+columns+`, domain FROM posture ORDER BY seen DESC LIMIT ?`, []any{int64(limit)}
	if domain != "" {
		name, err := dns.ParseName(domain)
		if err != nil {
			return nil, err
		}
		query, args = `SELECT `+columns+`, domain FROM posture WHERE domain = ? ORDER BY seen DESC LIMIT ?`, []any{name.ASCII(), int64(maxRows)}
	}
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		return tx.Each(func(row store.Row) error {
			var d Destination
			if err := scan(row.Scan, &d.Facts, &d.Domain); err != nil {
				return err
			}
			at := slices.IndexFunc(out, func(x Destination) bool { return x.Domain == d.Domain })
			if at < 0 {
				at = len(out)
				out = append(out, Destination{Domain: d.Domain})
			}
			out[at].Facts = out[at].Merge(d.Facts)
			out[at].Seen = out[at].Facts.Seen()
			return nil
		}, query, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("list what is known of domains: %w", err)
	}
	return out, nil
}

// Listing is how they are listed for people.
func Listing() text.List[Destination] {
	return text.List[Destination]{Columns: text.Columns("DOMAIN|STARTTLS|MTA-STS|DNSSEC|DANE|REQUIRETLS|SEEN", "REQUIRETLS", "DNSSEC"), Cells: func(d *Destination) []any {
		out := []any{d.Domain}
		for _, f := range d.Named() {
			tone := map[Word]text.Tone{Yes: text.Good, "enforce": text.Good, Broken: text.Bad, Partly: text.Waits}[f.Word]
			out = append(out, text.Cell{Text: string(f.Word), Tone: tone})
		}
		return append(out, d.Seen)
	}}
}
