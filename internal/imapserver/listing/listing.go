// Package listing decides which mailboxes LIST and LSUB show (RFC 9051 §6.3.9, RFC 5258).
package listing

import (
	"slices"

	"waxwing/internal/mailbox"
)

// Name is one line of LIST: a mailbox, or a name above one.
type Name struct {
	Name  string
	Box   *mailbox.Box // nil: there is no mailbox of that name, but some below it
	Below bool         // there are mailboxes below it
	// Subscribed: the name itself, whether there is a mailbox or not.
	Subscribed bool
	Child      bool // some below it, which is not listed itself, is selected (RFC 5258 §3.5)

	matches bool // a pattern
}

// Account is what LIST and LSUB choose from.
type Account struct {
	Boxes []mailbox.Box // sorted, INBOX first
	// Subscribed are names to which the account is subscribed and that no mailbox has, sorted.
	Subscribed []string
}

// List decides what a LIST shows.
func List(all Account, patterns, selectBy []string) []Name {
	chosen := func(l *Name) bool {
		subscribed := slices.Contains(selectBy, "SUBSCRIBED")
		return (l.Box != nil || subscribed) && !(subscribed && !l.Subscribed) && !(slices.Contains(selectBy, "SPECIAL-USE") && (l.Box == nil || l.Box.Use == ""))
	}
	if !slices.Contains(selectBy, "SUBSCRIBED") {
		all.Subscribed = nil
	}
	m := newMatcher(patterns)
	names := named(all)
	recursive := slices.Contains(selectBy, "RECURSIVEMATCH")
	byName := map[string]*Name{}
	for _, l := range names {
		byName[l.Name] = l
		l.matches = m.any(l.Name)
	}
	for _, l := range names {
		if !chosen(l) || l.matches {
			continue
		}
		for j := range l.Name { // those above it that match stand for it
			if l.Name[j] == '/' {
				byName[l.Name[:j]].Child = true
			}
		}
	}
	var out []Name
	for _, l := range names {
		switch {
		case !l.matches:
		case chosen(l):
			l.Child = l.Child && recursive
			out = append(out, *l)
		case recursive && l.Child:
			out = append(out, *l)
		case l.Box == nil && len(selectBy) == 0 && m.level:
			l.Child = false
			out = append(out, *l)
		}
	}
	return out
}

// named are all names that there are: those of mailboxes, those above them, and those that are only subscribed.
func named(a Account) (all []*Name) {
	byName := map[string]*Name{}
	at := func(name string) *Name {
		if byName[name] == nil {
			byName[name] = &Name{Name: name}
			all = append(all, byName[name])
		}
		return byName[name]
	}
	above := func(name string, there bool) {
		for j := range name {
			if name[j] == '/' {
				l := at(name[:j])
				l.Below = l.Below || there
			}
		}
	}
	for i := range a.Boxes {
		b := &a.Boxes[i]
		above(b.Name, true)
		l := at(b.Name)
		l.Box, l.Subscribed = b, b.Subscribed
	}
	for _, name := range a.Subscribed {
		above(name, false)
		at(name).Subscribed = true
	}
	return all
}

// Subscribed decides what an LSUB shows (RFC 3501 §6.3.9).
func Subscribed(a Account, patterns []string) []Name {
	var out []Name
	m := newMatcher(patterns)
	names := named(a)
	below := map[string]bool{} // names above a subscribed one that no pattern matches
	for _, l := range names {
		l.matches = m.any(l.Name)
		if !l.Subscribed || l.matches {
			continue
		}
		for j := range l.Name {
			if l.Name[j] == '/' {
				below[l.Name[:j]] = true
			}
		}
	}
	for _, l := range names {
		switch {
		case !l.matches:
		case l.Subscribed:
			out = append(out, Name{Name: l.Name, Box: l.Box})
		case below[l.Name] && m.level:
			out = append(out, Name{Name: l.Name})
		}
	}
	return out
}

// ChildInfo is which options of a LIST select a name for the sake of those below it.
func ChildInfo(selectBy []string) []string {
	return slices.DeleteFunc(slices.Clone(selectBy), func(o string) bool { return o == "RECURSIVEMATCH" || o == "REMOTE" })
}
