package accounts

import (
	"cmp"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// Within is the store in a transaction of the caller's, so that several changes are made
// together or not at all. Its methods are those of Store.
type Within struct {
	s  *Store
	tx *store.Tx
}

// Within looks and changes in tx.
func (s *Store) Within(tx *store.Tx) Within { return Within{s, tx} }

// set runs a statement that must change a row, else the error is missing, about what, and
// raises the area.
func (w Within) set(missing error, what, q string, args ...any) error {
	if err := one(w.tx, missing, what, q, args...); err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// AddDomain begins to host a domain; ErrExists.
func (w Within) AddDomain(name dns.Name) error {
	return w.set(ErrExists, "domain "+name.Unicode(),
		`INSERT INTO domains (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING`, name.ASCII(), w.s.now())
}

// SetDomainDisabled disables a domain or ends that; ErrNotHosted.
func (w Within) SetDomainDisabled(name dns.Name, disabled bool) error {
	return w.set(ErrNotHosted, "domain "+name.Unicode(), `UPDATE domains SET disabled = ? WHERE name = ?`, disabled, name.ASCII())
}

// RemoveDomain ends hosting; ErrInUse while it has addresses, ErrNotHosted.
func (w Within) RemoveDomain(name dns.Name) error {
	return w.set(ErrNotHosted, "domain "+name.Unicode(), `DELETE FROM domains WHERE name = ?`, name.ASCII())
}

// Domains are the hosted ones by name.
func (w Within) Domains() ([]account.Domain, error) {
	return store.Collect(w.tx, func(r store.Row) (d account.Domain, err error) {
		var name string
		var created int64
		if err = r.Scan(&name, &created, &d.Disabled, &d.Separators, &d.CaseSensitive, &d.Transport, &d.DisabledMail); err != nil {
			return d, err
		}
		d.Created = store.FromTime(created)
		d.Name, err = dns.ParseName(name)
		return d, err
	}, `SELECT name, created, disabled, separators, case_sensitive, transport, disabled_mail FROM domains ORDER BY name`)
}

// AddAccount makes an account; ErrExists, and what account.CheckName says.
func (w Within) AddAccount(name string, c account.Stored) error {
	if err := account.CheckName(name); err != nil {
		return err
	}
	return w.taken(name, w.set(ErrExists, "account "+name, `INSERT INTO accounts (name, disabled, password, scram256, scram1, created)
		VALUES (?, 0, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, name, c.Password, c.SCRAM256, c.SCRAM1, w.s.now()))
}

// SetCredentials replaces all credentials of the account; ErrNoSuchAccount.
func (w Within) SetCredentials(name string, c account.Stored) error {
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET password = ?, scram256 = ?, scram1 = ? WHERE name = ?`,
		c.Password, c.SCRAM256, c.SCRAM1, name)
}

// SetDisabled forbids or allows an account to log in; ErrNoSuchAccount.
func (w Within) SetDisabled(name string, disabled bool) error {
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET disabled = ? WHERE name = ?`, disabled, name)
}

// SetDisabledMail says what becomes of a disabled account's mail (ACC-3); ErrNoSuchAccount.
func (w Within) SetDisabledMail(name string, m account.DisabledMail) error {
	if m == account.Keep {
		m = ""
	}
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET disabled_mail = ? WHERE name = ?`, m, name)
}

// SetDomainDisabledMail says what becomes of a disabled domain's mail (ACC-3); ErrNotHosted.
func (w Within) SetDomainDisabledMail(name dns.Name, m account.DisabledMail) error {
	return w.set(ErrNotHosted, "domain "+name.Unicode(), `UPDATE domains SET disabled_mail = ? WHERE name = ?`, m, name.ASCII())
}

// SetTransport says who keeps the mailboxes of an account (INB-14); ErrNoSuchAccount.
func (w Within) SetTransport(name, transport string) error {
	return w.set(ErrNoSuchAccount, "account "+name, `UPDATE accounts SET transport = ? WHERE name = ?`, transport, name)
}

// SetDomainTransport says who keeps the mailboxes of a domain's accounts (INB-14); ErrNotHosted.
func (w Within) SetDomainTransport(name dns.Name, transport string) error {
	return w.set(ErrNotHosted, "domain "+name.Unicode(), `UPDATE domains SET transport = ? WHERE name = ?`, transport, name.ASCII())
}

// RemoveAccount removes an account for good; ErrInUse while it has addresses or mailboxes, ErrNoSuchAccount.
func (w Within) RemoveAccount(name string) error {
	return w.set(ErrNoSuchAccount, "account "+name, `DELETE FROM accounts WHERE name = ?`, name)
}

// Accounts are all accounts by name.
func (w Within) Accounts() ([]account.Account, error) {
	return store.Collect(w.tx, func(r store.Row) (a account.Account, err error) {
		var created int64
		err = r.Scan(&a.Name, &a.Disabled, &created, &a.Transport, &a.DisabledMail)
		a.Created = store.FromTime(created)
		return a, err
	}, `SELECT name, disabled, created, transport, disabled_mail FROM accounts WHERE removed = 0 ORDER BY name`)
}

// Stored are the credentials of all accounts, by name, as they are stored.
func (w Within) Stored() (map[string]account.Stored, error) {
	out := map[string]account.Stored{}
	err := w.tx.Each(func(r store.Row) error {
		var name string
		var c account.Stored
		err := r.Scan(&name, &c.Password, &c.SCRAM256, &c.SCRAM1)
		out[name] = c
		return err
	}, `SELECT name, password, scram256, scram1 FROM accounts`)
	return out, err
}

// split parses an address into what the rows hold.
func (w Within) split(address string) (local string, domain dns.Name, err error) {
	if local, domain, err = parse(address); err != nil {
		return "", domain, err
	}
	rules, err := rulesOf(w.tx, domain)
	return rules.Normalize(local), domain, err
}

// SetRules says how local parts of a domain are compared; ErrNotHosted. ErrInUse: addresses are
// told apart by case alone, or have upper case, and would not be found any more.
func (w Within) SetRules(name dns.Name, r account.LocalRules) error {
	if err := r.Check(); err != nil {
		return err
	}
	if !r.CaseSensitive {
		locals, err := store.Collect(w.tx, store.Value[string], `SELECT local FROM addresses WHERE domain = ?`, name.ASCII())
		if err != nil {
			return err
		}
		for _, l := range locals {
			if account.NormalizeLocal(l) != l {
				return fmt.Errorf("%s: %w; remove it first", smtp.Address{Local: l, Domain: name.ASCII()}, ErrInUse)
			}
		}
	}
	return w.set(ErrNotHosted, "domain "+name.Unicode(), `UPDATE domains SET separators = ?, case_sensitive = ? WHERE name = ?`, r.Separators, r.CaseSensitive, name.ASCII())
}

// AddAddress gives the account an address of a hosted domain; "*@domain" is
// its catchall. Errors: ErrNotHosted, ErrNoSuchAccount, ErrExists.
func (w Within) AddAddress(address, acct, mailbox string) error {
	local, domain, err := w.split(address)
	if err != nil {
		return err
	}
	hosted, err := exists(w.tx, `SELECT count(*) FROM domains WHERE name = ?`, domain.ASCII())
	if err != nil {
		return err
	}
	known, err := w.known(acct)
	switch {
	case err != nil:
		return err
	case !hosted:
		return fmt.Errorf("domain %s: %w; add it first", domain.Unicode(), ErrNotHosted)
	case !known:
		return fmt.Errorf("account %s: %w; add it first", acct, ErrNoSuchAccount)
	}
	return w.set(ErrExists, "address "+address, `INSERT INTO addresses (domain, local, account, mailbox, created)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, domain.ASCII(), local, acct, mailbox, w.s.now())
}

// MoveAddress leads an address elsewhere; ErrNoSuchAddress.
func (w Within) MoveAddress(address, acct, mailbox string) error {
	local, domain, err := w.split(address)
	if err != nil {
		return err
	}
	if known, err := w.known(acct); err != nil || !known {
		return cmp.Or(err, fmt.Errorf("account %s: %w", acct, ErrNoSuchAccount))
	}
	return w.set(ErrNoSuchAddress, "address "+address,
		`UPDATE addresses SET account = ?, mailbox = ? WHERE domain = ? AND local = ? AND account IS NOT NULL`, acct, mailbox, domain.ASCII(), local)
}

// RemoveAddress takes an address away; ErrNoSuchAddress.
func (w Within) RemoveAddress(address string) error {
	local, domain, err := w.split(address)
	if err != nil {
		return err
	}
	return w.set(ErrNoSuchAddress, "address "+address,
		`DELETE FROM addresses WHERE domain = ? AND local = ? AND NOT EXISTS
			(SELECT 1 FROM aliases l WHERE l.domain = addresses.domain AND l.local = addresses.local)`, domain.ASCII(), local)
}

const addresses = `SELECT local, domain, COALESCE(account, ''), mailbox, created FROM addresses WHERE NOT EXISTS
	(SELECT 1 FROM aliases l WHERE l.domain = addresses.domain AND l.local = addresses.local)`

func scanAddress(r store.Row) (a account.Address, err error) {
	var local, domain string
	var created int64
	err = r.Scan(&local, &domain, &a.Account, &a.Mailbox, &created)
	a.Refused = a.Account == ""
	a.Address = smtp.Address{Local: local, Domain: domain}.String()
	a.Created = store.FromTime(created)
	return a, err
}

// Addresses are all addresses, by domain and local part.
func (w Within) Addresses() ([]account.Address, error) {
	return store.Collect(w.tx, scanAddress, addresses+` ORDER BY domain, local`)
}

// AddressesOf are those of an account.
func (w Within) AddressesOf(name string) ([]account.Address, error) {
	return store.Collect(w.tx, scanAddress, addresses+` AND account = ? ORDER BY domain, local`, name)
}

// CleanAddress is an address of a domain with those rules in the form in which it is listed.
func CleanAddress(address string, rules account.LocalRules) (string, error) {
	local, domain, err := parse(address)
	if err != nil {
		return "", err
	}
	return smtp.Address{Local: rules.Normalize(local), Domain: domain.ASCII()}.String(), nil
}
