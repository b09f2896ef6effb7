package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// AddAccount makes an account with a password; ErrExists.
func (s *Store) AddAccount(ctx context.Context, name, password string) error {
	if err := account.CheckName(name); err != nil {
		return err
	}
	c, err := account.NewCredentials(password) // slow: not in the transaction
	if err != nil {
		return err
	}
	return s.change(ctx, func(w Within) error { return w.AddAccount(name, c.Stored()) })
}

// SetPassword replaces all credentials of the account; ErrNoSuchAccount.
func (s *Store) SetPassword(ctx context.Context, name, password string) error {
	old, err := reading(ctx, s, func(w Within) (account.Credentials, error) { return w.saltsOfApps(name) })
	if err != nil {
		return err
	}
	c, err := account.NewCredentialsLike(password, old)
	if err != nil {
		return err
	}
	return s.change(ctx, func(w Within) error { return w.SetCredentials(name, c.Stored()) })
}

// SetDisabled forbids or allows an account to log in; ErrNoSuchAccount.
func (s *Store) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return s.change(ctx, func(w Within) error { return w.SetDisabled(name, disabled) })
}

// Disable forbids an account to log in, and says what becomes of its mail; ErrNoSuchAccount.
func (s *Store) Disable(ctx context.Context, name string, m account.DisabledMail) error {
	return s.change(ctx, func(w Within) error {
		if err := w.SetDisabled(name, true); err != nil {
			return err
		}
		return w.SetDisabledMail(name, m)
	})
}

// SetTransport says who keeps the mailboxes of an account (INB-14); ErrNoSuchAccount.
func (s *Store) SetTransport(ctx context.Context, name, transport string) error {
	return s.change(ctx, func(w Within) error { return w.SetTransport(name, transport) })
}

// Accounts are all accounts by name.
func (s *Store) Accounts(ctx context.Context) ([]account.Account, error) {
	return reading(ctx, s, Within.Accounts)
}

// Credentials are those of an account; false where there is no such account,
// or it is disabled.
func (s *Store) Credentials(ctx context.Context, name string) (c account.Credentials, ok bool, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		c, ok = account.Credentials{}, false
		apps, err := s.Within(tx).appKeys(name) // of nobody, too: time must not tell who is there
		if err != nil {
			return err
		}
		access, err := s.Within(tx).Access(name)
		if err != nil {
			return err
		}
		disabled := false
		c, disabled, err = s.Within(tx).credentials(name)
		if errors.Is(err, ErrNoSuchAccount) || err == nil && disabled {
			c = account.Credentials{}
			return nil
		}
		c.Apps, c.Access, ok = apps, access, err == nil
		return err
	})
	if err != nil {
		return account.Credentials{}, false, fmt.Errorf("credentials of account %s: %w", name, err)
	}
	return c, ok, nil
}

// credentials are an account's own; ErrNoSuchAccount.
func (w Within) credentials(name string) (c account.Credentials, disabled bool, err error) {
	var stored account.Stored
	err = w.tx.Row(`SELECT disabled, password, scram256, scram1 FROM accounts WHERE name = ? AND removed = 0`, name).
		Scan(&disabled, &stored.Password, &stored.SCRAM256, &stored.SCRAM1)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, fmt.Errorf("account %s: %w", name, ErrNoSuchAccount)
	}
	if err == nil {
		c, err = stored.Credentials()
	}
	return c, disabled, err
}

// Login finds the account for what a user typed: an account's name or one of
// its addresses as it stands (no "+", no catchall); "" where there is none.
func (s *Store) Login(ctx context.Context, user string) (name string, err error) {
	l := account.ParseLogin(user)
	q, args := `SELECT name FROM accounts WHERE name = ? AND removed = 0`, []any{l.Name}
	switch {
	case l.IsAddress():
		// The address as it was typed goes first: in some domains case counts (ACC-2).
		q = `SELECT account FROM addresses WHERE domain = ? AND local IN (?, ?) AND account IS NOT NULL ORDER BY CASE WHEN local = ? THEN 0 ELSE 1 END LIMIT 1`
		args = []any{l.Domain.ASCII(), l.Typed, l.Local, l.Typed}
	case l.Name == "":
		return "", nil // neither a name nor an address: nobody's
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(q, args...).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return name, err
}
