// Package login checks who somebody is (INB-3, INB-5): passwords, by argon2id
// with a bounded cache, and SCRAM credentials. It is the smtpserver's
// Authenticator.
//
// Unknown users and wrong passwords cannot be told apart, by answer or by time:
// an unknown user costs one argon2id as well, and SCRAM runs to its end with
// credentials that are made up but the same for one name for ever, on every
// machine of a store. What is left is that salts are an account's: addresses of
// one account that are spelt differently share theirs, those that several accounts
// have in several domains can be counted, and a salt goes with its password.
//
// Guessing is slowed down by network and by name (decide, a pure function, over
// what memory holds of both), and what it costs is bounded (Limits).
package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/turns"
	"waxwing/sasl"
	"waxwing/smtp"
)

// Accounts finds accounts. Implementations are safe for concurrent use.
type Accounts interface {
	// Login finds the account for what a user typed, an account's name or an
	// address; "" where there is none.
	Login(ctx context.Context, user string) (account string, err error)
	// Credentials are those of an account; false where it may not log in.
	Credentials(ctx context.Context, account string) (account.Credentials, bool, error)
	// StandIns are the accounts of which one lends its salt to a user for whom Login
	// finds none.
	StandIns(ctx context.Context, user string) (accounts []string, err error)
	// IsHosted says whether a domain is ours: the log shows its addresses.
	IsHosted(ctx context.Context, domain dns.Name) (bool, error)
}

// Checker verifies logins. Its fields are not changed once it is in use; it is
// safe for concurrent use.
type Checker struct {
	Accounts Accounts
	Limits   Limits
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: discard
	Guard    *guard.Guard     // contains panics
	// Secret keys the made-up credentials. Real ones outlive a restart and are the
	// same on every machine: so must these be (func Secret). Nil: of this process.
	Secret []byte

	// Count is told of each exchange, by how it ended: ok, failed, denied, broken-off, refused,
	// busy or error; nil: nobody.
	Count func(mechanism, result string)

	// Journal keeps who logged in to accounts, and who tried; nil: nobody does.
	Journal *Journal

	// AppUsed is told of each login by an app password, and from where; nil: nobody.
	AppUsed func(ctx context.Context, p account.AppPassword, from netip.Addr)

	once    sync.Once
	secret  [secretSize]byte // of this process: keys the cache and the memory
	made    []byte           // keys the made-up credentials
	decoy   account.Credentials
	hashing turns.Turns // at argon2id
	cache   cache
	memory  memory
	flights singleflight.Group // of verifications
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

func (c *Checker) count(mechanism, result string) {
	if c.Count != nil {
		c.Count(mechanism, result)
	}
}

func (c *Checker) limits() Limits { return c.Limits.orDefault() }

func (c *Checker) prepare() {
	c.once.Do(func() {
		rand.Read(c.secret[:])
		c.made = c.Secret
		if len(c.made) == 0 {
			c.made = c.secret[:]
		}
		l := c.limits()
		c.hashing = turns.Turns{AtOnce: l.Parallel, Waiting: l.Waiting, Known: l.Waiting, Each: hashingEach, Wait: l.Wait}
		// A password that nobody has: its hash is what unknown users are checked
		// against, at the same cost as a real one.
		decoy, err := account.NewCredentials(rand.Text())
		if err != nil {
			c.log().Error("no decoy credentials: unknown users can be told by time", "error", err)
		}
		c.decoy = decoy
	})
}

// maxPassword keeps absurd passwords away from the hash.
const maxPassword = 1024

// hashingEach is how many passwords of one network are hashed or wait for it.
const hashingEach = 8

// Password checks a user's password and returns the account. Wrong passwords,
// unknown users and accounts that may not log in are all sasl.ErrFailed; an error
// that is turns.ErrBusy, or any other, says that it was not checked.
func (c *Checker) Password(ctx context.Context, user, password string) (string, error) {
	return (&attempt{c: c, user: user}).password(ctx, password)
}

func (a *attempt) password(ctx context.Context, password string) (string, error) {
	c := a.c
	c.prepare()
	if len(password) > maxPassword {
		return "", sasl.ErrFailed
	}
	cred, known, err := a.find(ctx)
	if err != nil {
		return "", err
	}
	if app, ok := cred.App(password); ok && known {
		return a.stands, a.admit(cred, account.Proven{By: account.ByApp, App: app})
	}
	key := c.cacheKey(a.stands, cred.PasswordHash, password)
	if known && c.cache.has(key, c.now()) {
		return a.stands, a.admit(cred, account.Proven{By: account.ByPassword})
	}
	if !known {
		cred = c.decoy
	}
	ok, err := a.share(ctx, cred.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if !ok || !known {
		return "", sasl.ErrFailed
	}
	c.cache.put(key, c.now(), c.limits())
	return a.stands, a.admit(cred, account.Proven{By: account.ByPassword})
}

// share verifies, once for all that ask the same at the same time: a client
// that opens many connections costs one argon2id, not one each. The same is the
// name as it was typed, too: else those who try one password with many names would
// wait for one argon2id where none of them is there, and for one each where they are.
func (a *attempt) share(ctx context.Context, hash, password string) (bool, error) {
	key := mac(a.c.secret[:], "flight", a.user, hash, password)
	same := a.c.flight(string(key[:]), func() (bool, error) { return a.verify(context.WithoutCancel(ctx), hash, password) })
	select {
	case r := <-same:
		ok, _ := r.Val.(bool)
		return ok, r.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// flight runs verify, on a goroutine of its own, for all that wait for the same key.
func (c *Checker) flight(key string, verify func() (bool, error)) <-chan singleflight.Result {
	return c.flights.DoChan(key, func() (any, error) {
		ok := false
		err := c.Guard.Try(guard.Login, func() (err error) {
			ok, err = verify()
			return err
		})
		return ok, err
	})
}

// verify runs argon2id when its turn has come: each takes some 20 MiB.
func (a *attempt) verify(ctx context.Context, hash, password string) (bool, error) {
	end, err := a.c.hashing.Take(ctx, a.caller())
	if errors.Is(err, turns.ErrBusy) {
		err = errors.Join(err, smtp.NewReply(454, smtp.Enhanced{Class: 4, Subject: 7, Detail: 0}, "too many logins at this moment, try again in a minute"))
	}
	if err != nil {
		return false, err
	}
	defer end()
	return account.VerifyPassword(hash, password)
}

// find returns the credentials of the account that the name stands for. It asks for
// those of nobody too: time must not tell who is there.
func (a *attempt) find(ctx context.Context) (cred account.Credentials, known bool, err error) {
	if a.stands, err = a.c.Accounts.Login(ctx, a.user); err != nil {
		return account.Credentials{}, false, err
	}
	return a.c.Accounts.Credentials(ctx, a.stands)
}

// cacheKey is an HMAC over the account, the stored hash (so that a changed
// password is forgotten at once) and the password, under a key of this process:
// what lies in memory is of no use elsewhere.
func (c *Checker) cacheKey(name, hash, password string) [32]byte {
	return mac(c.secret[:], "cache", name, hash, password)
}

func mac(key []byte, parts ...string) (sum [32]byte) {
	m := hmac.New(sha256.New, key)
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

// Scram finds a user's SCRAM credentials for mech; it is a sasl.Lookup. A user
// who is not there gets those of the account that stands in for the name, else
// made-up ones, and never known. The store is asked the same for everybody: time
// must not tell who is there.
func (c *Checker) Scram(ctx context.Context, mech, user string) (sasl.Credentials, string, bool, error) {
	return (&attempt{c: c, mech: mech, user: user}).keys(ctx)
}

func (a *attempt) keys(ctx context.Context) (sasl.Credentials, string, bool, error) {
	c := a.c
	c.prepare()
	name, err := c.Accounts.Login(ctx, a.user)
	if err != nil {
		return sasl.Credentials{}, "", false, err
	}
	a.stands = name
	lenders, err := c.Accounts.StandIns(ctx, a.user)
	if err != nil {
		return sasl.Credentials{}, "", false, err
	}
	from := name
	if from == "" && len(lenders) > 0 {
		from = c.lender(lenders, a.user)
	}
	cred, ok, err := c.Accounts.Credentials(ctx, from)
	if err != nil {
		return sasl.Credentials{}, "", false, err
	}
	if s := scramOf(cred, a.mech); ok && len(s.StoredKey) > 0 {
		// Those of a stand-in have its app passwords, too: time must not tell who has some.
		return a.passwords(cred, s), name, name != "", nil
	}
	return c.madeUp(a.mech, a.user), "", false, nil
}

// lender picks one of several accounts for a user who is not there, always the same
// one, and another one for another domain: where each domain has an "info" of its
// own, one that shows another salt than most must not be real for that.
func (c *Checker) lender(names []string, user string) string {
	l := account.ParseLogin(user)
	weight := func(name string) []byte {
		sum := mac(c.made, "lender", l.Local, l.Domain.ASCII(), name)
		return sum[:]
	}
	return slices.MaxFunc(names, func(a, b string) int { return bytes.Compare(weight(a), weight(b)) })
}

func scramOf(c account.Credentials, mech string) account.SCRAM {
	return keysOf(mech, c.SCRAM256, c.SCRAM1)
}

func keysOf(mech string, k256, k1 account.SCRAM) account.SCRAM {
	if mech == sasl.ScramSHA1 || mech == sasl.ScramSHA1Plus {
		return k1
	}
	return k256
}

// madeUp are credentials for a user who is not there, with the real ones' iteration
// count and lengths. Spellings that Login takes for one user must get one salt,
// and those that it tells apart two, or comparing them would tell. The domain
// does not count, as it does not for an account that has the name (StandIns).
func (c *Checker) madeUp(mech, user string) sasl.Credentials {
	like := scramOf(c.decoy, mech)
	local := account.ParseLogin(user).Local
	size := len(like.StoredKey)
	kind := map[bool]string{true: "sha1", false: "sha256"}[size == 20]
	salt, stored, server := mac(c.made, "salt", kind, local), mac(c.made, "stored", kind, local), mac(c.made, "server", kind, local)
	return sasl.Credentials{Salt: salt[:len(like.Salt)], Iterations: like.Iterations, StoredKey: stored[:size], ServerKey: server[:size]}
}
