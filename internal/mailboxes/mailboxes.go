// Package mailboxes keeps delivered mail in the store.
package mailboxes

import (
	"context"
	"errors"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// ErrNoSuchMessage is returned for a message that is not (or no longer) there.
var ErrNoSuchMessage = errors.New("no such message")

// Store keeps mail.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now
}

var errTodo = errors.New("not yet")

// Deliver puts a message into a mailbox, in the caller's transaction: together with what
// the caller settles, it is there or not.
func (s *Store) Deliver(tx *store.Tx, d mailbox.Delivery, c delivery.Content) (int64, error) {
	return 0, errTodo
}

// List returns the newest messages of a mailbox, newest first, up to limit (at most 1000).
func (s *Store) List(ctx context.Context, account, box string, limit int) ([]mailbox.Message, error) {
	return nil, errTodo
}

// Open returns a message; its content is read from the store piece by piece.
func (s *Store) Open(ctx context.Context, id int64) (delivery.Content, mailbox.Message, error) {
	return nil, mailbox.Message{}, errTodo
}
