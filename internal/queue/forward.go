package queue

import (
	"context"
	"fmt"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// forwarded is a message that goes on to others, ready to be queued.
type forwarded struct {
	env  delivery.Envelope
	body delivery.Content // as Prepare made it
	held map[int64]string
}

// forward makes the messages that go on for recipients that are being settled as delivered
// (ACC-1): body and signatures as they came, in an envelope of their own. An error is the
// store's.
func (s *settlement) forward(ctx context.Context) error {
	s.forwards = nil
	for _, f := range s.res.Forwards {
		if !slices.ContainsFunc(s.next, func(e spool.Entry) bool { return e.ID == f.Recipient && e.State == spool.Delivered }) {
			continue
		}
		original, err := s.q.content(ctx, s.job)
		if err != nil {
			return err
		}
		out := forwarded{env: f.Envelope(&s.job.Envelope), body: f.Content(original)}
		if out.held, err = s.q.prepare(ctx, &out.env, out.body); err != nil {
			return err
		}
		if out.body, err = s.q.Prepare(ctx, &out.env, out.body); err != nil {
			return err
		}
		s.forwards = append(s.forwards, out)
	}
	return nil
}

// writeForwards queues what goes on.
func (s *settlement) writeForwards(tx *store.Tx) error {
	for i := range s.forwards {
		f := &s.forwards[i]
		if err := s.q.insert(tx, &f.env, f.body, f.held); err != nil {
			return fmt.Errorf("pass the message on: %w", err)
		}
	}
	return nil
}

// toldForwards logs what went on, and has it begun.
func (s *settlement) toldForwards() {
	for i := range s.forwards {
		env := &s.forwards[i].env
		s.q.Log.Info("message passed on", "message", delivery.ID(s.job.ID), "as", delivery.ID(env.ID), "from", env.Sender, "recipients", len(env.Recipients))
	}
	if len(s.forwards) > 0 {
		s.q.Wake()
	}
}
