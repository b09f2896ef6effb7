// Package publication decides what is done about a record set that Waxwing publishes
// (CRT-5): add it, replace it, remove it, or leave it alone and say why. It is pure: what
// should stand in DNS, what the zone's servers show and what Waxwing made go in, a step
// comes out.
//
// A set is ours once Waxwing has made it, or was told to take it over. Whatever else
// stands in a zone is others', and so is what was changed by hand since: neither is
// written over or removed.
package publication

import (
	"slices"
	"strings"
	"time"

	"waxwing/dns"
)

// Key names a record set: all records of a name and a type.
type Key struct {
	Name dns.Name
	Type string // "TXT", "TLSA", …
}

func (k Key) String() string { return k.Name.ASCII() + " " + k.Type }

// Stay says for how long records of ours stay that are not wanted any more: others may
// rely on them while caches have them, or mail is under way.
type Stay struct {
	Least time.Duration
	Times int // of the TTL, where that is longer
	// Beside: they stay also beside records that are wanted (TLSA). Otherwise what is
	// wanted replaces them.
	Beside bool
}

// Set is a record set as it should be.
type Set struct {
	Values []string // data in presentation form; of TXT the whole text
	TTL    int      // seconds
	Signed bool     // worth something only in a signed zone
	// Await is what must come first; "": nothing. Until then what stands there stays.
	Await Word
}

// Value is a record of ours.
type Value struct {
	Text     string    `json:"text"`
	Unwanted time.Time `json:"unwanted,omitzero"` // since when it is not wanted; zero: it is
}

// Made is what Waxwing made of a set, or took over, as last seen.
type Made struct {
	Host   string // the machine that keeps it, by its hostname: several may share a store
	Values []Value
	// Released: an operator has left the set to others. It is kept in mind so that it is
	// not made again.
	Released bool
	// Pending: the servers have not shown it yet. Before is what they showed before.
	Pending bool
	Before  []string
	Written time.Time // of the last change; zero: nobody knows whether it was taken
}

// Texts are the values without their times.
func (m *Made) Texts() []string {
	var out []string
	for _, v := range m.Values {
		out = append(out, v.Text)
	}
	return out
}

// Seen is what the zone's servers show of a set.
type Seen struct {
	Values []string
	TTL    time.Duration
	Unseen bool // no server answered
	Differ bool // servers have different records
	Alias  bool // the name is an alias, for other types than CNAME
	Other  bool // the name has records of other types, beside which no CNAME can stand
	Signed bool // the zone is signed, as a validating resolver says
}

// Facts are what is known of one set.
type Facts struct {
	Key
	Zone     dns.Name // as its servers have it
	Writable bool     // it is one of dns.update.zones
	Host     string   // this machine
	Wanted   *Set     // nil: there should be none
	Gone     []string // records whose time is over, as their keys' stages say: they need not stay
	Stay     Stay
	Seen     Seen
	Made     *Made // nil: it is not ours
	TakeOver bool  // an operator says that it is to be ours
	// Shared: other machines of this host have records there too, of which this one does
	// not know.
	Shared bool
}

// Action is what is done in DNS.
type Action string

// The actions.
const (
	None    Action = ""
	Add     Action = "add"
	Replace Action = "replace"
	Remove  Action = "remove"
)

// Step is what is to be done about a set.
type Step struct {
	Key
	Zone   dns.Name
	Action Action
	Word   Word
	Was    []string // what must still stand there
	Values []string // what shall stand there; none: no such set
	TTL    int      // seconds
	Until  time.Time
	// Made is what is to be remembered once the step is done; nil: the set is not ours.
	Made *Made
}

// propagation is how long a change may take to reach all servers.
const propagation = time.Hour

// forbidden are types that are the zone's own. Nobody here touches them.
var forbidden = []string{"SOA", "NS", "DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY"}

// Decide says what is to be done about a set.
func Decide(f Facts, now time.Time) Step {
	d := decision{Facts: f, now: now, step: Step{Key: f.Key, Zone: f.Zone, Was: f.Seen.Values, Values: f.Seen.Values, Made: f.Made}}
	if w := d.refused(); w != "" {
		if w == Released && f.Wanted == nil {
			d.step.Made = nil
		}
		return d.leave(w)
	}
	d.mine, d.others = d.part()
	switch {
	case f.TakeOver:
		d.takeOver()
	case f.Made == nil:
		return d.notOurs()
	}
	return d.ours()
}

// decision is a Decide under way.
type decision struct {
	Facts
	now          time.Time
	mine, others []string // of what is seen: what Waxwing manages, and what merely stands beside it
	step         Step
}

func (d *decision) leave(w Word) Step {
	d.step.Word = w
	return d.step
}

// refused is why nothing is done about a set, whatever it should be.
func (d *decision) refused() Word {
	switch {
	case slices.Contains(forbidden, d.Type), d.Type == "CNAME" && d.Name == d.Zone:
		return Forbidden
	case !d.Writable, !d.Name.Under(d.Zone):
		return OtherZone
	case d.Made != nil && d.Made.Host != d.Host && !d.TakeOver:
		return OtherMachine
	case d.Made != nil && d.Made.Released && !d.TakeOver:
		return Released
	case d.Seen.Unseen:
		return Unseen
	case d.Seen.Differ:
		return AwaitServers
	case d.Seen.Alias:
		return Alias
	case d.Type == "CNAME" && d.Seen.Other:
		return Occupied
	case d.TakeOver && d.Wanted == nil:
		return NotWanted
	case d.Shared && !d.TakeOver:
		return d.shared()
	}
	return ""
}

// shared is how a set stands in which other machines have records as well: it is neither
// changed nor removed, and well if it has what this machine wants.
func (d *decision) shared() Word {
	switch {
	case d.Wanted == nil:
		return OtherMachine
	case slices.ContainsFunc(d.Wanted.Values, func(v string) bool { return !slices.Contains(d.Seen.Values, v) }):
		return AwaitMachines
	}
	if d.Made != nil && d.Made.Pending { // what was taken over is shown
		made := *d.Made
		made.Pending, made.Before = false, nil
		d.step.Made = &made
	}
	return AlreadyRight
}

// part parts what is seen into what Waxwing manages and the rest: a text at a name such
// as the domain's own stands among texts of others (RFC 7208 §3.1), and so does a CAA
// record.
func (d *decision) part() (mine, others []string) {
	var roles []string
	for _, v := range d.claimed() {
		roles = append(roles, role(d.Key, v))
	}
	for _, v := range d.Seen.Values {
		if slices.Contains(roles, role(d.Key, v)) {
			mine = append(mine, v)
		} else {
			others = append(others, v)
		}
	}
	return mine, others
}

// claimed are the records that Waxwing wants or made.
func (d *decision) claimed() (all []string) {
	if d.Wanted != nil {
		all = append(all, d.Wanted.Values...)
	}
	if d.Made != nil {
		all = append(all, d.Made.Texts()...)
		all = append(all, d.Made.Before...)
	}
	return all
}

// role is what a record is for, where a set holds records for several things: there may
// be one SPF record beside any other text.
func role(k Key, value string) string {
	switch {
	case k.Type == "CAA":
		if f := strings.Fields(value); len(f) > 1 {
			return strings.ToLower(f[1])
		}
	case k.Type == "TXT" && !strings.HasPrefix(k.Name.ASCII(), "_") && !strings.Contains(k.Name.ASCII(), "._"):
		tag, _, _ := strings.Cut(strings.ToLower(value), " ")
		tag, _, _ = strings.Cut(tag, ";")
		if strings.HasPrefix(tag, "v=") {
			return tag
		}
		return "\x00" // no version: nothing of ours
	}
	return ""
}

// takeOver has what stands there be ours.
func (d *decision) takeOver() {
	made := &Made{Host: d.Host, Written: d.now}
	for _, v := range d.mine {
		made.Values = append(made.Values, Value{Text: v, Unwanted: d.now})
	}
	d.Made, d.step.Made = made, made
}

// notOurs is a set that Waxwing has not made: it is added where there is nothing.
func (d *decision) notOurs() Step {
	w := d.Wanted
	switch {
	case w == nil:
		return d.leave(NotWanted)
	case same(d.mine, w.Values):
		return d.leave(AlreadyRight)
	case len(d.Seen.Values) > 0:
		return d.leave(NotOurs)
	case w.Await != "":
		return d.leave(w.Await)
	case w.Signed && !d.Seen.Signed:
		return d.leave(Unsigned)
	}
	return d.change(values(w.Values))
}

// ours is a set that Waxwing has made or taken over.
func (d *decision) ours() Step {
	target, until := d.target()
	d.step.Until = until
	made := d.Made
	switch {
	case same(d.mine, texts(target)) && len(target) == 0:
		d.step.Made = nil
		return d.leave(Removed)
	case same(d.mine, texts(target)):
		return d.keep(target)
	case made.Pending && same(d.mine, made.Before) && d.now.Sub(made.Written) < propagation:
		return d.leave(AwaitServers)
	case same(d.mine, made.Texts()), made.Pending && same(d.mine, made.Before):
	case d.Wanted == nil:
		d.step.Made = nil // somebody else's by now, and we want nothing there
		return d.leave(LeftAlone)
	default:
		return d.leave(ChangedByHand)
	}
	switch w := d.Wanted; {
	case w != nil && w.Await != "":
		return d.leave(w.Await)
	case w != nil && w.Signed && !d.Seen.Signed:
		return d.leave(Unsigned)
	}
	return d.change(target)
}

// keep is a set that is as it should be.
func (d *decision) keep(target []Value) Step {
	made := *d.Made
	made.Values, made.Pending, made.Before = target, false, nil
	d.step.Made = &made
	if slices.ContainsFunc(target, func(v Value) bool { return !v.Unwanted.IsZero() }) {
		return d.leave(AwaitStay)
	}
	return d.leave(InPlace)
}

// change makes target of what stands there.
func (d *decision) change(target []Value) Step {
	s := &d.step
	s.Values = slices.Concat(texts(target), d.others)
	s.TTL = int(d.Seen.TTL / time.Second)
	if d.Wanted != nil && len(d.others) == 0 {
		s.TTL = d.Wanted.TTL
	}
	s.Made = &Made{Host: d.Host, Values: target, Pending: true, Before: d.mine, Written: d.now}
	switch {
	case len(d.Seen.Values) == 0:
		s.Action, s.Word = Add, ToAdd
	case len(s.Values) == 0:
		s.Action, s.Word = Remove, ToRemove
	default:
		s.Action, s.Word = Replace, ToReplace
	}
	return *s
}

// target is what shall stand there: what is wanted, and what of ours must stay for now.
// until is when the first of the latter may go.
func (d *decision) target() (all []Value, until time.Time) {
	if d.Wanted != nil {
		all = values(d.Wanted.Values)
	}
	stay := max(d.Stay.Least, time.Duration(d.Stay.Times)*d.Seen.TTL)
	for _, v := range d.Made.Values {
		if slices.Contains(texts(all), v.Text) || slices.Contains(d.Gone, v.Text) || stay == 0 || d.Wanted != nil && !d.Stay.Beside {
			continue
		}
		if !slices.Contains(d.mine, v.Text) { // it is not there any more
			continue
		}
		if v.Unwanted.IsZero() {
			v.Unwanted = d.now
		}
		if end := v.Unwanted.Add(stay); d.now.Before(end) {
			all = append(all, v)
			if until.IsZero() || end.Before(until) {
				until = end
			}
		}
	}
	return all, until
}

func values(all []string) []Value {
	var out []Value
	for _, t := range all {
		out = append(out, Value{Text: t})
	}
	return out
}

func texts(all []Value) []string { return (&Made{Values: all}).Texts() }

// same compares records without regard to their order.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
