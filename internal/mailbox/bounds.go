package mailbox

import "time"

// Bounds are what a mailbox is to hold no more of; 0 is no bound.
type Bounds struct {
	Messages int
	Octets   int64
	Before   time.Time // what came earlier goes
	Erase    bool      // cannot be brought back
}

// Kept is a message of a mailbox that has bounds.
type Kept struct {
	UID, Size int64
	Saved     int64 // nanoseconds since 1970
}

// Beyond are the UIDs of those to be removed of all that a mailbox has, newest first.
func (b Bounds) Beyond(all []Kept) (doomed []uint32) {
	var octets int64
	for i, k := range all {
		octets += k.Size
		old := !b.Before.IsZero() && k.Saved < b.Before.UnixNano()
		if b.Messages > 0 && i >= b.Messages || b.Octets > 0 && octets > b.Octets || old {
			doomed = append(doomed, uint32(k.UID))
		}
	}
	return doomed
}
