package inventory

import (
	"fmt"
	"slices"
)

// Action is what a change does.
type Action string

// The actions.
const (
	Add    Action = "add"
	Modify Action = "change"
	Remove Action = "remove"
)

// Change is one step from what there is to what is wanted.
type Change struct {
	Action        Action
	Section, Key  string
	Before, After Entry    // nil: none
	At            int      // of an ordered section: where the entry stands; of one that is removed, where it stood
	Breaks        []string // what would break; set by who knows
}

// Plan is all that is to be done, in an order in which it can be: nothing is added before
// what it needs, and nothing removed that something needs still.
type Plan struct {
	Changes []Change
	After   *Inventory // all that is there then
	Left    []string   // sections of which the document does not tell, and which stay as they are
	Refused []Refusal  // why nothing can be done; empty if it can
}

// Refusal is what stands in the way of a plan.
type Refusal struct {
	Section, Key string
	Index        int // in the section of the document; -1: it does not stand there, or its section is in another order
	Text         string
}

// Path is where the entry stands in the document; "" where it does not.
func (r Refusal) Path() string {
	if r.Index < 0 {
		return ""
	}
	return path(r.Section, r.Index)
}

func (r Refusal) String() string { return r.Section + " " + r.Key + ": " + r.Text }

// Decide compares what there is, which has all sections and secrets, with what is wanted.
func Decide(now, wanted *Inventory) Plan {
	p := Plan{After: &Inventory{Version: Version}}
	var later [][]Change
	for _, s := range sections() {
		have, _ := s.of(now)
		want, told := s.of(wanted)
		if !told {
			p.Left = append(p.Left, s.name)
			s.set(p.After, have)
			continue
		}
		want = p.complete(s, have, want)
		s.set(p.After, want)
		if s.ordered {
			p.Changes = append(p.Changes, reorder(s, have, want)...)
			continue
		}
		puts, removals := compare(s, have, want)
		p.Changes = append(p.Changes, puts...)
		later = append(later, removals)
	}
	slices.Reverse(later)
	p.Changes = append(p.Changes, slices.Concat(later...)...)
	p.refuseDangling(now, wanted)
	p.refuseMailboxes(wanted)
	return p
}

// refuseMailboxes refuses domains and accounts whose mailboxes a transport would keep that is not
// there or not of kind lmtp: their mail would wait for ever (INB-14). What the plan does not change
// is left alone.
func (p *Plan) refuseMailboxes(wanted *Inventory) {
	changed := map[Ref]bool{}
	for _, c := range p.Changes {
		changed[Ref{c.Section, c.Key}] = true
	}
	kinds := map[string]string{}
	for _, t := range p.After.Transports {
		kinds[t.Name] = t.Kind
	}
	check := func(section, key, transport string, index int) {
		if transport == "" || kinds[transport] == mailboxKind || !changed[Ref{section, key}] && !changed[Ref{"transport", transport}] {
			return
		}
		why := "there would be no transport " + transport
		if kinds[transport] != "" {
			why = fmt.Sprintf("the transport %s would be of kind %s", transport, kinds[transport])
		}
		p.Refused = append(p.Refused, Refusal{section, key, index, why + ": mailboxes are kept here, or by one of kind " + mailboxKind})
	}
	for _, d := range p.After.Domains {
		check("domain", d.Key(), d.Transport, slices.IndexFunc(wanted.Domains, func(o Domain) bool { return o.Key() == d.Key() }))
	}
	for _, a := range p.After.Accounts {
		if a.Transport != "local" { // here, whatever the domain says
			check("account", a.Key(), a.Transport, slices.IndexFunc(wanted.Accounts, func(o Account) bool { return o.Key() == a.Key() }))
		}
	}
}

// mailboxKind is the kind of a transport to a program that keeps mailboxes.
const mailboxKind = "lmtp"

// complete adds the secrets that the document left out.
func (p *Plan) complete(s section, have, want []Entry) []Entry {
	by := byKey(have)
	out := make([]Entry, len(want))
	for i, e := range want {
		var err error
		if out[i], err = e.Complete(by[e.Key()]); err != nil {
			p.Refused = append(p.Refused, Refusal{s.name, e.Key(), i, err.Error()})
		}
	}
	return out
}

func byKey(entries []Entry) map[string]Entry {
	out := make(map[string]Entry, len(entries))
	for _, e := range entries {
		out[e.Key()] = e
	}
	return out
}

// compare finds what is to be added or changed, and what removed.
func compare(s section, have, want []Entry) (puts, removals []Change) {
	old, left := byKey(have), byKey(have)
	for _, e := range want {
		before, there := old[e.Key()]
		delete(left, e.Key())
		switch {
		case !there:
			puts = append(puts, Change{Action: Add, Section: s.name, Key: e.Key(), After: e})
		case !slices.Equal(fieldsOf(before), fieldsOf(e)):
			puts = append(puts, Change{Action: Modify, Section: s.name, Key: e.Key(), Before: before, After: e})
		}
	}
	for _, e := range have {
		if left[e.Key()] != nil {
			removals = append(removals, Change{Action: Remove, Section: s.name, Key: e.Key(), Before: e})
		}
	}
	return puts, removals
}

// reorder finds what leads from one order to another: first what is taken out, from the end
// on, then what is put in, each at its final place. What stays is the longest common order.
func reorder(s section, have, want []Entry) (changes []Change) {
	a, b := keysOf(have), keysOf(want)
	stays, stayed := common(a, b)
	for i := len(have) - 1; i >= 0; i-- {
		if !stays[i] {
			changes = append(changes, Change{Action: Remove, Section: s.name, Key: a[i], Before: have[i], At: i})
		}
	}
	for i, e := range want {
		if !stayed[i] {
			changes = append(changes, Change{Action: Add, Section: s.name, Key: b[i], After: e, At: i})
		}
	}
	return changes
}

func keysOf(entries []Entry) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Key()
	}
	return out
}

// maxTable bounds the comparison of two orders, in cells. Of longer ones only the common
// beginning and end stay.
const maxTable = 4 << 20

// common marks the elements of a longest common subsequence in both.
func common(a, b []string) (inA, inB []bool) {
	inA, inB = make([]bool, len(a)), make([]bool, len(b))
	from := 0
	for from < min(len(a), len(b)) && a[from] == b[from] {
		inA[from], inB[from] = true, true
		from++
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
		inA[endA], inB[endB] = true, true
	}
	n, m := endA-from, endB-from
	if n == 0 || m == 0 || n > maxTable/m {
		return inA, inB
	}
	// longest[i][j] is that of what follows i and j.
	longest := make([][]int, n+1)
	for i := range longest {
		longest[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if a[from+i] == b[from+j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		switch {
		case a[from+i] == b[from+j]:
			inA[from+i], inB[from+j] = true, true
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return inA, inB
}

// dangling is an entry that needs one that is not there.
type dangling struct {
	of   Ref
	need Ref
}

// refuseDangling refuses what would leave an entry without one that it needs. What is in
// that state already is no fault of the plan.
func (p *Plan) refuseDangling(now, wanted *Inventory) {
	before := map[dangling]bool{}
	danglingOf(now, func(_ int, d dangling) { before[d] = true })
	told := map[string]bool{}
	for _, s := range sections() {
		_, told[s.name] = s.of(wanted)
	}
	danglingOf(p.After, func(i int, d dangling) {
		if before[d] {
			return
		}
		r := Refusal{d.of.Section, d.of.Key, i, fmt.Sprintf("there would be no %s, which it needs", d.need)}
		if s := d.of.Section; Ordered(s) {
			r.Index = -1
		}
		if !told[d.of.Section] {
			r.Index, r.Text = -1, fmt.Sprintf("it is stored and needs the %s, which the file does not have", d.need)
		}
		p.Refused = append(p.Refused, r)
	})
}

// danglingOf finds all such entries; i is the place in the section.
func danglingOf(inv *Inventory, found func(i int, d dangling)) {
	there := map[Ref]bool{}
	for _, s := range sections() {
		entries, _ := s.of(inv)
		for i, e := range entries {
			of := Ref{s.name, e.Key()}
			there[of] = true
			for _, need := range e.Needs() {
				if !there[need] {
					found(i, dangling{of, need})
				}
			}
		}
	}
}
