package signing

import (
	"errors"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
)

// Stage is what a key does.
type Stage string

// The stages.
const (
	Waiting Stage = "waiting" // for DNS to show its record
	Signing Stage = "signing"
	Ended   Stage = "retired"
)

// Found is what a lookup of a key's record showed.
type Found string

// What a lookup can show.
const (
	NotLooked Found = ""
	Shown     Found = "shown"   // the record, or one that says the same
	Missing   Found = "missing" // no record
	Other     Found = "other"   // another one
	Unknown   Found = "failed"  // the lookup failed: nobody knows
)

// Sight is what is known of a key's record in DNS.
type Sight struct {
	First  time.Time // when DNS first showed it; zero: never
	Looked time.Time // the last lookup; zero: none
	Found  Found     // by that
	Detail string    // why it is not Shown
	Tries  int       // lookups in a row that did not show it
	Next   time.Time // of the next lookup
}

// stage decides whether a key signs (SET-6): not before DNS has shown its record,
// unless somebody told it to; and from then on whatever DNS shows, since a fault
// of DNS passes, and a signature that cannot be checked harms no more than none
// (RFC 6376 §6.1). It is pure.
func stage(state State, told bool, s Sight) Stage {
	switch {
	case state == Retired:
		return Ended
	case told, !s.First.IsZero():
		return Signing
	}
	return Waiting
}

// Lookups of a record that is awaited begin with short pauses, since somebody may
// just be publishing it; a key that signs is looked at once a day.
const (
	firstPause  = time.Minute
	longestWait = time.Hour
	dayPause    = 24 * time.Hour
)

// after is what is known once a lookup has shown found. It is pure.
func (s Sight) after(found Found, detail string, now time.Time) Sight {
	s.Looked, s.Found, s.Detail = now, found, detail
	if found == Shown {
		if s.First.IsZero() {
			s.First = now
		}
		s.Tries = 0
		s.Next = now.Add(dayPause)
		return s
	}
	s.Tries = min(s.Tries+1, 1000)
	pause, longest := firstPause<<min(s.Tries-1, 16), longestWait
	if !s.First.IsZero() {
		longest = dayPause
	}
	s.Next = now.Add(min(pause, longest))
	return s
}

// read says what a lookup's answer shows of the record wanted. It is pure.
func read(wanted string, a dns.Answer[string], err error) (Found, string) {
	var de *dns.Error
	switch {
	case errors.As(err, &de):
		return Unknown, string(de.Word())
	case err != nil:
		return Unknown, err.Error()
	}
	switch err := dkim.Published(wanted, a.Records); {
	case err == nil:
		return Shown, ""
	case errors.Is(err, dkim.ErrNoRecord):
		return Missing, ""
	default:
		return Other, err.Error()
	}
}
