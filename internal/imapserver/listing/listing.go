// Package listing decides which mailboxes LIST and LSUB show (RFC 9051 §6.3.9, RFC 5258).
package listing

import (
	"slices"
	"strings"

	"waxwing/internal/mailbox"
)

// Name is one line of LIST: a mailbox, or a name above one.
type Name struct {
	Name  string
	Box   *mailbox.Box // nil: there is no mailbox of that name, but some below it
	Below bool         // there are mailboxes below it
	Child bool         // some below it, which is not listed itself, is selected (RFC 5258 §3.5)
}

// List decides what a LIST shows. boxes are sorted, INBOX first.
func List(boxes []mailbox.Box, patterns, selectBy []string) []Name {
	chosen := func(b *mailbox.Box) bool {
		return b != nil && !(slices.Contains(selectBy, "SUBSCRIBED") && !b.Subscribed) && !(slices.Contains(selectBy, "SPECIAL-USE") && b.Use == "")
	}
	recursive := slices.Contains(selectBy, "RECURSIVEMATCH")
	byName := map[string]*Name{}
	var all []*Name
	at := func(name string) *Name {
		if byName[name] == nil {
			byName[name] = &Name{Name: name}
			all = append(all, byName[name])
		}
		return byName[name]
	}
	for i := range boxes {
		b := &boxes[i]
		for j := range b.Name {
			if b.Name[j] == '/' {
				above := at(b.Name[:j])
				above.Below = true
			}
		}
		at(b.Name).Box = b
	}
	for _, l := range all {
		if !chosen(l.Box) {
			continue
		}
		for j := range l.Name { // those above it that match stand for it
			if l.Name[j] == '/' {
				byName[l.Name[:j]].Child = true
			}
		}
	}
	var out []Name
	for _, l := range all {
		switch {
		case !matches(patterns, l.Name):
		case chosen(l.Box):
			l.Child = l.Child && recursive && childMatters(patterns, byName, l.Name, chosen)
			out = append(out, *l)
		case recursive && l.Child && childMatters(patterns, byName, l.Name, chosen):
			out = append(out, *l)
		case l.Box == nil && len(selectBy) == 0 && endsInPercent(patterns):
			l.Child = false
			out = append(out, *l)
		}
	}
	return out
}

// childMatters reports that something below name is selected and not Name itself
// (RFC 5258 §3.5).
func childMatters(patterns []string, byName map[string]*Name, name string, chosen func(*mailbox.Box) bool) bool {
	for other, l := range byName {
		if strings.HasPrefix(other, name+"/") && chosen(l.Box) && !matches(patterns, other) {
			return true
		}
	}
	return false
}

// endsInPercent: a name above a mailbox is shown to those who ask for one level.
func endsInPercent(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "%") })
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if first, _, _ := strings.Cut(p, "/"); strings.EqualFold(first, mailbox.Inbox) {
			p = mailbox.Inbox + p[len(first):]
		}
		return match(p, name)
	})
}

// match matches a name with a pattern: "*" is anything, "%" anything within a level. Its
// time is bounded by the product of their lengths.
func match(pattern, name string) bool {
	can := make([]bool, len(name)+1) // can[i]: the pattern so far matches name[:i]
	can[0] = true
	for p := range len(pattern) {
		c := pattern[p]
		if c == '*' || c == '%' {
			for i := range len(name) {
				can[i+1] = can[i+1] || can[i] && (c == '*' || name[i] != '/')
			}
			continue
		}
		for i := len(name) - 1; i >= 0; i-- {
			can[i+1] = can[i] && name[i] == c
		}
		can[0] = false
	}
	return can[len(name)]
}

// Subscribed decides what an LSUB shows (RFC 3501 §6.3.9).
func Subscribed(boxes []mailbox.Box, patterns []string) []Name {
	var out []Name
	seen := map[string]bool{}
	for i := range boxes {
		b := &boxes[i]
		if !b.Subscribed {
			continue
		}
		if matches(patterns, b.Name) {
			out = append(out, Name{Name: b.Name, Box: b})
			continue
		}
		if !endsInPercent(patterns) {
			continue
		}
		for j := range b.Name {
			above := b.Name[:j]
			if b.Name[j] == '/' && !seen[above] && matches(patterns, above) && !slices.ContainsFunc(boxes, func(o mailbox.Box) bool { return o.Name == above && o.Subscribed }) {
				seen[above] = true
				out = append(out, Name{Name: above})
			}
		}
	}
	return out
}

// ChildInfo is which options of a LIST select a name for the sake of those below it.
func ChildInfo(selectBy []string) []string {
	return slices.DeleteFunc(slices.Clone(selectBy), func(o string) bool { return o == "RECURSIVEMATCH" || o == "REMOTE" })
}
