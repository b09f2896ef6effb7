package accounts

import (
	"context"
	"strings"
	"unicode/utf8"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// maxStandIns bounds StandIns: a server may have an "info" for each customer.
const maxStandIns = 32

// StandIns are the accounts with whose salts a SCRAM login that is nobody's may be
// answered: the one of that name, and those of addresses with that local part. For
// a salt is the account's: if joe and joe@example.org shared one only where both
// are real, that they do would tell that they are.
func (s *Store) StandIns(ctx context.Context, user string) ([]string, error) {
	l := account.ParseLogin(user)
	if l.Local == account.CatchAll || !utf8.ValidString(l.Local) || strings.ContainsRune(l.Local, 0) { // PostgreSQL takes no such text
		return nil, nil
	}
	return store.List(ctx, s.DB, store.Value[string], `SELECT name FROM accounts WHERE name = ? AND removed = 0
		UNION SELECT account FROM addresses WHERE local = ? AND account IS NOT NULL ORDER BY 1 LIMIT ?`, l.Local, l.Local, maxStandIns)
}
