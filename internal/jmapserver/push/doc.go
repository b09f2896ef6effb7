// Package push answers PushSubscription/get and /set, and posts what has changed of an account to the addresses that its
// clients have named (RFC 8620 §7.2), encrypted where they want that (RFC 8291), and signed with a key of this server (RFC 8292, RFC 9749).
//
// An address is posted to once before its client has shown that it gets what is posted there. Every subscription ends:
// at its time, when the password is changed with which it was made, when the address says that it is gone, or has failed for days.
// What is posted says only which types have which state, so that what waits grows with nothing.
package push

import (
	"context"
	"crypto/ecdsa"
	"crypto/subtle"
	"crypto/x509"
	"log/slog"
	"net"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
)

// Room answers the methods and posts. Its fields are set before its first use.
type Room struct {
	DB  *store.Store
	DNS dns.Resolver
	// Accounts say with which passwords one logs in to an account. accounts.Store does.
	Accounts Accounts
	// States are those of all types of an account.
	States       func(ctx context.Context, account string) (map[string]string, error)
	AllowPrivate bool           // private addresses may be posted to
	Roots        *x509.CertPool // trusted authorities; nil: the system's
	// Dial connects to an IP address and port; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Contact is a URL by which a push service reaches whoever runs this server (RFC 8292 §2.1): mailto: or https:.
	Contact string
	Now     func() time.Time
	Log     *slog.Logger
	Guard   *guard.Guard // contains panics

	woken   sync.Once
	wakes   chan struct{} // something is to be posted
	client  poster
	mu      sync.Mutex
	key     *ecdsa.PrivateKey      // nil: not read yet
	created map[string][]time.Time // by account, in the last hour
}

// Accounts says with which passwords one logs in to an account; false: with none.
type Accounts interface {
	Credentials(ctx context.Context, name string) (account.Credentials, bool, error)
}

// Bounds.
const (
	maxSubscriptions = 20 // of an account
	maxCreations     = 30 // of an account in an hour, each of which posts to an address that nobody has verified
	maxURL           = 2048
	maxDevice        = 255
	maxTypes         = 100
	longest          = 14 * 24 * time.Hour // until a subscription ends that is not extended
	unanswered       = 24 * time.Hour      // until one ends whose code does not come back
)

// Methods are those that it answers.
func (r *Room) Methods() map[string]call.Method {
	return map[string]call.Method{"PushSubscription/get": r.get, "PushSubscription/set": r.set}
}

// Credential is which password a client has shown, so that it can be found out later whether it still counts: a hash
// of what is stored of it.
func (r *Room) Credential(ctx context.Context, name, password string) (string, error) {
	c, known, err := r.Accounts.Credentials(ctx, name)
	if err != nil || !known {
		return "", err
	}
	hash := account.HashApp(password)
	for _, app := range c.Apps {
		if subtle.ConstantTimeCompare([]byte(app.Hash), []byte(hash)) == 1 {
			return mark("app", app.Hash), nil
		}
	}
	return mark("password", c.PasswordHash), nil
}

// valid are the passwords with which one logs in to an account now.
func (r *Room) valid(ctx context.Context, name string) (map[string]bool, error) {
	c, known, err := r.Accounts.Credentials(ctx, name)
	if err != nil || !known {
		return nil, err
	}
	out := map[string]bool{mark("password", c.PasswordHash): true}
	for _, app := range c.Apps {
		if app.Expires.IsZero() || r.Now().Before(app.Expires) {
			out[mark("app", app.Hash)] = true
		}
	}
	return out, nil
}

// mayCreate counts a creation, and says whether there were too many lately.
func (r *Room) mayCreate(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if r.created == nil || len(r.created) > 10_000 {
		r.created = map[string][]time.Time{}
	}
	var lately []time.Time
	for _, t := range r.created[name] {
		if now.Sub(t) < time.Hour && !t.After(now) {
			lately = append(lately, t)
		}
	}
	may := len(lately) < maxCreations
	if may {
		lately = append(lately, now)
	}
	r.created[name] = lately
	return may
}
