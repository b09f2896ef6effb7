// Package accounts keeps the hosted domains, the accounts, their addresses and
// their credentials in the store (INB-4, ACC-1).
package accounts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// Area is the generation that every change here raises.
const Area = "accounts"

// What a lookup or change can come to.
var (
	ErrNotHosted     = errors.New("the domain is not hosted here")
	ErrNoSuchAddress = errors.New("no such address")
	ErrNoSuchAccount = errors.New("no such account")
	ErrExists        = errors.New("it exists already")
	ErrInUse         = errors.New("it is still in use")
)

// Store keeps accounts. Its methods may be called at the same time; changes
// of another process are seen by the next call.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now

	mu    sync.Mutex
	cache cache
}

func (s *Store) now() int64 {
	if s.Now == nil {
		return store.Time(time.Now())
	}
	return store.Time(s.Now())
}

// change runs fn in a transaction that raises the area.
func (s *Store) change(ctx context.Context, fn func(tx *store.Tx) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// one runs a statement that must change a row, else the error is missing, about
// what.
func one(tx *store.Tx, missing error, what, q string, args ...any) error {
	n, err := tx.Exec(q, args...)
	switch {
	case store.IsForeignKey(err):
		return fmt.Errorf("%s: %w", what, ErrInUse)
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("%s: %w", what, missing)
	}
	return nil
}

// exists reports whether a query for a count finds any.
func exists(tx *store.Tx, q string, args ...any) (bool, error) {
	var n int
	err := tx.Row(q, args...).Scan(&n)
	return n > 0, err
}

// AddDomain begins to host a domain; ErrExists.
func (s *Store) AddDomain(ctx context.Context, name dns.Name) error {
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrExists, "domain "+name.Unicode(),
			`INSERT INTO domains (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING`, name.ASCII(), s.now())
	})
}

// RemoveDomain ends hosting; ErrInUse while it has addresses, ErrNotHosted.
func (s *Store) RemoveDomain(ctx context.Context, name dns.Name) error {
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrNotHosted, "domain "+name.Unicode(), `DELETE FROM domains WHERE name = ?`, name.ASCII())
	})
}

// Domains are the hosted ones by name.
func (s *Store) Domains(ctx context.Context) ([]account.Domain, error) {
	return store.List(ctx, s.DB, func(r store.Row) (d account.Domain, err error) {
		var name string
		var created int64
		if err = r.Scan(&name, &created); err != nil {
			return d, err
		}
		d.Created = store.FromTime(created)
		d.Name, err = dns.ParseName(name)
		return d, err
	}, `SELECT name, created FROM domains ORDER BY name`)
}

// AddAddress gives the account an address of a hosted domain; "*@domain" is
// its catchall. Errors: ErrNotHosted, ErrNoSuchAccount, ErrExists.
func (s *Store) AddAddress(ctx context.Context, address, acct string) error {
	local, domain, err := split(address)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		hosted, err := exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, domain.ASCII())
		if err != nil {
			return err
		}
		known, err := exists(tx, `SELECT count(*) FROM accounts WHERE name = ?`, acct)
		switch {
		case err != nil:
			return err
		case !hosted:
			return fmt.Errorf("domain %s: %w; add it first", domain.Unicode(), ErrNotHosted)
		case !known:
			return fmt.Errorf("account %s: %w; add it first", acct, ErrNoSuchAccount)
		}
		return one(tx, ErrExists, "address "+address, `INSERT INTO addresses (domain, local, account, mailbox, created)
			VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, domain.ASCII(), local, acct, account.Inbox, s.now())
	})
}

// RemoveAddress takes an address away; ErrNoSuchAddress.
func (s *Store) RemoveAddress(ctx context.Context, address string) error {
	local, domain, err := split(address)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		return one(tx, ErrNoSuchAddress, "address "+address,
			`DELETE FROM addresses WHERE domain = ? AND local = ?`, domain.ASCII(), local)
	})
}

// Addresses are all addresses, by domain and local part.
func (s *Store) Addresses(ctx context.Context) ([]account.Address, error) {
	return store.List(ctx, s.DB, func(r store.Row) (a account.Address, err error) {
		var local, domain string
		var created int64
		err = r.Scan(&local, &domain, &a.Account, &a.Mailbox, &created)
		a.Address = smtp.Address{Local: local, Domain: domain}.String()
		a.Created = store.FromTime(created)
		return a, err
	}, `SELECT local, domain, account, mailbox, created FROM addresses WHERE account IS NOT NULL ORDER BY domain, local`)
}

// split parses an address into what the rows hold.
func split(address string) (local string, domain dns.Name, err error) {
	a, err := smtp.ParseAddress(address, true)
	if err != nil {
		return "", dns.Name{}, fmt.Errorf("address %q: %w", address, err)
	}
	domain, err = dns.ParseName(a.Domain)
	if err != nil {
		return "", dns.Name{}, fmt.Errorf("address %q: %w", address, err)
	}
	return account.NormalizeLocal(a.Local), domain, nil
}
