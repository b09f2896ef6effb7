package dnsfinding

import (
	"slices"
	"time"
)

// Kept is a finding that was kept of earlier checks.
type Kept struct {
	Finding
	First time.Time // when it was found first, without a check since that did not find it
	Last  time.Time
	Looks int  // checks that found it
	Told  bool // the operator was told of it, or it was there from the first check on
}

// Changes is what a check has changed.
type Changes struct {
	Keep []Kept // what is kept from now on
	// Tell are findings of which the operator is told now: changes for the worse that a
	// second look has confirmed.
	Tell []Kept
	// Soon asks for another look before long, which confirms what is new or does not.
	Soon bool
}

// looksOf is how many looks it takes until a finding is told of: what is wrong is seen
// twice; what could not be seen may be a passing failure of anything on the way.
func looksOf(l Level) int {
	if l == Unknown {
		return 4
	}
	return 2
}

// Compare says what a check has changed (DNS-W): before is what was kept, found what the
// check found, and first says that there was none before, so that nothing is a change.
// A finding stays while nothing can be seen of its subject. It is pure.
func Compare(before []Kept, found []Finding, first bool, now time.Time) Changes {
	var c Changes
	same := func(a, b Finding) bool { return a.Word == b.Word && a.Subject == b.Subject }
	for _, f := range found {
		if f.Level == OK || slices.ContainsFunc(c.Keep, func(k Kept) bool { return same(k.Finding, f) }) {
			continue
		}
		k := Kept{Finding: f, First: now, Last: now, Looks: 1, Told: first}
		if i := slices.IndexFunc(before, func(o Kept) bool { return same(o.Finding, f) }); i >= 0 {
			o := before[i]
			k.First, k.Looks, k.Told = o.First, o.Looks+1, o.Told
		}
		switch {
		case k.Told:
		case k.Looks >= looksOf(f.Level):
			c.Tell = append(c.Tell, k)
		case f.Level != Unknown:
			c.Soon = true
		}
		c.Keep = append(c.Keep, k)
	}
	blind := func(o Kept) bool {
		return slices.ContainsFunc(found, func(f Finding) bool { return f.Level == Unknown && f.Subject == o.Subject })
	}
	for _, o := range before {
		gone := !slices.ContainsFunc(c.Keep, func(k Kept) bool { return same(k.Finding, o.Finding) })
		if gone && o.Level != Unknown && blind(o) {
			c.Keep = append(c.Keep, o)
		}
	}
	return c
}
