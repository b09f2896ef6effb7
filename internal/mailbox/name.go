package mailbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of names (MBX-4).
const (
	maxName  = 255 // octets of a name
	maxDepth = 20  // levels
)

// NameError says why a mailbox cannot have a name.
type NameError struct{ Name, Why string }

func (e *NameError) Error() string { return fmt.Sprintf("mailbox name %.100q: %s", e.Name, e.Why) }

// CleanName is a mailbox's name as stored: in form C (RFC 5198), with INBOX, which is the same
// in any case (RFC 9051 §5.1), in capitals; "" is INBOX.
func CleanName(name string) (string, error) {
	first, rest, deeper := strings.Cut(norm.NFC.String(name), "/")
	if first == "" && !deeper || strings.EqualFold(first, Inbox) {
		first = Inbox
	}
	clean := first
	if deeper {
		clean += "/" + rest
	}
	if why := NameFault(clean); why != "" {
		return "", &NameError{name, why}
	}
	return clean, nil
}

// NameFault says what is wrong with a name; "": nothing.
func NameFault(name string) string {
	levels := strings.Split(name, "/")
	switch {
	case !utf8.ValidString(name):
		return "it is no UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return "it has a control character"
	case len(name) > maxName:
		return fmt.Sprintf("it has more than %d octets", maxName)
	case len(levels) > maxDepth:
		return fmt.Sprintf("it has more than %d levels", maxDepth)
	case strings.HasPrefix(name, RemovedPrefix):
		return "names of that form are for mailboxes that were deleted"
	}
	for _, l := range levels {
		if l == "" || l == "." || l == ".." || strings.ContainsAny(l, "%*") {
			return "a level is empty, \".\" or \"..\", or has % or *"
		}
	}
	return ""
}

// RemovedPrefix begins the names of mailboxes that were deleted, and can still be brought back.
const RemovedPrefix = "~deleted/"
