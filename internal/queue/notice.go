package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"

	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/store"
)

// compose makes the notification that is due, if one is. An error is the store's.
func (s *settlement) compose(ctx context.Context, a *bounce.Attempt) error {
	s.notice, s.body, s.ascii = nil, nil, nil
	if !slices.ContainsFunc(s.outcomes, func(o bounce.Outcome) bool { return o.Tell != "" }) {
		return nil
	}
	var n bounce.Notice
	// It is made of what strangers wrote: whatever it does, the outcome will be settled.
	err := s.q.Guard.Try(guard.Notice, func() (err error) {
		n, err = s.q.notify(ctx, s.job, a, s.outcomes)
		return err
	}, s.job.attrs()...)
	if err != nil {
		s.q.Log.Error("no notification could be made for the sender", "message", delivery.ID(s.job.ID), "sender", s.job.Sender, "error", err)
		return nil
	}
	if s.body, err = s.q.Prepare(ctx, &n.Envelope, delivery.Bytes(n.Text)); err != nil {
		return err
	}
	s.notice, s.ascii = &n.Envelope, n.ASCII
	return nil
}

// notify composes and signs a notification.
func (q *Queue) notify(ctx context.Context, j *job, a *bounce.Attempt, outcomes []bounce.Outcome) (bounce.Notice, error) {
	original, err := q.original(ctx, j)
	if err != nil {
		q.Log.Error("notification goes without the original", "message", delivery.ID(j.ID), "error", err)
		original = nil
	}
	var seed [64]byte
	rand.Read(seed[:])
	n, err := bounce.Compose(a, outcomes, bounce.Sender{Hostname: q.Hostname, Postmaster: q.Postmaster}, original, seed)
	if err != nil {
		return n, err
	}
	if n.NoASCII != nil {
		q.Log.Info("notification can only go to a host with SMTPUTF8", "message", delivery.ID(j.ID), "sender", j.Sender, "text", n.NoASCII)
	}
	n.Text = q.signed(ctx, j, n.Text)
	if n.ASCII != nil {
		n.ASCII = q.signed(ctx, j, n.ASCII)
	}
	to := &n.Envelope.Recipients[0]
	n.Envelope.ID, to.ID = store.NewID(), store.NewID()
	n.Envelope.Size, to.Local = int64(len(n.Text)), q.senderIsLocal(ctx, to.Domain)
	return n, nil
}

// signed is a notification with its signature, or without if it cannot be made.
func (q *Queue) signed(ctx context.Context, j *job, text []byte) []byte {
	if q.Sign == nil {
		return text
	}
	fields, err := q.Sign(ctx, text)
	if err != nil {
		q.Log.Warn("notification goes unsigned", "message", delivery.ID(j.ID), "error", err)
		return text
	}
	return append(fields, text...)
}

// senderIsLocal may say no where it cannot tell: the first attempt asks again.
func (q *Queue) senderIsLocal(ctx context.Context, d delivery.RecipientDomain) bool {
	if q.IsLocal == nil {
		return false
	}
	local, err := q.IsLocal(ctx, d)
	return err == nil && local
}

// original is as much of a message as a notification may return.
func (q *Queue) original(ctx context.Context, j *job) ([]byte, error) {
	content := j.content
	if content == nil {
		var err error
		if content, err = q.body(ctx, j.ID, j.Size); err != nil {
			return nil, err
		}
	}
	r, err := content.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, bounce.Returned(&j.Envelope)))
	if err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	return b, err
}
