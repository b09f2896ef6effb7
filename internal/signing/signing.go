// Package signing keeps the DKIM keys of the hosted domains in the store and
// signs with them. A new key signs once DNS shows its record: Watcher looks. Keys are parsed once: a generation row (area "signing")
// tells when another process or machine has changed them.
package signing

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/keystage"
	"waxwing/internal/store"
)

// Area is the generation that every change raises.
const Area = "signing"

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
	Turn      Turn
}

// Stage is what the key does.
func (k Key) Stage() Stage {
	switch {
	case k.State == Active && !k.Turn.Promoted.IsZero():
		return Signing // every server of the zone has shown its record
	case k.Rolling() && !k.Told:
		return Waiting // for its turn
	}
	return stage(k.State, k.Told, k.Sight)
}

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
func (s *Service) AddKey(ctx context.Context, n NewKey) (k Key, err error) {
	return store.Write(ctx, s.Store, func(tx *store.Tx) (Key, error) { return s.Within(tx).AddKey(n) })
}

// prepared is a new key as it is stored, with its private half.
func (s *Service) prepared(n NewKey) (k Key, private []byte, err error) {
	k = Key{Domain: n.Domain, Selector: strings.ToLower(n.Selector), Services: n.Services, State: Active, Told: n.Now, Created: s.now()}
	if k.Domain.IsZero() {
		return k, nil, errors.New("a DKIM key needs a domain")
	}
	if _, err := k.Domain.Prefix(k.Selector + "._domainkey"); err != nil {
		return k, nil, fmt.Errorf("selector %q: %w", k.Selector, err)
	}
	if err := CheckServices(k.Services); err != nil {
		return k, nil, err
	}
	if private, err = dkim.MarshalPrivate(n.Signer); err != nil {
		return k, nil, err
	}
	return k, private, k.publish(n.Signer.Public())
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
	return s.Store.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).SetTold(domain, selector, true) })
}

// SetState makes a key sign, as far as DNS shows it, or stop signing. A key that is not there is
// ErrUnknown.
func (s *Service) SetState(ctx context.Context, domain dns.Name, selector string, state State) error {
	return s.Store.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).SetState(domain, selector, state) })
}

// RemoveKey forgets a key for good. A key that is not there is ErrUnknown.
func (s *Service) RemoveKey(ctx context.Context, domain dns.Name, selector string) error {
	return s.Store.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).RemoveKey(domain, selector) })
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
	signer  crypto.Signer
	private string // as it is stored
	err     error  // why the row is of no use
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
		told, first, looked, found, detail, tries, look_at, replaces, promoted, retired, dropped, seen_last, seen_since, seen_ttl, seen_some FROM dkim_key
		WHERE domain = ? OR ? = '' ORDER BY domain, selector`, domain.ASCII(), domain.ASCII())
}

func scanKey(r store.Row) (k stored, err error) {
	var name, private, services, state, found string
	var created, told, first, looked, tries, next, promoted, retired, dropped, last, since, ttl, some int64
	if err := r.Scan(&name, &k.Selector, &private, &services, &state, &created, &told, &first, &looked, &found, &k.Sight.Detail, &tries, &next,
		&k.Turn.Replaces, &promoted, &retired, &dropped, &last, &since, &ttl, &some); err != nil {
		return k, err
	}
	k.State, k.Created, k.Told = State(state), store.FromTime(created), told != 0
	k.Sight.First, k.Sight.Looked, k.Sight.Next = store.FromTime(first), store.FromTime(looked), store.FromTime(next)
	k.Sight.Found, k.Sight.Tries = Found(found), int(tries)
	k.Turn.Promoted, k.Turn.Retired, k.Turn.Dropped = store.FromTime(promoted), store.FromTime(retired), store.FromTime(dropped)
	k.Turn.Seen = keystage.Sight{Last: store.FromTime(last), Since: store.FromTime(since), TTL: time.Duration(ttl), Some: some != 0}
	if services != "" {
		k.Services = strings.Split(services, ":")
	}
	k.private, k.err = private, k.parse(name, private)
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
	signing, err := s.signing.Get(ctx, s.Store, Area, s.load)
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

// Sign returns the DKIM-Signature fields to put before msg, one for each active key of the
// From domain, or of the nearest domain above it that has one (AUT-7): those of RSA first, which
// everybody can verify. ErrNoKeys if there is none. extra names fields to sign beside the usual ones.
func (s *Service) Sign(ctx context.Context, from dns.Name, msg []byte, extra []string) ([]byte, error) {
	keys, err := s.Active(ctx, from)
	for at := from.Parent(); errors.Is(err, ErrNoKeys) && !at.IsZero(); at = at.Parent() {
		above, failed := s.Active(ctx, at)
		if !errors.Is(failed, ErrNoKeys) {
			keys, err = above, failed
		}
	}
	if err != nil {
		return nil, err
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b dkim.Key) int { return cmp.Compare(rank(a), rank(b)) })
	return dkim.Sign(msg, keys, dkim.SignOptions{Headers: extra, Now: s.Now})
}

func rank(k dkim.Key) int {
	if _, ok := k.Signer.Public().(*rsa.PublicKey); ok {
		return 0
	}
	return 1
}

// DefaultSelector is the name of a key that nobody has named: its month and algorithm.
func DefaultSelector(now time.Time, algorithm string) string {
	return now.UTC().Format("2006-01") + "-" + algorithm
}

// MakeKey makes a key of an algorithm: ed25519 or rsa.
func MakeKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ed25519":
		return dkim.GenerateEd25519()
	case "rsa":
		return dkim.GenerateRSA(2048)
	}
	return nil, fmt.Errorf("algorithm is ed25519 or rsa, not %q", algorithm)
}
