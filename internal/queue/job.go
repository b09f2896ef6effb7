package queue

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
)

// row is a recipient as leased, with what settling needs beside the noun.
type row struct {
	delivery.Recipient
	message     int64
	domain      string
	dest        string // who is contacted for it: the lane it waits in
	local       bool
	delayTold   bool
	firstFail   string
	firstFailAt time.Time
	unanswered  time.Time // when it was first sent in full to a host that never answered; zero: never
	account     string
	need        *delivery.TLSNeed // an operator's, for this recipient
	via         *string           // the same, of the transport
	dueWas      time.Time         // of a row that only has to be looked at
	last        last              // how the last attempt went
}

// last is what a row tells of its last attempt.
type last struct{ word, text, reply, host string }

// job is a leased delivery.Job with its rows and, if it came straight from
// Enqueue, its content.
type job struct {
	delivery.Job
	dispatch.Ticket
	rows    []row
	content delivery.Content // nil: read from the store
	lease   *lease
	attend  bool // it only has to be looked at: nothing is dialled

	operator bool // somebody ends it: no attempt
	silent   bool // and nobody is told
	released bool // no hold rule holds it now

	// What the attempt found beside its result.
	held    string            // the hold rule that stopped it
	crowded bool              // nobody was dialled: its turn comes later
	changed []dispatch.Change // who has closed, or opened again
}
