package login

import (
	"context"

	"waxwing/internal/store"
)

// secretSize is that of HMAC-SHA-256's key.
const secretSize = 32

// Secret is what Checker.Secret is to be, the same on all machines that share a store.
func Secret(ctx context.Context, db *store.Store) ([]byte, error) {
	return db.Secret(ctx, "scram-made-up")
}
