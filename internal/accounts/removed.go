package accounts

import (
	"context"
	"errors"
	"fmt"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// RemoveAccount removes an account. One that has mail stays for a while, and is nobody's: nobody logs in
// to it, and nothing lists it but Removed (MBX-3). ErrInUse while it has addresses, ErrNoSuchAccount.
func (s *Store) RemoveAccount(ctx context.Context, name string) error {
	return s.change(ctx, func(w Within) error {
		what := "account " + name
		known, err := w.known(name)
		if err == nil && !known {
			err = fmt.Errorf("%s: %w", what, ErrNoSuchAccount)
		}
		if err != nil {
			return err
		}
		used, err := exists(w.tx, `SELECT count(*) FROM addresses WHERE account = ?`, name)
		if err == nil && used {
			err = fmt.Errorf("%s: %w", what, ErrInUse)
		}
		if err != nil {
			return err
		}
		mail, err := exists(w.tx, `SELECT count(*) FROM mailboxes WHERE account = ?`, name)
		if err != nil {
			return err
		}
		if !mail {
			return w.RemoveAccount(name)
		}
		return w.set(ErrNoSuchAccount, what, `UPDATE accounts SET removed = ? WHERE name = ? AND removed = 0`, w.s.now(), name)
	})
}

// RestoreAccount brings a removed account back as it was, but for its addresses; ErrNoSuchAccount.
func (s *Store) RestoreAccount(ctx context.Context, name string) error {
	return s.change(ctx, func(w Within) error {
		return w.set(ErrNoSuchAccount, "removed account "+name, `UPDATE accounts SET removed = 0 WHERE name = ? AND removed > 0`, name)
	})
}

// Removed are the accounts that can be brought back, by name.
func (s *Store) Removed(ctx context.Context) ([]account.Removed, error) {
	return store.List(ctx, s.DB, func(r store.Row) (a account.Removed, err error) {
		var at int64
		err = r.Scan(&a.Name, &at)
		a.Removed = store.FromTime(at)
		return a, err
	}, `SELECT name, removed FROM accounts WHERE removed > 0 ORDER BY name`)
}

// known reports whether there is an account, and it is not removed.
func (w Within) known(name string) (bool, error) {
	return exists(w.tx, `SELECT count(*) FROM accounts WHERE name = ? AND removed = 0`, name)
}

// taken adds to the error of a name that is taken that it is a removed account's.
func (w Within) taken(name string, err error) error {
	if !errors.Is(err, ErrExists) {
		return err
	}
	if there, kerr := w.known(name); kerr != nil || there {
		return err
	}
	return fmt.Errorf("%w, and was removed: \"waxwing mail undelete --account %s\" brings it back", err, name)
}
