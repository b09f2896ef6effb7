package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/sasl"
	"waxwing/smtp"
)

// people is a fake of internal/accounts: joe, and off, who may not log in.
type people struct {
	mu    sync.Mutex
	creds map[string]account.Credentials
	fail  error
}

var keys = sync.OnceValue(func() account.Credentials {
	c, err := account.NewCredentials("correct horse")
	if err != nil {
		panic(err)
	}
	return c
})

func newPeople() *people {
	return &people{creds: map[string]account.Credentials{"joe": keys()}}
}

func (p *people) Login(_ context.Context, user string) (string, error) {
	switch name := strings.TrimSuffix(strings.ToLower(user), "@here.test"); name {
	case "joe", "off":
		return name, p.fail
	}
	return "", p.fail
}

func (p *people) Credentials(_ context.Context, name string) (account.Credentials, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.creds[name]
	return c, ok, p.fail
}

func (p *people) StandIns(context.Context, string) ([]string, error) { return nil, p.fail }

func (p *people) IsHosted(_ context.Context, d dns.Name) (bool, error) {
	return d.ASCII() == "here.test", p.fail
}

func TestPassword(t *testing.T) {
	t.Parallel()
	c := &Checker{Accounts: newPeople()}
	for _, tt := range []struct{ user, password, want string }{
		{"joe", "correct horse", "joe"},
		{"Joe@here.test", "correct horse", "joe"},
		{"joe", "correct horse ", ""},
		{"joe", "", ""},
		{"joe", strings.Repeat("x", 5000), ""},
		{"off", "correct horse", ""},
		{"nobody", "correct horse", ""},
		{"", "correct horse", ""},
	} {
		for range 2 { // the second time through the cache
			got, err := c.Password(t.Context(), tt.user, tt.password)
			if got != tt.want || (tt.want == "") != errors.Is(err, sasl.ErrFailed) {
				t.Errorf("%q %q: %q %v", tt.user, tt.password, got, err)
			}
		}
	}
}

// A store that fails is not a wrong password.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	p := newPeople()
	p.fail = errors.New("away")
	c := &Checker{Accounts: p}
	if _, err := c.Password(t.Context(), "joe", "correct horse"); !errors.Is(err, p.fail) || errors.Is(err, sasl.ErrFailed) {
		t.Error(err)
	}
	if _, _, _, err := c.Scram(t.Context(), sasl.ScramSHA256, "joe"); !errors.Is(err, p.fail) {
		t.Error(err)
	}
}

// The cache saves argon2id for a while, is bounded, and forgets a changed password.
func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p := newPeople()
	c := &Checker{Accounts: p, Now: func() time.Time { return now }, Limits: Limits{Cache: 2}}
	login := func() error { _, err := c.Password(t.Context(), "joe", "correct horse"); return err }
	if err := login(); err != nil {
		t.Fatal(err)
	}
	key := c.cacheKey("joe", keys().PasswordHash, "correct horse")
	if !c.cache.has(key, now) {
		t.Fatal("the login is not remembered")
	}
	now = now.Add(10 * time.Minute)
	if c.cache.has(key, now) {
		t.Error("remembered for ever")
	}
	for i := range 10 {
		c.cache.put([32]byte{byte(i)}, now, c.limits())
	}
	if n := len(c.cache.until); n > 2 {
		t.Errorf("%d entries, the limit is 2", n)
	}
	if err := login(); err != nil {
		t.Fatal(err)
	}
	changed, err := account.NewCredentials("another horse")
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.creds["joe"] = changed
	p.mu.Unlock()
	if err := login(); !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("the old password still works: %v", err)
	}
}

// Unknown users look like known ones: the same salt every time, whatever the
// case; the real lengths and counts; and never a login.
func TestMadeUp(t *testing.T) {
	t.Parallel()
	c := &Checker{Accounts: newPeople()}
	for _, mech := range []string{sasl.ScramSHA1, sasl.ScramSHA256, sasl.ScramSHA256Plus} {
		real, who, known, err := c.Scram(t.Context(), mech, "joe@here.test")
		if err != nil || !known || who != "joe" {
			t.Fatal(who, known, err)
		}
		seen := map[string]bool{}
		for _, user := range []string{"nobody", "Nobody", "nobody ", "other", "off"} {
			fake, who, known, err := c.Scram(t.Context(), mech, user)
			if err != nil || known || who != "" {
				t.Fatal(user, who, known, err)
			}
			if len(fake.Salt) != len(real.Salt) || fake.Iterations != real.Iterations || len(fake.StoredKey) != len(real.StoredKey) || len(fake.ServerKey) != len(real.ServerKey) {
				t.Errorf("%s %s: made-up credentials differ in shape", mech, user)
			}
			seen[string(fake.Salt)] = true
		}
		if len(seen) != 4 { // Login tells "nobody " from "nobody"
			t.Errorf("%s: %d salts, want 4", mech, len(seen))
		}
	}
}

// guest is a connection.
type guest struct{ addr netip.Addr }

func (g guest) Remote() netip.AddrPort               { return netip.AddrPortFrom(g.addr, 1) }
func (g guest) Local() netip.AddrPort                { return netip.AddrPort{} }
func (g guest) TLS() *tls.ConnectionState            { return nil }
func (g guest) ServerCertificate() *x509.Certificate { return nil }
func (g guest) HELO() string                         { return "" }
func (g guest) ESMTP() bool                          { return true }
func (g guest) Identity() string                     { return "" }

// try is one exchange of PLAIN from an address: the reply of Start, the error of the
// exchange.
func (c *Checker) try(t *testing.T, from, user, password string) (*smtp.Reply, error) {
	t.Helper()
	g := guest{netip.MustParseAddr(from)}
	ex, r := c.Start(t.Context(), sasl.Plain, g)
	if r != nil {
		return r, nil
	}
	_, done, err := ex.Next([]byte("\x00" + user + "\x00" + password))
	if done != (err == nil) {
		t.Errorf("done %v, %v", done, err)
	}
	c.Done(t.Context(), g, ex, err)
	return nil, err
}

// is421 reports a refusal, at the start or when the name is known.
func is421(r *smtp.Reply, err error) bool {
	return r != nil && r.Code == 421 || errors.As(err, &r) && r.Code == 421
}

// INB-3: failures delay, then refuse; by network, for a while.
func TestRefusal(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p := newPeople()
	c := &Checker{Accounts: p, Now: func() time.Time { return now }, Limits: Limits{Failures: 3, Window: time.Minute, Delay: -1}}
	const bad, near, good = "2001:db8::1", "2001:db8::2", "192.0.2.1"
	for range 3 {
		if r, err := c.try(t, bad, "joe", "wrong horse"); r != nil || !errors.Is(err, sasl.ErrFailed) {
			t.Fatalf("refused too early: %v %v", r, err)
		}
	}
	if r, _ := c.try(t, bad, "joe", "correct horse"); r == nil || r.Code != 421 {
		t.Errorf("not refused: %v", r)
	}
	if r, _ := c.try(t, near, "joe", "correct horse"); r == nil {
		t.Error("the neighbour in the same /64 is not refused")
	}
	p.fail = errors.New("the store's fault does not count")
	for range 5 {
		c.try(t, good, "joe", "correct horse")
	}
	p.fail = nil
	if r, err := c.try(t, good, "joe", "correct horse"); r != nil || err != nil {
		t.Errorf("another address is refused: %v %v", r, err)
	}
	now = now.Add(time.Minute)
	if r, err := c.try(t, bad, "joe", "correct horse"); r != nil || err != nil {
		t.Errorf("still refused after the window: %v %v", r, err)
	}
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	c := &Checker{Accounts: newPeople()}
	if m := c.Mechanisms(false); m != nil {
		t.Errorf("without TLS %v", m)
	}
	for _, m := range c.Mechanisms(true) {
		if s, r := c.Start(t.Context(), m, guest{}); s == nil || r != nil {
			t.Errorf("%s is offered and refused: %v", m, r)
		}
	}
	if _, r := c.Start(t.Context(), "CRAM-MD5", guest{}); r == nil || r.Code != 504 {
		t.Errorf("CRAM-MD5: %v", r)
	}
}
