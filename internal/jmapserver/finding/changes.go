package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// State is how far changes have been told: all with a lower ModSeq, and of those with it the ones up to an id.
type State struct {
	ModSeq uint64
	Of     int64 // 1<<63-1: all
}

const all = 1<<63 - 1

// At is the state with all changes up to a modseq.
func At(modseq uint64) State { return State{modseq, all} }

// String is how it is written for clients.
func (s State) String() string {
	if s.Of == all {
		return strconv.FormatUint(s.ModSeq, 36)
	}
	return strconv.FormatUint(s.ModSeq, 36) + "-" + strconv.FormatInt(s.Of, 36)
}

// ParseState reads it.
func ParseState(text string) (State, error) {
	modseq, of, part := strings.Cut(text, "-")
	s, err := State{Of: all}, error(nil)
	if s.ModSeq, err = strconv.ParseUint(modseq, 36, 63); err == nil && part {
		s.Of, err = strconv.ParseInt(of, 36, 64)
	}
	if err != nil || s.Of < 0 {
		return s, fmt.Errorf("%.100q is no state that was told", text)
	}
	return s, nil
}

// Before tells whether a change is yet to be told.
func (s State) Before(modseq uint64, id int64) bool {
	return modseq > s.ModSeq || modseq == s.ModSeq && id > s.Of
}

// Change is what became of one record: with which modseq last, when it came, and whether it is there.
type Change struct {
	ModSeq, Created uint64
	ID              int64
	Gone            bool
}

// Changes are what a client is told (RFC 8620 §5.2).
type Changes struct {
	Created, Updated, Destroyed []int64
	State                       State
	More                        bool
}

// Tell picks those of the changes that come after since, most at most, oldest first; now is the state with all of them.
// What came after since and is gone again is not told.
func Tell(list []Change, since State, now uint64, most int) Changes {
	list = slices.Clone(list)
	list = slices.DeleteFunc(list, func(c Change) bool {
		return !since.Before(c.ModSeq, c.ID) || c.Gone && since.Before(c.Created, c.ID)
	})
	for i := range list {
		// At its coming, not at its last change: a client that is told half must not hear of a change first.
		if c := &list[i]; !c.Gone && since.Before(c.Created, c.ID) {
			c.ModSeq = c.Created
		}
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.ModSeq, b.ModSeq), cmp.Compare(a.ID, b.ID))
	})
	out := Changes{State: At(now)}
	if most > 0 && len(list) > most {
		list, out.More = list[:most], true
		last := list[most-1]
		out.State = State{last.ModSeq, last.ID}
	}
	for _, c := range list {
		switch {
		case c.Gone:
			out.Destroyed = append(out.Destroyed, c.ID)
		case since.Before(c.Created, c.ID):
			out.Created = append(out.Created, c.ID)
		default:
			out.Updated = append(out.Updated, c.ID)
		}
	}
	return out
}
