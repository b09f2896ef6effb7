package accounts

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// StandIn is whose salt a SCRAM login that is nobody's is answered with: the
// account of that name, else of an address with that local part; "" where there
// is none. For a salt is the account's: if joe and joe@example.org shared one
// only where both are real, that they do would tell that they are.
func (s *Store) StandIn(ctx context.Context, user string) (name string, err error) {
	l := account.ParseLogin(user)
	if l.Local == account.CatchAll || !utf8.ValidString(l.Local) || strings.ContainsRune(l.Local, 0) { // PostgreSQL takes no such text
		return "", nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		for _, q := range []string{
			`SELECT name FROM accounts WHERE name = ?`,
			`SELECT account FROM addresses WHERE local = ? AND account IS NOT NULL ORDER BY domain LIMIT 1`,
		} {
			if err := tx.Row(q, l.Local).Scan(&name); !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return nil
	})
	return name, err
}
