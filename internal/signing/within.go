package signing

import (
	"crypto"
	"fmt"
	"strings"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/store"
)

// Within is the service in a transaction of the caller's, so that several changes are made
// together or not at all. Its methods are those of Service.
type Within struct {
	s  *Service
	tx *store.Tx
}

// Within looks and changes in tx.
func (s *Service) Within(tx *store.Tx) Within { return Within{s, tx} }

// AddKey stores a new key; ErrExists.
func (w Within) AddKey(n NewKey) (Key, error) {
	k, private, err := w.s.prepared(n)
	if err != nil {
		return Key{}, err
	}
	err = w.run(ErrExists, `INSERT INTO dkim_key (domain, selector, algorithm, private_key, services, state, created, told)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (domain, selector) DO NOTHING`,
		k.Domain.ASCII(), k.Selector, k.Algorithm, string(private), strings.Join(k.Services, ":"), string(Active), store.Time(k.Created), flag(k.Told))
	if err != nil {
		return Key{}, fmt.Errorf("DKIM key %s of %s: %w", k.Selector, k.Domain, err)
	}
	return k, nil
}

// run runs a statement that must change a row, else the error is missing, and raises the area.
func (w Within) run(missing error, query string, args ...any) error {
	n, err := w.tx.Exec(query, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return missing
	}
	return w.tx.Raise(Area)
}

// SetTold says whether a key signs without waiting for DNS; ErrUnknown.
func (w Within) SetTold(domain dns.Name, selector string, told bool) error {
	return w.change(domain, selector, `UPDATE dkim_key SET told = ? WHERE domain = ? AND selector = ?`, flag(told))
}

// SetState makes a key sign, as far as DNS shows it, or stop signing; ErrUnknown.
func (w Within) SetState(domain dns.Name, selector string, state State) error {
	if state != Active && state != Retired {
		return fmt.Errorf("unknown state %q of a DKIM key (active, retired)", state)
	}
	if state == Active {
		return w.change(domain, selector, `UPDATE dkim_key SET state = ?, retired = 0, dropped = 0 WHERE domain = ? AND selector = ?`, string(state))
	}
	return w.change(domain, selector, `UPDATE dkim_key SET state = ?, retired = CASE retired WHEN 0 THEN ? ELSE retired END WHERE domain = ? AND selector = ?`,
		string(state), store.Time(w.s.now()))
}

// RemoveKey forgets a key for good; ErrUnknown.
func (w Within) RemoveKey(domain dns.Name, selector string) error {
	return w.change(domain, selector, `DELETE FROM dkim_key WHERE domain = ? AND selector = ?`)
}

// change runs a statement whose last two arguments name the key.
func (w Within) change(domain dns.Name, selector, query string, args ...any) error {
	if err := w.run(ErrUnknown, query, append(args, domain.ASCII(), strings.ToLower(selector))...); err != nil {
		return fmt.Errorf("DKIM key %s of %s: %w", selector, domain, err)
	}
	return nil
}

// Whole is a key with its private half: a secret.
type Whole struct {
	Key
	Private string // PKCS #8, PEM
}

// Whole lists all keys, by domain and selector, with their private halves. A stored key that
// is damaged is an error that names it.
func (w Within) Whole() ([]Whole, error) {
	rows, err := readKeys(w.tx, dns.Name{})
	if err != nil {
		return nil, fmt.Errorf("reading DKIM keys: %w", err)
	}
	keys := make([]Whole, len(rows))
	for i, k := range rows {
		if k.err != nil {
			return nil, k.err
		}
		keys[i] = Whole{k.Key, k.private}
	}
	return keys, nil
}

// Half is what a private half says.
type Half struct {
	Signer  crypto.Signer
	Private string // PKCS #8, PEM, as it is stored
	Record  string // to publish
}

// ParseHalf reads a private half in PEM. Its errors do not hold it.
func ParseHalf(text string, services []string) (h Half, err error) {
	if h.Signer, err = dkim.ParsePrivate([]byte(text)); err != nil {
		return h, err
	}
	b, err := dkim.MarshalPrivate(h.Signer)
	if err != nil {
		return h, err
	}
	h.Private = string(b)
	h.Record, err = dkim.Record(h.Signer.Public(), services...)
	return h, err
}

// CheckServices refuses what RFC 6376 §3.6.1 and RFC 8460 §3 do not name.
func CheckServices(all []string) error {
	for _, service := range all {
		if service != "email" && service != "tlsrpt" && service != "*" {
			return fmt.Errorf("unknown DKIM service type %q (email, tlsrpt, *)", service)
		}
	}
	return nil
}
