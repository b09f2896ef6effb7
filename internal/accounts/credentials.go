package accounts

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrExists, "account "+name, `INSERT INTO accounts (name, disabled, password, scram256, scram1, created)
			VALUES (?, 0, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			name, c.PasswordHash, formatSCRAM(c.SCRAM256), formatSCRAM(c.SCRAM1), s.now())
	})
}

// SetPassword replaces all credentials of the account; ErrNoSuchAccount.
func (s *Store) SetPassword(ctx context.Context, name, password string) error {
	c, err := account.NewCredentials(password)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrNoSuchAccount, "account "+name, `UPDATE accounts SET password = ?, scram256 = ?, scram1 = ? WHERE name = ?`,
			c.PasswordHash, formatSCRAM(c.SCRAM256), formatSCRAM(c.SCRAM1), name)
	})
}

// SetDisabled forbids or allows an account to log in; ErrNoSuchAccount.
func (s *Store) SetDisabled(ctx context.Context, name string, disabled bool) error {
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrNoSuchAccount, "account "+name, `UPDATE accounts SET disabled = ? WHERE name = ?`, disabled, name)
	})
}

// RemoveAccount removes an account and its credentials; ErrInUse while it has
// addresses or mail, ErrNoSuchAccount.
func (s *Store) RemoveAccount(ctx context.Context, name string) error {
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrNoSuchAccount, "account "+name, `DELETE FROM accounts WHERE name = ?`, name)
	})
}

// Accounts are all accounts by name.
func (s *Store) Accounts(ctx context.Context) ([]account.Account, error) {
	return store.List(ctx, s.DB, func(r store.Row) (a account.Account, err error) {
		var created int64
		err = r.Scan(&a.Name, &a.Disabled, &created)
		a.Created = store.FromTime(created)
		return a, err
	}, `SELECT name, disabled, created FROM accounts ORDER BY name`)
}

// Credentials are those of an account; false where there is no such account,
// or it is disabled.
func (s *Store) Credentials(ctx context.Context, name string) (c account.Credentials, ok bool, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		var scram256, scram1 string
		err := tx.Row(`SELECT password, scram256, scram1 FROM accounts WHERE name = ? AND disabled = 0`, name).
			Scan(&c.PasswordHash, &scram256, &scram1)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		if c.SCRAM256, err = parseSCRAM(scram256); err == nil {
			c.SCRAM1, err = parseSCRAM(scram1)
		}
		return err
	})
	if err != nil {
		return account.Credentials{}, false, fmt.Errorf("credentials of account %s: %w", name, err)
	}
	return c, ok, nil
}

// Login finds the account for what a user typed: an account's name or one of
// its addresses as it stands (no "+", no catchall); "" where there is none.
func (s *Store) Login(ctx context.Context, user string) (name string, err error) {
	l := account.ParseLogin(user)
	q, args := `SELECT name FROM accounts WHERE name = ?`, []any{l.Name}
	switch {
	case l.IsAddress():
		q = `SELECT account FROM addresses WHERE domain = ? AND local = ? AND account IS NOT NULL`
		args = []any{l.Domain.ASCII(), l.Local}
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

func formatSCRAM(c account.SCRAM) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d$%s$%s$%s", c.Iterations, b64(c.Salt), b64(c.StoredKey), b64(c.ServerKey))
}

// parseSCRAM is the inverse of formatSCRAM. Its error holds nothing of the
// row.
func parseSCRAM(s string) (c account.SCRAM, err error) {
	damaged := errors.New("stored SCRAM keys are damaged: set the password anew")
	f := strings.Split(s, "$")
	if len(f) != 4 {
		return c, damaged
	}
	if c.Iterations, err = strconv.Atoi(f[0]); err != nil || c.Iterations < 1 {
		return account.SCRAM{}, damaged
	}
	for i, to := range []*[]byte{&c.Salt, &c.StoredKey, &c.ServerKey} {
		if *to, err = base64.StdEncoding.DecodeString(f[i+1]); err != nil || len(*to) == 0 {
			return account.SCRAM{}, damaged
		}
	}
	return c, nil
}
