package accounts

import (
	"context"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/store"
)

// MaxTrusted is how many mailing lists and forwarders an account can list.
const MaxTrusted = 1000

// Trusted are the mailing lists and forwarders that an account trusts (AUT-3), by name.
func (s *Store) Trusted(ctx context.Context, name string) ([]dns.Name, error) {
	return s.trusted.Get(ctx, s.DB, Area, name, func(tx *store.Tx) ([]dns.Name, int, error) {
		all, err := s.Within(tx).Trusted(name)
		return all, 1 + len(all)/10, err
	})
}

// SetTrusted replaces the list of an account; ErrNoSuchAccount.
func (s *Store) SetTrusted(ctx context.Context, name string, all []dns.Name) error {
	return s.change(ctx, func(w Within) error { return w.SetTrusted(name, all) })
}

// ChangeTrusted adds domains to an account's list, or takes them out; ErrNoSuchAccount.
func (s *Store) ChangeTrusted(ctx context.Context, name string, domains []dns.Name, trust bool) error {
	return s.change(ctx, func(w Within) error {
		all, err := w.Trusted(name)
		if err != nil {
			return err
		}
		wanted := map[dns.Name]bool{}
		for _, d := range all {
			wanted[d] = true
		}
		for _, d := range domains {
			if !trust && !wanted[d] {
				return fmt.Errorf("account %s does not trust %s", name, d)
			}
			wanted[d] = trust
		}
		all = nil
		for d, is := range wanted {
			if is {
				all = append(all, d)
			}
		}
		return w.SetTrusted(name, all)
	})
}

// Trusted is Store.Trusted.
func (w Within) Trusted(name string) ([]dns.Name, error) {
	return store.Collect(w.tx, func(r store.Row) (dns.Name, error) {
		text, err := store.Value[string](r)
		if err != nil {
			return dns.Name{}, err
		}
		return dns.ParseName(text)
	}, `SELECT domain FROM account_trust WHERE account = ? ORDER BY domain`, name)
}

// SetTrusted is Store.SetTrusted.
func (w Within) SetTrusted(name string, all []dns.Name) error {
	if len(all) > MaxTrusted {
		return fmt.Errorf("account %s would trust %d domains, %d are allowed", name, len(all), MaxTrusted)
	}
	known, err := exists(w.tx, `SELECT count(*) FROM accounts WHERE name = ?`, name)
	if err == nil && !known {
		err = fmt.Errorf("account %s: %w", name, ErrNoSuchAccount)
	}
	if err != nil {
		return err
	}
	if _, err := w.tx.Exec(`DELETE FROM account_trust WHERE account = ?`, name); err != nil {
		return err
	}
	for _, d := range all {
		if _, err := w.tx.Exec(`INSERT INTO account_trust (account, domain, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, name, d.ASCII(), w.s.now()); err != nil {
			return err
		}
	}
	return w.tx.Raise(Area)
}
