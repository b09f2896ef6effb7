package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// bodies are where messages' octets are. A message's body has its identifier; the
// queue is one user of it until the last recipient is settled.
func (q *Queue) bodies() *body.Store { return &body.Store{DB: q.Store, Now: q.Now} }

// body returns the content of a stored message.
func (q *Queue) body(ctx context.Context, id, size int64) (delivery.Content, error) {
	c, err := q.bodies().Open(ctx, id, size)
	if err != nil {
		return nil, fmt.Errorf("read the body of message %s: %w", delivery.ID(id), err)
	}
	return c, nil
}

// putBody stores a large body before its envelope, in transactions of its own:
// nobody else waits while it is read. stays: mailboxes get it.
func (q *Queue) putBody(ctx context.Context, id int64, c delivery.Content, stays bool) error {
	bodies := q.bodies()
	bodies.Keep = stays
	err := bodies.Put(ctx, id, c)
	if err != nil {
		q.removeBody(ctx, &message{env: &delivery.Envelope{ID: id}}, err)
		return fmt.Errorf("queue the message's body: %w", err)
	}
	return nil
}

// removeWait bounds how long somebody who was refused waits for the clean-up.
const removeWait = 10 * time.Second

// removeBody takes away what putBody stored for a message that was not accepted, and
// leaves it alone where the message was accepted after all.
func (q *Queue) removeBody(ctx context.Context, m *message, cause error) {
	if m.inline != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
	defer cancel()
	if err := q.bodies().Remove(ctx, m.env.ID); err != nil {
		q.Log.Warn("body of a refused message left for the sweep", "message", delivery.ID(m.env.ID), "error", err, "refused", cause)
	}
}

// useBody makes the queue a user of the message's body.
func (m *message) useBody(tx *store.Tx) error {
	if m.inline != nil {
		return body.Insert(tx, m.env.ID, m.packed, 1)
	}
	return body.Use(tx, m.env.ID, 1)
}

// stays reports that mailboxes here are to have a message.
func stays(env *delivery.Envelope) bool {
	return slices.ContainsFunc(env.Recipients, func(r delivery.Recipient) bool { return r.Local })
}

// pack compresses a small body that stays; one that only passes is written as it is.
func (m *message) pack() {
	m.packed = body.Packed{Data: m.inline}
	if m.inline != nil && stays(m.env) {
		m.packed = body.Pack(m.inline)
	}
}
