package mailboxes

import (
	"context"

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

// PackAll is what Pack does.
func PackAll(s *Store, ctx context.Context) error { return s.views.PackAll(ctx, s.DB) }
