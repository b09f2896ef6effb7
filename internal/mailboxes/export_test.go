package mailboxes

import (
	"context"
	"time"

	"waxwing/internal/views"
)

// ForgetChanges is what Forget does with mailboxes of very many changes.
func ForgetChanges(s *Store, ctx context.Context, keep int64) error {
	return views.ForgetChanges(ctx, s.DB, keep)
}

// WithSheets is the store with sheets of so many UIDs.
func WithSheets(s *Store, size uint32) *Store {
	s.views.Sheet = size
	return s
}

// WithPoll is the store that wakes all so often while it does not hear of others.
func WithPoll(s *Store, each time.Duration) *Store {
	s.poll = each
	return s
}

// PackAll is what Pack does.
func PackAll(s *Store, ctx context.Context) error { return s.views.PackAll(ctx, s.DB) }
