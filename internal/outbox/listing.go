package outbox

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"waxwing/internal/text"
)

// String is what became of a report at one address. That a host accepted it is
// all that can be known: whether the report was read is not told to its sender.
func (d Delivery) String() string {
	switch d.State {
	case "accepted":
		return d.URI + " accepted by the host"
	case "failed":
		return text.Words(d.URI, "failed:", cmp.Or(d.Note, "no reason was kept"))
	}
	return d.URI + " " + d.State
}

// SuppressionListing is how suppressions are listed for people.
func SuppressionListing() text.List[Suppression] {
	return text.List[Suppression]{Columns: text.Columns("ADDRESS|SINCE|UNTIL|HOW|WHY", "SINCE", "HOW"), Cells: func(x *Suppression) []any {
		how := "by itself"
		if x.Manual {
			how = "by hand"
		}
		return []any{x.Address, text.Day(x.Since), text.Day(x.Until), how, x.Reason}
	}}
}

// SentListing is how reports that were sent are listed for people.
func (f Family) SentListing() text.List[Sent] {
	return text.List[Sent]{Columns: text.Columns("ID|DAY|POLICY DOMAIN|OK|FAILED|TO", "TO", "FAILED", "OK"), Cells: func(r *Sent) []any {
		to := []string{}
		for _, d := range r.Deliveries {
			to = append(to, d.String())
		}
		about := r.PolicyDomain
		if r.Single {
			about += " (failure report)"
		}
		return []any{r.ID, r.Day, about, r.OK, r.Failed, strings.Join(to, ", ")}
	}}
}

// OutcomeListing is how outcomes are listed for people.
func (f Family) OutcomeListing() text.List[Outcome] {
	if f.HostKind == 0 {
		return text.List[Outcome]{Columns: text.Columns("POLICY DOMAIN|STATE|TO|NOTE", "TO"), Cells: func(x *Outcome) []any {
			return []any{x.PolicyDomain, string(x.State), strings.Join(x.RUA, " "), x.Note}
		}}
	}
	return text.List[Outcome]{Columns: text.Columns("POLICY DOMAIN|AS|STATE|TO|NOTE", "TO", "AS"), Cells: func(x *Outcome) []any {
		kind := "domain"
		if x.Host {
			kind = "mx host"
		}
		return []any{x.PolicyDomain, kind, string(x.State), strings.Join(x.RUA, " "), x.Note}
	}}
}

// Print writes it for people, with the reports where nothing was sent.
func (s *Summary) Print(w io.Writer) {
	if len(s.Made) == 0 {
		fmt.Fprintf(w, "nothing to report for %s\n", s.Day)
	}
	for _, m := range s.Made {
		fmt.Fprintf(w, "%s: %s %s %s\n", m.PolicyDomain, m.State, m.Note, strings.Join(m.RUA, " "))
		if s.DryRun && len(m.Text) > 0 {
			fmt.Fprintf(w, "%s\n", m.Text)
		}
	}
}
