// Package login checks who somebody is (INB-3, INB-5): passwords, by argon2id
// with a bounded cache, and SCRAM credentials. It is the smtpserver's
// Authenticator.
//
// Unknown users and wrong passwords cannot be told apart, by answer or by time:
// an unknown user costs one argon2id as well, and SCRAM runs to its end with
// credentials that are made up but always the same for one name.
package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/text/unicode/norm"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// Accounts finds accounts. Implementations are safe for concurrent use.
type Accounts interface {
	// Login finds the account for what a user typed, an account's name or an
	// address; "" where there is none.
	Login(ctx context.Context, user string) (account string, err error)
	// Credentials are those of an account; false where it may not log in.
	Credentials(ctx context.Context, account string) (account.Credentials, bool, error)
}

// Checker verifies logins. Its fields are not changed once it is in use; it is
// safe for concurrent use.
type Checker struct {
	Accounts Accounts
	Limits   Limits
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: discard

	once    sync.Once
	secret  [32]byte // of this process: keys the cache and the made-up credentials
	decoy   account.Credentials
	slots   chan struct{} // argon2 computations at the same time
	cache   cache
	failing failing
	flights singleflight.Group // of verifications, by cacheKey
}

// Limits bound what logins may cost. Zero values mean the defaults given.
type Limits struct {
	Parallel int           // argon2id computations at the same time; 4
	Cache    int           // passwords remembered as verified; 1000
	CacheFor time.Duration // 10 min
	// Failures from one address (IPv6: one /64) before it is refused, and how
	// long it then is; 20 in 15 min. Before that each failure is answered late:
	// after Delay times the failures so far, up to 10 s.
	Failures int
	Window   time.Duration
	Delay    time.Duration // 500 ms; negative: none
	Tracked  int           // addresses remembered; 10000
}

func (c *Checker) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Checker) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Checker) limits() Limits { return c.Limits.orDefault() }

func (c *Checker) prepare() {
	c.once.Do(func() {
		rand.Read(c.secret[:])
		c.slots = make(chan struct{}, c.limits().Parallel)
		// A password that nobody has: its hash is what unknown users are checked
		// against, at the same cost as a real one.
		decoy, err := account.NewCredentials(rand.Text())
		if err != nil {
			c.log().Error("no decoy credentials: unknown users can be told by time", "err", err)
		}
		c.decoy = decoy
	})
}

// maxPassword keeps absurd passwords away from the hash.
const maxPassword = 1024

// Password checks a user's password and returns the account. Wrong passwords,
// unknown users and accounts that may not log in are all sasl.ErrFailed; any
// other error is the store's.
func (c *Checker) Password(ctx context.Context, user, password string) (string, error) {
	c.prepare()
	if len(password) > maxPassword {
		return "", sasl.ErrFailed
	}
	name, cred, known, err := c.find(ctx, user)
	if err != nil {
		return "", err
	}
	key := c.cacheKey(name, cred.PasswordHash, password)
	if known && c.cache.has(key, c.now()) {
		return name, nil
	}
	if !known {
		cred = c.decoy
	}
	ok, err := c.share(ctx, key, cred.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if !ok || !known {
		return "", sasl.ErrFailed
	}
	c.cache.put(key, c.now(), c.limits())
	return name, nil
}

// share verifies, once for all that ask the same at the same time: a client
// that opens many connections costs one argon2id, not one each.
func (c *Checker) share(ctx context.Context, key [32]byte, hash, password string) (bool, error) {
	same := c.flights.DoChan(string(key[:]), func() (any, error) {
		return c.verify(context.WithoutCancel(ctx), hash, password)
	})
	select {
	case r := <-same:
		ok, _ := r.Val.(bool)
		return ok, r.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// verify runs argon2id, not too often at the same time: each takes some 20 MiB.
func (c *Checker) verify(ctx context.Context, hash, password string) (bool, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return account.VerifyPassword(hash, password)
}

// find returns the account that a user name stands for, and its credentials.
func (c *Checker) find(ctx context.Context, user string) (name string, cred account.Credentials, known bool, err error) {
	name, err = c.Accounts.Login(ctx, user)
	if err != nil || name == "" {
		return "", account.Credentials{}, false, err
	}
	cred, known, err = c.Accounts.Credentials(ctx, name)
	return name, cred, known, err
}

// cacheKey is an HMAC over the account, the stored hash (so that a changed
// password is forgotten at once) and the password, under a key of this process:
// what lies in memory is of no use elsewhere.
func (c *Checker) cacheKey(name, hash, password string) [32]byte {
	return c.mac("cache", name, hash, password)
}

func (c *Checker) mac(parts ...string) (sum [32]byte) {
	m := hmac.New(sha256.New, c.secret[:])
	for _, p := range parts {
		var n [4]byte
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		m.Write(n[:])
		m.Write([]byte(p))
	}
	m.Sum(sum[:0])
	return sum
}

// Scram finds a user's SCRAM credentials for mech; it is a sasl.Lookup. For
// unknown users they are made up from the name, with the real ones' iteration
// count and salt length.
func (c *Checker) Scram(ctx context.Context, mech, user string) (sasl.Credentials, string, bool, error) {
	c.prepare()
	name, cred, known, err := c.find(ctx, user)
	if err != nil {
		return sasl.Credentials{}, "", false, err
	}
	s := scramOf(cred, mech)
	if !known || len(s.StoredKey) == 0 {
		return c.madeUp(mech, user), "", false, nil
	}
	return sasl.Credentials(s), name, true, nil
}

func scramOf(c account.Credentials, mech string) account.SCRAM {
	if mech == sasl.ScramSHA1 || mech == sasl.ScramSHA1Plus {
		return c.SCRAM1
	}
	return c.SCRAM256
}

// madeUp are credentials for a user who is not there. Names that Login would
// take for one must get the same salt, or case alone would tell.
func (c *Checker) madeUp(mech, user string) sasl.Credentials {
	like := scramOf(c.decoy, mech)
	user = strings.ToLower(norm.NFKC.String(strings.TrimSpace(user)))
	size := len(like.StoredKey)
	kind := map[bool]string{true: "sha1", false: "sha256"}[size == 20]
	salt, stored, server := c.mac("salt", kind, user), c.mac("stored", kind, user), c.mac("server", kind, user)
	return sasl.Credentials{Salt: salt[:len(like.Salt)], Iterations: like.Iterations, StoredKey: stored[:size], ServerKey: server[:size]}
}
