package queue

import (
	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/webhooks"
)

// events notes for webhooks what became of the recipients, in the settling transaction
// (OPS-8).
func (s *settlement) events(tx *store.Tx) (err error) {
	if s.q.Webhooks == nil {
		return nil
	}
	s.told, err = s.q.Webhooks.Settled(tx, &s.job.Envelope, s.became())
	return err
}

// became is what became of each recipient that reached its end, or was tried and waits.
func (s *settlement) became() (out []webhooks.Outcome) {
	for i := range s.next {
		e, o := &s.next[i], webhooks.Outcome{Address: s.next[i].Address, Result: s.outcomes[i].Result, Attempts: s.next[i].Attempts, Visits: s.res.Visits}
		switch {
		case e.State == spool.Delivered:
			o.Result.Outcome = delivery.Delivered
		case e.State == spool.Failed:
			o.Result.Outcome = delivery.Failed
		case e.State == spool.Waiting && s.job.tried() && !s.outcomes[i].Undone:
			o.Result.Outcome, o.Next = delivery.Deferred, e.Due
		default:
			continue
		}
		for k := range s.res.Copies {
			if s.res.Copies[k].Recipient == e.ID {
				o.Copy = &s.res.Copies[k]
			}
		}
		out = append(out, o)
	}
	return out
}
