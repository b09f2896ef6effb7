package dispatch

import (
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// Ticket is what a board knows of a job. The job embeds it.
type Ticket struct {
	To      delivery.Contact // whose pace it counts by
	Account string
	Memory  int64 // octets of its content that are held in memory

	began  time.Time // of the attempt; zero: it waits
	silent bool      // it counts as a delivery to a contact that does not answer
}

func (t *Ticket) ticket() *Ticket { return t }

// Job is a job that holds its Ticket.
type Job interface {
	comparable
	ticket() *Ticket
}

// standing is how a contact is treated, and what it has.
type standing struct {
	key     delivery.Contact
	way     delivery.Contact // that it shares with others; zero: none
	pace    retry.Pace
	running int
	waiting int
}

// told takes over what the store says: other machines, and operators, close and open
// contacts too. It reports whether one that was closed has opened.
func (s *standing) told(is retry.Closing, known bool) (opened bool) {
	switch {
	case known && (s.pace.Failures < is.Failures || !s.pace.Blocked.Equal(is.Until)):
		s.pace = retry.Pace{Window: 1, Failures: is.Failures, Counted: s.pace.Counted, Blocked: is.Until}
	case !known && s.pace.Dead():
		s.pace = retry.Pace{Window: 1}
		return true
	}
	return false
}

// target is a contact with its jobs on the board.
type target[J Job] struct {
	standing
	queues  map[string][]J // by account
	turns   []string       // accounts with a queue, each once
	listed  bool           // it is in a ring
	answers bool           // it did when it was last heard of
	slow    bool           // a delivery to it takes long
	more    bool           // the store has due work for it that found no room
}

func newTarget[J Job](c delivery.Contact) *target[J] {
	way, _ := c.Shared()
	return &target[J]{standing: standing{key: c, way: way}}
}

// put adds a job behind those of its account.
func (d *target[J]) put(j J) {
	account := j.ticket().Account
	if len(d.queues[account]) == 0 {
		d.turns = append(d.turns, account)
	}
	if d.queues == nil {
		d.queues = map[string][]J{}
	}
	d.queues[account] = append(d.queues[account], j)
	d.waiting++
}

// pop takes the next job of the account whose turn it is, of those that may have one.
// ok is false if none may.
func (d *target[J]) pop(may func(account string) bool) (j J, ok bool) {
	i := slices.IndexFunc(d.turns, may)
	if i < 0 {
		return j, false
	}
	a := d.turns[i]
	d.turns = slices.Delete(d.turns, i, i+1)
	jobs := d.queues[a]
	j, jobs[0] = jobs[0], j
	d.waiting--
	if jobs = jobs[1:]; len(jobs) > 0 {
		d.queues[a] = jobs
		d.turns = append(d.turns, a)
	} else {
		delete(d.queues, a)
	}
	return j, true
}

// clear takes out all that waits.
func (d *target[J]) clear() (out []J) {
	for len(d.queues) > 0 {
		j, _ := d.pop(func(string) bool { return true })
		out = append(out, j)
	}
	return out
}

// silent reports a contact that has not answered, or does not now.
func (d *target[J]) silent() bool { return !d.key.Local && (!d.answers || d.slow) }
