package dispatch

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// WithWays are contacts and the ways that some of them share with others.
func WithWays(cs []delivery.Contact) (out []delivery.Contact) {
	for _, c := range cs {
		out = append(out, c)
		if w, ok := c.Shared(); ok {
			out = append(out, w)
		}
	}
	return out
}

// ClosedUntil is when a contact and its way are both open, by what the store knows; zero
// if they are.
func ClosedUntil(closings map[delivery.Contact]retry.Closing, c delivery.Contact, now time.Time) (until time.Time) {
	later := func(c delivery.Contact) {
		if at := closings[c].Until; retry.Shut(at, now) && at.After(until) {
			until = at
		}
	}
	later(c)
	if w, ok := c.Shared(); ok {
		later(w)
	}
	return until
}
