package login

import (
	"context"
	"crypto/rand"
	"fmt"

	"waxwing/internal/store"
)

// secretSize is that of HMAC-SHA-256's key.
const secretSize = 32

// Secret is what Checker.Secret is to be: made once for a store, whoever comes
// first, and from then on the same for all processes and machines that share it.
func Secret(ctx context.Context, db *store.Store) ([]byte, error) {
	const name = "scram-made-up"
	made := make([]byte, secretSize)
	rand.Read(made)
	var secret []byte
	err := db.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, made); err != nil {
			return err
		}
		return tx.Row(`SELECT value FROM secrets WHERE name = ?`, name).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("the secret of made-up SCRAM salts: %w", err)
	}
	return secret, nil
}
