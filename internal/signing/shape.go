package signing

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/internal/text"
)

// Row is one key as listings show it.
type Row struct {
	Domain    dns.Name  `json:"domain"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	Services  []string  `json:"services,omitempty"`
	State     string    `json:"state"` // waiting (for DNS), signing, retired
	Created   time.Time `json:"created"`
	Record    string    `json:"record"`           // the TXT record to publish
	DNS       string    `json:"dns,omitempty"`    // what it showed last: shown, missing, other, failed
	Detail    string    `json:"detail,omitempty"` // why that is not shown
	Looked    time.Time `json:"looked,omitzero"`
	Since     time.Time `json:"shown_since,omitzero"`
	Replaces  string    `json:"replaces,omitempty"` // the selector from which it takes over, or did
	Awaits    string    `json:"awaits,omitempty"`   // what it waits for in a roll-over
	Until     time.Time `json:"until,omitzero"`     // when that may be over
}

// Row makes it.
func (k Key) Row() Row {
	return Row{k.Domain, k.Selector, k.Algorithm, k.Services, string(k.Stage()), k.Created, k.Record,
		string(k.Sight.Found), k.Sight.Detail, k.Sight.Looked, k.Sight.First, k.Turn.Replaces, "", time.Time{}}
}

// Rows lists the keys of a domain; those of all for the zero Name.
func (s *Service) Rows(ctx context.Context, domain dns.Name) (rows []Row, err error) {
	all, err := s.Keys(ctx, domain)
	for _, k := range all {
		row := k.Row()
		word, until := k.Awaited(all, s.now())
		row.Awaits, row.Until = string(word), until
		rows = append(rows, row)
	}
	return rows, err
}

// Listing is how keys are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("DOMAIN|SELECTOR|ALGORITHM|STATE|DNS|TXT RECORD", "TXT RECORD", "ALGORITHM"), Cells: func(r *Row) []any {
		state := r.State
		switch {
		case r.Awaits != "":
			state = r.rolling()
		case state == string(Waiting):
			state = "waiting for DNS"
		}
		return []any{r.Domain.Unicode(), r.Selector, r.Algorithm, state, r.inDNS(), r.Record}
	}}
}

// rolling is how far a key is in a roll-over, in words.
func (r *Row) rolling() string {
	until := ""
	if !r.Until.IsZero() {
		until = " until " + r.Until.UTC().Format("2006-01-02 15:04Z")
	}
	if r.State == string(Ended) {
		return "retired, record stays" + until
	}
	s := r.State
	if s == string(Waiting) {
		s = "waiting"
	}
	return s + " to replace " + r.Replaces + ": " + r.Awaits + until
}

// inDNS is what DNS showed of the key's record, in words.
func (r *Row) inDNS() any {
	switch Found(r.DNS) {
	case NotLooked:
		return "not looked up yet"
	case Shown:
		return text.Cell{Text: "shown ", When: r.Looked}
	case Missing:
		return text.Cell{Text: "no record ", When: r.Looked}
	case Other:
		return text.Cell{Text: "wrong: " + r.Detail, Tone: text.Bad}
	}
	return "unknown: " + r.Detail
}
