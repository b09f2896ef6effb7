// Package accounts keeps the hosted domains, the accounts, their addresses and
// their credentials in the store (INB-4, ACC-1).
package accounts

import (
	"context"
	"errors"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
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

type cache struct{}

var errTodo = errors.New("not yet")

// AddDomain begins to host a domain.
func (s *Store) AddDomain(ctx context.Context, name dns.Name) error { return errTodo }

// RemoveDomain ends hosting; ErrInUse while it has addresses.
func (s *Store) RemoveDomain(ctx context.Context, name dns.Name) error { return errTodo }

// Domains are the hosted ones by name.
func (s *Store) Domains(ctx context.Context) ([]account.Domain, error) { return nil, errTodo }

// IsHosted reports whether mail for the domain is received here.
func (s *Store) IsHosted(ctx context.Context, name dns.Name) (bool, error) { return false, errTodo }

// AddAccount makes an account with a password.
func (s *Store) AddAccount(ctx context.Context, name, password string) error { return errTodo }

// SetPassword replaces all credentials of the account.
func (s *Store) SetPassword(ctx context.Context, name, password string) error { return errTodo }

// SetDisabled forbids or allows an account to log in.
func (s *Store) SetDisabled(ctx context.Context, name string, disabled bool) error { return errTodo }

// RemoveAccount removes an account and its credentials; ErrInUse while it has addresses.
func (s *Store) RemoveAccount(ctx context.Context, name string) error { return errTodo }

// Accounts are all accounts by name.
func (s *Store) Accounts(ctx context.Context) ([]account.Account, error) { return nil, errTodo }

// AddAddress gives the account an address of a hosted domain; "*@domain" is its catchall.
func (s *Store) AddAddress(ctx context.Context, address, acct string) error { return errTodo }

// RemoveAddress takes an address away.
func (s *Store) RemoveAddress(ctx context.Context, address string) error { return errTodo }

// Addresses are all addresses, by domain and local part.
func (s *Store) Addresses(ctx context.Context) ([]account.Address, error) { return nil, errTodo }

// Resolve finds who gets mail for an address; ErrNotHosted, ErrNoSuchAddress.
func (s *Store) Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error) {
	return account.Target{}, errTodo
}

// Credentials are those of an account; false where there is no such account, or it is
// disabled.
func (s *Store) Credentials(ctx context.Context, name string) (account.Credentials, bool, error) {
	return account.Credentials{}, false, errTodo
}

// Login finds the account for what a user typed: an account's name or one of its addresses;
// "" where there is none.
func (s *Store) Login(ctx context.Context, user string) (string, error) { return "", errTodo }

// MaySendAs reports whether the account has the address, also by "+" or catchall.
func (s *Store) MaySendAs(ctx context.Context, name, address string) (bool, error) {
	return false, errTodo
}
