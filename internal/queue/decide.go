package queue

import (
	"cmp"
	"context"
	"sync"

	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/spool"
)

// decide says what becomes of each row.
func (s *settlement) decide() bounce.Attempt {
	j := s.job
	a := bounce.Attempt{
		Envelope: &j.Envelope, Recipients: make([]delivery.Recipient, len(s.rows)), Result: s.res,
		Schedule: s.q.schedule(j.Purpose), Now: s.now, Jitter: s.jitter,
		NoAttempt: j.noAttempt, Stopped: s.stopped, PutOff: j.putOff(), Operator: j.operator, NoNotice: j.noNotice, Hold: j.holdRule,
	}
	if j.noAttempt {
		a.Result = &delivery.Result{}
	}
	for i := range s.rows {
		a.Recipients[i] = s.rows[i].Recipient
		if j.noAttempt {
			a.Result.Recipients = append(a.Result.Recipients, s.rows[i].LastResult())
		}
	}
	s.outcomes = bounce.Decide(&a)
	s.next = make([]spool.Entry, len(s.rows))
	for i := range s.rows {
		s.next[i] = s.after(s.rows[i], &s.outcomes[i])
	}
	return a
}

// after is how a row stands after the attempt.
func (s *settlement) after(was spool.Entry, o *bounce.Outcome) spool.Entry {
	e := was
	e.Recipient, e.Attend, e.Claim = o.Recipient, o.Attend, s.job.lease.number
	e.State, e.Due = spool.Waiting, cmp.Or(o.Next, s.job.early[was.ID])
	rr := &o.Result
	switch {
	case s.job.holdRule != "":
		e.State, e.Due, e.Word, e.Text = spool.Held, s.now, rr.Word, rr.Text
		return e
	case o.Undone:
		if s.job.unrouted { // for whoever asks why it waits
			e.Word, e.Text = rr.Word, rr.Text
		}
		return e
	case rr.Outcome == delivery.Delivered:
		e.State, e.Due, e.Contact = spool.Delivered, s.now, delivery.Contact{}
	case rr.Outcome == delivery.Failed:
		e.State, e.Due, e.Contact = spool.Failed, s.now, delivery.Contact{}
	}
	e.Attempts++
	e.Last = rr.Last
	e.Word, e.Text, e.Reply, e.Host, e.TLS = rr.Word, rr.Text, rr.Reply.String(), rr.Host.ASCII(), rr.TLS
	return e
}

// place says whom each recipient waits for next: a route may begin after some
// attempts.
func (s *settlement) place(ctx context.Context) {
	ways := sync.OnceValue(func() *route.Ways { return s.q.ways(ctx) })
	for i := range s.next {
		if e := &s.next[i]; e.State == spool.Waiting && !s.outcomes[i].Undone {
			e.Contact = contactOf(ways(), &s.job.Envelope, e, e.Attempts)
		}
	}
}
