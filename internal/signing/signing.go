// Package signing keeps the DKIM keys of the hosted domains in the store and
// signs with them. Keys are parsed once: a generation row (area "signing")
// tells when another process or machine has changed them.
package signing

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
)

// ErrNoKeys says that a domain has no active key.
var ErrNoKeys = errors.New("the domain has no active DKIM key")

// State is whether a key signs.
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
	Created   time.Time
	Record    string // the TXT record to publish
}

// Service is safe for concurrent use once its fields are set.
type Service struct {
	Store *store.Store
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard
}

// AddKey stores a new, active key. A domain and selector that exist are refused.
func (s *Service) AddKey(ctx context.Context, domain dns.Name, selector string, key crypto.Signer, services ...string) (Key, error) {
	return Key{}, nil
}

// SetState makes a key sign or stop signing.
func (s *Service) SetState(ctx context.Context, domain dns.Name, selector string, state State) error {
	return nil
}

// RemoveKey forgets a key for good.
func (s *Service) RemoveKey(ctx context.Context, domain dns.Name, selector string) error { return nil }

// Keys lists a domain's keys, by selector; of all domains for the zero Name.
func (s *Service) Keys(ctx context.Context, domain dns.Name) ([]Key, error) { return nil, nil }

// Sign returns the DKIM-Signature fields to put before msg, one for each
// active key of the From domain; ErrNoKeys if there is none. extra names
// fields to sign beside the usual ones.
func (s *Service) Sign(ctx context.Context, from dns.Name, msg []byte, extra []string) ([]byte, error) {
	return nil, nil
}
