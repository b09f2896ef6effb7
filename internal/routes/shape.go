package routes

import (
	"cmp"
	"fmt"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/text"
)

// Row is one rule as listings show it.
type Row struct {
	ID        delivery.ID `json:"id"`
	Scope     string      `json:"scope"`
	Owner     string      `json:"owner,omitempty"`
	To        string      `json:"to,omitempty"`
	From      string      `json:"from,omitempty"`
	Attempts  int         `json:"attempts,omitempty"`
	Need      string      `json:"need,omitempty"`
	Transport string      `json:"transport"`
	Skipped   string      `json:"skipped,omitempty"` // of a test: why it is not for this mail
	Text      string      `json:"-"`                 // the rule in words
}

// RowOf makes it.
func RowOf(r *route.Rule) Row {
	row := Row{ID: delivery.ID(r.ID), Scope: r.Scope.String(), Owner: r.Owner, To: r.Recipient.String(), From: r.Sender.String(),
		Attempts: r.MinAttempts, Transport: r.Transport, Text: r.String()}
	if r.Need != nil {
		row.Need = r.Need.String()
	}
	return row
}

// Rule is the rule that the row says, unchecked. Its errors begin with the field: scope,
// to, from or need.
func (r Row) Rule() (route.Rule, error) {
	rule := route.Rule{Owner: r.Owner, MinAttempts: r.Attempts, Transport: r.Transport}
	var err error
	if rule.Scope, err = route.ParseScope(r.Scope); err != nil {
		return rule, fmt.Errorf("scope: %w", err)
	}
	for _, p := range []struct {
		name, text string
		into       *route.Pattern
	}{{"to", r.To, &rule.Recipient}, {"from", r.From, &rule.Sender}} {
		if p.text == "" {
			continue
		}
		if *p.into, err = route.ParsePattern(p.text); err != nil {
			return rule, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if r.Need != "" {
		need, err := delivery.ParseTLSNeed(r.Need)
		if err != nil {
			return rule, fmt.Errorf("need: %w", err)
		}
		rule.Need = &need
	}
	return rule, nil
}

// Test is which way a mail would take.
type Test struct {
	Transport string `json:"transport"` // "": a route that cannot be read may be meant for it
	Exists    bool   `json:"exists"`
	Why       string `json:"why"`
	Routes    []Row  `json:"routes"`

	asked int // how many of Routes were asked, and the last took it, if taken
	taken bool
}

// Test says which way a mail would take, and why no other; hosted is whether its
// recipient's domain is hosted here.
func (t *Table) Test(s route.Subject, hosted bool) Test {
	choice := t.Choice(s)
	if hosted {
		choice = route.Choice{Transport: route.LocalName, Why: "the domain is hosted here; routes are for mail that leaves"}
	}
	_, known := t.Transports[choice.Transport]
	out := Test{Transport: choice.Transport, Exists: known, Why: choice.Why, Routes: []Row{}, taken: choice.Rule != nil}
	for i := range t.Rules {
		row := RowOf(&t.Rules[i])
		row.Skipped = route.Mismatch(&t.Rules[i], s)
		out.Routes = append(out.Routes, row)
		if choice.Rule != nil && choice.Rule.ID == t.Rules[i].ID {
			out.asked = len(out.Routes)
		}
	}
	if !hosted && choice.Rule == nil && s.Own == "" {
		out.asked = len(out.Routes)
	}
	return out
}

// Print writes it for people.
func (t *Test) Print(w io.Writer) {
	fmt.Fprintf(w, "transport %s: %s\n", cmp.Or(t.Transport, "none"), t.Why)
	for i, r := range t.Routes[:t.asked] {
		if t.taken && i == t.asked-1 {
			fmt.Fprintf(w, "  route %s: this one\n", r.ID)
		} else {
			fmt.Fprintf(w, "  route %s, %s: no, %s\n", r.ID, r.Text, r.Skipped)
		}
	}
}

// Rows are the rules, in the order in which they are asked.
func (t *Table) Rows() (rows []Row) {
	for i := range t.Rules {
		rows = append(rows, RowOf(&t.Rules[i]))
	}
	return rows
}

// RuleListing is how rules are listed for people.
func RuleListing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("ID|ROUTE"), Cells: func(r *Row) []any { return []any{r.ID, r.Text} }}
}

// TransportListing is how transports are listed for people.
func TransportListing() text.List[route.Transport] {
	return text.List[route.Transport]{Columns: text.Columns("NAME|KIND|SETTINGS"), Cells: func(t *route.Transport) []any { return []any{t.Name, t.Kind, t.Settings()} }}
}

// Transport is the transport of a name, or why there is none.
func (t *Table) Transport(name string) (route.Transport, error) {
	tr, ok := t.Transports[name]
	switch {
	case t.Broken[name] != nil:
		return tr, t.Broken[name]
	case !ok:
		return tr, fmt.Errorf("transport %s: %w", name, ErrUnknown)
	}
	return tr, nil
}
