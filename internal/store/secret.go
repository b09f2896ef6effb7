package store

import (
	"context"
	"crypto/rand"
	"fmt"
)

// secretSize is that of HMAC-SHA-256's key, in octets.
const secretSize = 32

// Secret is a random value that is made once for a store, whoever comes first, and from then on
// is the same for all processes and machines that share it.
func (s *Store) Secret(ctx context.Context, name string) (secret []byte, err error) {
	made := make([]byte, secretSize)
	rand.Read(made)
	err = s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(`INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, made); err != nil {
			return err
		}
		return tx.Row(`SELECT value FROM secrets WHERE name = ?`, name).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("the secret %s of the store: %w", name, err)
	}
	return secret, nil
}
