// Package signing keeps the DKIM keys of the hosted domains in the store and
// signs with them. A new key signs once DNS shows its record: Watcher looks. Keys are parsed once: a generation row (area "signing")
// tells when another process or machine has changed them.
package signing

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/store"
)

// area is the row of table generation that every change raises.
const area = "signing"

// Errors of Service.
var (
	ErrNoKeys  = errors.New("the domain has no DKIM key that signs")
	ErrExists  = errors.New("the domain has a DKIM key with that selector already")
	ErrUnknown = errors.New("the domain has no DKIM key with that selector")
)

// State is what an operator wants of a key; its Stage is what it does.
type State string

// The states.
const (
	Active  State = "active"
	Retired State = "retired"
)

// Key is a stored key without its secret half.
type Key struct {
	Domain    dns.Name
	Selector  string
	Algorithm string   // rsa-sha256, ed25519-sha256
	Services  []string // s= of the record to publish; nil: all
	State     State
	Told      bool // to sign without waiting for DNS
	Sight     Sight
	Created   time.Time
	Record    string // the TXT record to publish
}

// Stage is what the key does.
func (k Key) Stage() Stage { return stage(k.State, k.Told, k.Sight) }

// NewKey is a key to be added.
type NewKey struct {
	Domain   dns.Name
	Selector string
	Signer   crypto.Signer
	Services []string // nil: all
	Now      bool     // sign before DNS shows the record
}

// Service is safe for concurrent use once its fields are set.
type Service struct {
	Store *store.Store
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard

	signing store.Cached[map[dns.Name][]dkim.Key] // keys that sign
}

// AddKey stores a new key and returns it with the record to publish. A domain and
// selector that exist are ErrExists.
func (s *Service) AddKey(ctx context.Context, n NewKey) (Key, error) {
	domain, services, selector := n.Domain, n.Services, strings.ToLower(n.Selector)
	if domain.IsZero() {
		return Key{}, errors.New("a DKIM key needs a domain")
	}
	if _, err := domain.Prefix(selector + "._domainkey"); err != nil {
		return Key{}, fmt.Errorf("selector %q: %w", selector, err)
	}
	for _, service := range services {
		if service != "email" && service != "tlsrpt" && service != "*" {
			return Key{}, fmt.Errorf("unknown DKIM service type %q (email, tlsrpt, *)", service)
		}
	}
	private, err := dkim.MarshalPrivate(n.Signer)
	if err != nil {
		return Key{}, err
	}
	k := Key{Domain: domain, Selector: selector, Services: services, State: Active, Told: n.Now, Created: s.now()}
	if err := k.publish(n.Signer.Public()); err != nil {
		return Key{}, err
	}
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO dkim_key (domain, selector, algorithm, private_key, services, state, created, told)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (domain, selector) DO NOTHING`,
			domain.ASCII(), selector, k.Algorithm, string(private), strings.Join(services, ":"), string(Active), store.Time(k.Created), flag(k.Told))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrExists
		}
		return tx.Raise(area)
	})
	if err != nil {
		return Key{}, fmt.Errorf("DKIM key %s of %s: %w", selector, domain, err)
	}
	return k, nil
}

// publish fills in what follows from the public half.
func (k *Key) publish(pub crypto.PublicKey) (err error) {
	if k.Algorithm, err = dkim.Algorithm(pub); err != nil {
		return err
	}
	k.Record, err = dkim.Record(pub, k.Services...)
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Tell makes a key sign without waiting for DNS. A key that is not there is ErrUnknown.
func (s *Service) Tell(ctx context.Context, domain dns.Name, selector string) error {
	return s.change(ctx, domain, selector, `UPDATE dkim_key SET told = 1 WHERE domain = ? AND selector = ?`)
}

// SetState makes a key sign, as far as DNS shows it, or stop signing. A key that is not there is
// ErrUnknown.
func (s *Service) SetState(ctx context.Context, domain dns.Name, selector string, state State) error {
	if state != Active && state != Retired {
		return fmt.Errorf("unknown state %q of a DKIM key (active, retired)", state)
	}
	return s.change(ctx, domain, selector, `UPDATE dkim_key SET state = ? WHERE domain = ? AND selector = ?`, string(state))
}

// RemoveKey forgets a key for good. A key that is not there is ErrUnknown.
func (s *Service) RemoveKey(ctx context.Context, domain dns.Name, selector string) error {
	return s.change(ctx, domain, selector, `DELETE FROM dkim_key WHERE domain = ? AND selector = ?`)
}

// change runs a statement whose last two arguments name the key.
func (s *Service) change(ctx context.Context, domain dns.Name, selector, query string, args ...any) error {
	args = append(args, domain.ASCII(), strings.ToLower(selector))
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(query, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrUnknown
		}
		return tx.Raise(area)
	})
	if err != nil {
		return fmt.Errorf("DKIM key %s of %s: %w", selector, domain, err)
	}
	return nil
}

// Keys lists a domain's keys, by selector; those of all domains for the zero
// Name. A stored key that is damaged is an error that names it.
func (s *Service) Keys(ctx context.Context, domain dns.Name) ([]Key, error) {
	stored, err := s.read(ctx, domain)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(stored))
	for i, k := range stored {
		if k.err != nil {
			return nil, k.err
		}
		keys[i] = k.Key
	}
	return keys, nil
}

// stored is a row, parsed.
type stored struct {
	Key
	signer crypto.Signer
	err    error // why the row is of no use
}

func (s *Service) read(ctx context.Context, domain dns.Name) ([]stored, error) {
	var out []stored
	err := s.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = readKeys(tx, domain)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading DKIM keys: %w", err)
	}
	return out, nil
}

func readKeys(tx *store.Tx, domain dns.Name) ([]stored, error) {
	return store.Collect(tx, scanKey, `SELECT domain, selector, private_key, services, state, created,
		told, first, looked, found, detail, tries, look_at FROM dkim_key
		WHERE domain = ? OR ? = '' ORDER BY domain, selector`, domain.ASCII(), domain.ASCII())
}

func scanKey(r store.Row) (k stored, err error) {
	var name, private, services, state, found string
	var created, told, first, looked, tries, next int64
	if err := r.Scan(&name, &k.Selector, &private, &services, &state, &created, &told, &first, &looked, &found, &k.Sight.Detail, &tries, &next); err != nil {
		return k, err
	}
	k.State, k.Created, k.Told = State(state), store.FromTime(created), told != 0
	k.Sight.First, k.Sight.Looked, k.Sight.Next = store.FromTime(first), store.FromTime(looked), store.FromTime(next)
	k.Sight.Found, k.Sight.Tries = Found(found), int(tries)
	if services != "" {
		k.Services = strings.Split(services, ":")
	}
	k.err = k.parse(name, private)
	return k, nil
}

func (k *stored) parse(name, private string) error {
	var err error
	if k.Domain, err = dns.ParseLax(name); err == nil {
		if k.signer, err = dkim.ParsePrivate([]byte(private)); err == nil {
			err = k.publish(k.signer.Public())
		}
	}
	if err != nil {
		return fmt.Errorf("stored DKIM key %s of %s: %w", k.Selector, name, err)
	}
	return nil
}

// Active returns a domain's keys that sign, ErrNoKeys if there is none.
func (s *Service) Active(ctx context.Context, domain dns.Name) ([]dkim.Key, error) {
	signing, err := s.signing.Get(ctx, s.Store, area, s.load)
	if err != nil {
		return nil, fmt.Errorf("reading DKIM keys: %w", err)
	}
	keys := signing[domain]
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %w", domain, ErrNoKeys)
	}
	return slices.Clone(keys), nil
}

// load reads all keys that sign. One that is damaged is left out and logged: the
// others of its domain go on signing.
func (s *Service) load(tx *store.Tx) (map[dns.Name][]dkim.Key, error) {
	rows, err := readKeys(tx, dns.Name{})
	if err != nil {
		return nil, err
	}
	signing := make(map[dns.Name][]dkim.Key)
	for _, k := range rows {
		if k.err != nil {
			if s.Log != nil {
				s.Log.Error("DKIM key cannot be used", "error", k.err)
			}
			continue
		}
		if k.Stage() == Signing {
			signing[k.Domain] = append(signing[k.Domain], dkim.Key{Domain: k.Domain, Selector: k.Selector, Signer: k.signer})
		}
	}
	return signing, nil
}

// Sign returns the DKIM-Signature fields to put before msg, one for each
// active key of the From domain; ErrNoKeys if there is none. extra names
// fields to sign beside the usual ones.
func (s *Service) Sign(ctx context.Context, from dns.Name, msg []byte, extra []string) ([]byte, error) {
	keys, err := s.Active(ctx, from)
	if err != nil {
		return nil, err
	}
	return dkim.Sign(msg, keys, dkim.SignOptions{Headers: extra, Now: s.Now})
}
