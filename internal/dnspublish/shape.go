package dnspublish

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/internal/dnsrecords"
	"waxwing/internal/foreign"
	"waxwing/internal/publication"
	"waxwing/internal/text"
)

// Row is how a record set is shown with what is done about it.
type Row struct {
	Name    string             `json:"name"`
	Type    string             `json:"type"`
	Zone    string             `json:"zone,omitempty"`
	For     dnsrecords.Purpose `json:"for"`
	Class   publication.Class  `json:"class"`  // settled, due, waiting, left, conflict
	Word    publication.Word   `json:"word"`   // why
	Action  publication.Action `json:"action"` // add, replace, remove; empty: none
	Done    bool               `json:"done"`   // it was carried out
	Seen    []string           `json:"seen"`   // before
	Wanted  []string           `json:"wanted"`
	Becomes []string           `json:"becomes"` // what stands there afterwards
	TTL     int                `json:"ttl,omitempty"`
	Until   time.Time          `json:"until,omitzero"` // when what stays may go
	Cause   string             `json:"cause"`
	Cure    string             `json:"cure,omitempty"`
	Detail  string             `json:"detail,omitempty"`
}

// Row makes it.
func (i *Item) Row() Row {
	m := publication.Explain(i.Word)
	r := Row{Name: i.Name.ASCII(), Type: i.Type, For: i.Purpose, Class: m.Class, Word: i.Word, Action: i.Action, Done: i.Done,
		Seen: list(i.Was), Wanted: list(i.Wanted), Becomes: list(i.Values), TTL: i.TTL, Until: i.Until, Cause: m.Cause, Detail: i.Detail,
		Cure: strings.ReplaceAll(m.Cure, "NAME/TYPE", i.Name.ASCII()+"/"+i.Type)}
	if !i.Zone.IsZero() {
		r.Zone = i.Zone.ASCII()
	}
	if !i.Scope.IsZero() {
		r.Cure = strings.ReplaceAll(r.Cure, "DOMAIN", i.Scope.ASCII())
	}
	return r
}

// list is never null in JSON.
func list(all []string) []string { return append([]string{}, all...) }

// Report is what an apply did, or would do.
type Report struct {
	DryRun bool   `json:"dry_run"`
	Sets   []Row  `json:"sets"`
	After  []Row  `json:"after,omitempty"` // the sets that were written, as DNS shows them afterwards
	Shown  bool   `json:"shown"`           // DNS shows all that was written
	Error  string `json:"error,omitempty"` // why not all that is due was written
}

// NewReport makes one of a pass, and of a look after it; nil: there was none.
func NewReport(items, after []*Item, dryRun bool) Report {
	r := Report{DryRun: dryRun, Sets: []Row{}, Shown: true}
	wrote := map[publication.Key]bool{}
	for _, i := range items {
		r.Sets = append(r.Sets, i.Row())
		wrote[i.Key] = i.Done
		if why := i.failure(); why != "" && !dryRun {
			r.Error = why
		}
	}
	for _, i := range after {
		if wrote[i.Key] {
			r.After = append(r.After, i.Row())
			r.Shown = r.Shown && shown(i)
		}
	}
	return r
}

// shown: DNS shows what was written.
func shown(i *Item) bool {
	return publication.Explain(i.Word).Class == publication.Settled || i.Word == publication.AwaitStay
}

// Count is how many sets are of a class.
func (r *Report) Count(c publication.Class) (n int) {
	for _, x := range r.Sets {
		if x.Class == c {
			n++
		}
	}
	return n
}

// Print writes it for people: what is written or due, then what is left alone with its
// cure, and what DNS shows after it.
func (r *Report) Print(w io.Writer) {
	verb := map[publication.Action]string{publication.Add: "add", publication.Replace: "replace", publication.Remove: "remove"}
	for _, x := range r.Sets {
		if x.Action == publication.None {
			continue
		}
		state := "would " + verb[x.Action]
		switch {
		case x.Done:
			state = map[publication.Action]string{publication.Add: "added", publication.Replace: "replaced", publication.Remove: "removed"}[x.Action]
		case !r.DryRun:
			state = "not written"
		}
		fmt.Fprintf(w, "%s %s %s (%s)\n", state, x.Name, x.Type, x.For)
		x.lines(w)
	}
	for _, x := range r.Sets {
		if x.Class != publication.Conflict && x.Class != publication.Waiting {
			continue
		}
		fmt.Fprintf(w, "%s %s %s: %s\n", x.Class, x.Name, x.Type, x.Word)
		x.lines(w)
	}
	for _, x := range r.Sets {
		if x.Word == publication.Unsigned || x.Word == publication.OtherZone || x.Word == publication.OtherMachine {
			fmt.Fprintf(w, "left %s %s: %s\n", x.Name, x.Type, x.Cause)
			line(w, "cure", x.Cure)
		}
	}
	written := 0
	for _, x := range r.Sets {
		if x.Done {
			written++
		}
	}
	fmt.Fprintf(w, "%s as they should be, %d written, %d due, %d waiting, %s\n", text.Count(r.Count(publication.Settled), "set"), written, r.Count(publication.Due)-written,
		r.Count(publication.Waiting), text.Count(r.Count(publication.Conflict), "conflict"))
	for _, x := range r.After {
		state := "DNS shows"
		if x.Class == publication.Waiting && x.Word != publication.AwaitStay || x.Class == publication.Due {
			state = "not yet shown by every server:"
		}
		fmt.Fprintf(w, "%s %s %s\n", state, x.Name, x.Type)
	}
}

// lines are what there was, what there will be, and what to do.
func (x *Row) lines(w io.Writer) {
	for _, v := range x.Seen {
		line(w, "is", foreign.Clip(v, shownValue))
	}
	all, what := x.Wanted, "wanted"
	if x.Action != publication.None {
		all, what = x.Becomes, "becomes"
	}
	for _, v := range all {
		line(w, what, foreign.Clip(v, shownValue))
	}
	if x.Class == publication.Conflict || x.Class == publication.Waiting {
		line(w, "cause", x.Cause)
		line(w, "cure", x.Cure)
	}
	line(w, "detail", x.Detail)
}

// line prints one that is indented, unless it has nothing to say.
func line(w io.Writer, what, s string) {
	if s != "" {
		fmt.Fprintf(w, "  %-8s %s\n", what+":", s)
	}
}

// shownValue bounds what is shown of a record; --json has it whole.
const shownValue = 200

// Published is a set of ours as listings show it.
type Published struct {
	Name    string             `json:"name"`
	Type    string             `json:"type"`
	For     dnsrecords.Purpose `json:"for"`
	Domain  string             `json:"domain,omitempty"` // empty: the host
	Machine string             `json:"machine"`
	State   string             `json:"state"` // shown, pending, released
	Records []string           `json:"records"`
	Written time.Time          `json:"written,omitzero"`
}

// Published lists the sets that are ours, and those that were left to others.
func (s *Service) Published(ctx context.Context) ([]Published, error) {
	all, err := s.owned(ctx)
	var rows []Published
	for _, o := range all {
		r := Published{Name: o.Name.ASCII(), Type: o.Type, For: o.purpose, Machine: o.made.Host, State: "shown", Records: list(o.made.Texts()), Written: o.made.Written}
		if !o.scope.IsZero() {
			r.Domain = o.scope.ASCII()
		}
		switch {
		case o.made.Released:
			r.State = "released"
		case o.made.Pending:
			r.State = "pending"
		}
		rows = append(rows, r)
	}
	return rows, err
}

// Listing is how they are listed for people.
func Listing() text.List[Published] {
	return text.List[Published]{Columns: text.Columns("NAME|TYPE|FOR|STATE|WRITTEN|RECORDS", "RECORDS", "WRITTEN"), Cells: func(r *Published) []any {
		return []any{r.Name, r.Type, string(r.For), r.State, r.Written, foreign.Clip(strings.Join(r.Records, "; "), 60)}
	}}
}
