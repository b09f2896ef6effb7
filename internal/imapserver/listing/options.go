package listing

import (
	"fmt"
	"slices"

	"waxwing/imap"
)

// Unserved is a capability that a LIST needs and that is switched off; "": there is none.
func Unserved(a *imap.List, off func(capability string) bool) string {
	switch {
	case a.Extended && off("LIST-EXTENDED"):
		return "LIST-EXTENDED"
	case len(a.Status) > 0 && off("LIST-STATUS"):
		return "LIST-STATUS"
	case slices.Contains(slices.Concat(a.Select, a.Return), "SPECIAL-USE") && off("SPECIAL-USE"):
		return "SPECIAL-USE"
	}
	return ""
}

// Fault says what is wrong with the patterns and options of a LIST (RFC 5258 §3, RFC 6154 §2); "": nothing.
func Fault(patterns, selectBy, returned []string) string {
	octets := 0
	for _, p := range patterns {
		octets += len(p)
	}
	if octets > MaxPatterns {
		return fmt.Sprintf("the patterns of a LIST can have %d octets", MaxPatterns)
	}
	for _, o := range selectBy {
		if !slices.Contains([]string{"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"}, o) {
			return "LIST selects by no " + o
		}
	}
	if slices.Contains(selectBy, "RECURSIVEMATCH") && !slices.Contains(selectBy, "SUBSCRIBED") && !slices.Contains(selectBy, "SPECIAL-USE") {
		return "RECURSIVEMATCH needs something to select by"
	}
	for _, o := range returned {
		if !slices.Contains([]string{"SUBSCRIBED", "CHILDREN", "SPECIAL-USE"}, o) {
			return "LIST returns no " + o
		}
	}
	return ""
}

// Attributes are those of a line of LIST. extended: the client knows \NonExistent.
func (l *Name) Attributes(selectBy, returned []string, extended bool) (attrs []string) {
	switch {
	case l.Box == nil && extended:
		attrs = append(attrs, `\NonExistent`)
	case l.Box == nil:
		attrs = append(attrs, `\Noselect`)
	}
	if l.Subscribed && (slices.Contains(selectBy, "SUBSCRIBED") || slices.Contains(returned, "SUBSCRIBED")) {
		attrs = append(attrs, `\Subscribed`)
	}
	if l.Below {
		attrs = append(attrs, `\HasChildren`)
	} else {
		attrs = append(attrs, `\HasNoChildren`)
	}
	if l.Box != nil && l.Box.Use != "" {
		attrs = append(attrs, l.Box.Use)
	}
	return attrs
}
