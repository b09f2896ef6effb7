package dispatch

import (
	"cmp"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// Contact names whom a delivery dials: a domain, a transport of the operator's that takes
// the mail of many (delivery.Contact), or with Local set the mailboxes of this server.
type Contact struct {
	Name  string
	Local bool
}

// Way is what the contact shares with others on the way there, such as a proxy, and that
// closes by itself. ok is false where there is none.
func (c Contact) Way() (way Contact, ok bool) {
	if c.Local {
		return Contact{}, false
	}
	shared, ok := delivery.ParseContact(c.Name).Shared()
	return Contact{Name: shared.String()}, ok
}

// WithWays are the names of contacts and of their ways.
func WithWays(cs []Contact) (names []string) {
	for _, c := range cs {
		names = append(names, c.Name)
		if w, ok := c.Way(); ok {
			names = append(names, w.Name)
		}
	}
	return names
}

// Closing is what the store knows of a contact that did not answer.
type Closing struct {
	Until    time.Time // nobody dials before
	Failures int       // in a row
}

// ClosedUntil is when a contact and its way are both open, by what the store knows; zero
// if they are.
func ClosedUntil(closings map[Contact]Closing, c Contact, now time.Time) (until time.Time) {
	later := func(c Contact) {
		if at := closings[c].Until; retry.Shut(at, now) && at.After(until) {
			until = at
		}
	}
	later(c)
	if w, ok := c.Way(); ok {
		later(w)
	}
	return until
}

// Lane names the mail of one account that waits for one contact.
type Lane struct {
	To      Contact
	Account string
}

// Compare orders lanes.
func (l Lane) Compare(o Lane) int {
	local := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(l.To.Name, o.To.Name), local(l.To.Local)-local(o.To.Local), cmp.Compare(l.Account, o.Account))
}

// String is for errors.
func (l Lane) String() string { return strings.TrimSpace(l.To.Name + " " + l.Account) }
