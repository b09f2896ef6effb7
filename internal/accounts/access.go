package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

// Access is what an account may do (ACC-3); of nobody, the zero value.
func (s *Store) Access(ctx context.Context, name string) (account.Access, error) {
	return s.access.Get(ctx, s.DB, Area, name, func(tx *store.Tx) (account.Access, int, error) {
		a, err := s.Within(tx).Access(name)
		return a, 1, err
	})
}

// ChangeAccess changes what an account may do; ErrNoSuchAccount.
func (s *Store) ChangeAccess(ctx context.Context, name string, change func(account.Access) account.Access) error {
	return s.change(ctx, func(w Within) error {
		a, err := w.Access(name)
		if err != nil {
			return err
		}
		return w.SetAccess(name, change(a))
	})
}

// Access is Store.Access.
func (w Within) Access(name string) (a account.Access, err error) {
	var networks, off string
	err = w.tx.Row(`SELECT app_only, networks, send, admin, imap_disable, second_factor FROM accounts WHERE name = ?`, name).Scan(&a.AppOnly, &networks, &a.Send, &a.Admin, &off, &a.SecondFactor)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	if err == nil {
		a.Networks, err = account.ParseNetworks(networks)
	}
	if err == nil {
		a.IMAPDisable, err = account.ParseExtensions(off)
	}
	if err != nil {
		return a, fmt.Errorf("rules of account %s: %w", name, err)
	}
	return a, nil
}

// SetSecondFactor says whether people log in to the account's pages with more than the password; ErrNoSuchAccount.
func (w Within) SetSecondFactor(name string, has bool) error {
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET second_factor = ? WHERE name = ?`, has, name)
}

// SetAccess replaces what an account may do, its second factor apart; ErrNoSuchAccount.
func (w Within) SetAccess(name string, a account.Access) error {
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET app_only = ?, networks = ?, send = ?, admin = ?, imap_disable = ? WHERE name = ?`,
		a.AppOnly, account.JoinNetworks(a.Networks), a.Send, a.Admin, strings.Join(a.IMAPDisable, " "), name)
}
