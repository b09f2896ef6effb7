package apikeys

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// keepRequests is how long an idempotency key is remembered.
const keepRequests = 7 * 24 * time.Hour

// Request is what was sent under an idempotency key of an account. The names belong to the
// account, so that a key can be replaced while a program tries again.
type Request struct {
	Account string
	Name    string
	Hash    []byte // SHA-256 of all that the request said
}

// ErrReused: the idempotency key stands for another request.
var ErrReused = errors.New("the idempotency key was used for another request: take a new one for each message")

// Sent is the message that was queued for a request; 0: none was. ErrReused.
func (s *Store) Sent(ctx context.Context, r Request) (delivery.ID, error) {
	return r.message(func(fn func(*store.Tx) error) error { return s.DB.Read(ctx, fn) })
}

// SentBefore is Sent after ErrSent. Transactions that share a commit see each other before it:
// so this is one of those that write, and is over when what it has seen is durable.
func (s *Store) SentBefore(ctx context.Context, r Request) (delivery.ID, error) {
	id, err := r.message(func(fn func(*store.Tx) error) error { return s.DB.Write(ctx, fn) })
	if err == nil && id == 0 {
		err = errors.New("the call that sent the request was undone")
	}
	return id, err
}

// message reads, in a transaction, which message was queued for it.
func (r Request) message(in func(func(*store.Tx) error) error) (message delivery.ID, err error) {
	var hash []byte
	err = in(func(tx *store.Tx) error {
		hash, message = nil, 0
		err := tx.Row(`SELECT hash, message FROM api_requests WHERE account = ? AND name = ?`, r.Account, r.Name).Scan(&hash, &message)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for the idempotency key: %w", err)
	case message != 0 && !bytes.Equal(hash, r.Hash):
		return 0, ErrReused
	}
	return message, nil
}

// ErrSent: another call has sent the request in the meantime.
var ErrSent = errors.New("the request was sent by another call")

// Note notes a request in the transaction that queues its message; ErrSent.
func (s *Store) Note(tx *store.Tx, r Request, message int64) error {
	n, err := tx.Exec(`INSERT INTO api_requests (account, name, hash, message, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.Account, r.Name, r.Hash, message, store.Time(s.Now()))
	if err == nil && n == 0 {
		err = ErrSent
	}
	return err
}

// Sweep forgets idempotency keys after a week.
func (s *Store) Sweep(ctx context.Context) error {
	return s.DB.Prune(ctx, "idempotency keys", store.Old{Query: `DELETE FROM api_requests WHERE created < ?`, Before: store.Time(s.Now().Add(-keepRequests))})
}
