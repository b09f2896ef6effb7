// Package accounts keeps the hosted domains, the accounts, their addresses and
// their credentials in the store (INB-4, ACC-1).
package accounts

import (
	"context"
	"errors"
	"fmt"
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
	ErrNoSuchAlias   = errors.New("no such alias")
	ErrNoSuchApp     = errors.New("no such app password")
	ErrLoop          = errors.New("its mail would come back to it")
)

// Store keeps accounts. Its methods may be called at the same time; changes
// of another process are seen by the next call.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now

	memory   memory
	disabled store.Cached[map[dns.Name]account.DisabledMail]
	graphs   store.Keyed[string, *account.Graph] // by alias
	trusted  store.Keyed[string, []dns.Name]     // by account
	access   store.Keyed[string, account.Access] // by account
	scheme   scheme                              // of rewritten senders
}

func (s *Store) now() int64 {
	if s.Now == nil {
		return store.Time(time.Now())
	}
	return store.Time(s.Now())
}

// change runs fn in a transaction.
func (s *Store) change(ctx context.Context, fn func(Within) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return fn(s.Within(tx)) })
}

// reading runs fn in a snapshot.
func reading[T any](ctx context.Context, s *Store, fn func(Within) (T, error)) (T, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (T, error) { return fn(s.Within(tx)) })
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
	return s.change(ctx, func(w Within) error { return w.AddDomain(name) })
}

// RemoveDomain ends hosting; ErrInUse while it has addresses, ErrNotHosted.
func (s *Store) RemoveDomain(ctx context.Context, name dns.Name) error {
	return s.change(ctx, func(w Within) error { return w.RemoveDomain(name) })
}

// Domains are the hosted ones by name.
func (s *Store) Domains(ctx context.Context) ([]account.Domain, error) {
	return reading(ctx, s, Within.Domains)
}

// SetRules says how local parts of a domain are compared (ACC-2); ErrNotHosted, ErrInUse.
func (s *Store) SetRules(ctx context.Context, name dns.Name, r account.LocalRules) error {
	return s.change(ctx, func(w Within) error { return w.SetRules(name, r) })
}

// SetDomainTransport says who keeps the mailboxes of a domain's accounts (INB-14); ErrNotHosted.
func (s *Store) SetDomainTransport(ctx context.Context, name dns.Name, transport string) error {
	return s.change(ctx, func(w Within) error { return w.SetDomainTransport(name, transport) })
}

// SetDomainDisabled has mail for a domain put off and nobody send from it, or ends that;
// ErrNotHosted (SET-4). What has been accepted goes its way all the same.
func (s *Store) SetDomainDisabled(ctx context.Context, name dns.Name, disabled bool) error {
	return s.change(ctx, func(w Within) error { return w.SetDomainDisabled(name, disabled) })
}

// DisableDomain is SetDomainDisabled, with what becomes of its mail (ACC-3); ErrNotHosted.
func (s *Store) DisableDomain(ctx context.Context, name dns.Name, m account.DisabledMail) error {
	return s.change(ctx, func(w Within) error {
		if err := w.SetDomainDisabled(name, true); err != nil {
			return err
		}
		return w.SetDomainDisabledMail(name, m)
	})
}

// IsDisabled reports whether a domain is hosted, and disabled.
func (s *Store) IsDisabled(ctx context.Context, name dns.Name) (bool, error) {
	all, err := s.disabledDomains(ctx)
	_, is := all[name]
	return is, err
}

// DisabledMail is what becomes of mail for a domain that IsDisabled.
func (s *Store) DisabledMail(ctx context.Context, name dns.Name) (account.DisabledMail, error) {
	all, err := s.disabledDomains(ctx)
	return all[name], err
}

func (s *Store) disabledDomains(ctx context.Context) (map[dns.Name]account.DisabledMail, error) {
	return s.disabled.Get(ctx, s.DB, Area, func(tx *store.Tx) (map[dns.Name]account.DisabledMail, error) {
		out := map[dns.Name]account.DisabledMail{}
		err := tx.Each(func(r store.Row) error {
			var text string
			var m account.DisabledMail
			if err := r.Scan(&text, &m); err != nil {
				return err
			}
			n, err := dns.ParseName(text)
			out[n] = m
			return err
		}, `SELECT name, disabled_mail FROM domains WHERE disabled = 1`)
		return out, err
	})
}

// AddAddress gives the account an address of a hosted domain; "*@domain" is
// its catchall. Errors: ErrNotHosted, ErrNoSuchAccount, ErrExists.
func (s *Store) AddAddress(ctx context.Context, address, acct string) error {
	return s.change(ctx, func(w Within) error { return w.AddAddress(address, acct, account.Inbox) })
}

// RemoveAddress takes an address away; ErrNoSuchAddress.
func (s *Store) RemoveAddress(ctx context.Context, address string) error {
	return s.change(ctx, func(w Within) error { return w.RemoveAddress(address) })
}

// Addresses are all addresses, by domain and local part.
func (s *Store) Addresses(ctx context.Context) ([]account.Address, error) {
	return reading(ctx, s, Within.Addresses)
}

// AddressesOf are those of an account.
func (s *Store) AddressesOf(ctx context.Context, name string) ([]account.Address, error) {
	return reading(ctx, s, func(w Within) ([]account.Address, error) { return w.AddressesOf(name) })
}

// parse reads an address of a domain.
func parse(address string) (local string, domain dns.Name, err error) {
	a, err := smtp.ParseAddress(address, true)
	if err != nil {
		return "", dns.Name{}, fmt.Errorf("address %q: %w", address, err)
	}
	domain, err = dns.ParseName(a.Domain)
	if err != nil {
		return "", dns.Name{}, fmt.Errorf("address %q: %w", address, err)
	}
	return a.Local, domain, nil
}

// MustExist keeps a mistyped name from looking like an empty mailbox.
func (s *Store) MustExist(ctx context.Context, name string) error {
	all, err := s.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == name {
			return nil
		}
	}
	return fmt.Errorf("account %s: %w; \"waxwing account list\" shows them", name, ErrNoSuchAccount)
}
