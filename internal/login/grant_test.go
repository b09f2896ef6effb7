package login

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// IMP-5: what a session was let in by holds until a login like it would be refused.
func TestGrant(t *testing.T) {
	t.Parallel()
	own := keys()
	const secret = "app-password-of-the-phone"
	app, err := account.NewAppKeys(account.AppPassword{Account: "joe", Name: "phone", Protocols: []account.Protocol{account.SMTP}}, secret, own)
	if err != nil {
		t.Fatal(err)
	}
	other := own
	other.PasswordHash += "x"
	start := time.Unix(1.7e9, 0)
	for _, c := range []struct {
		what         string
		now          account.Credentials
		gone         bool
		after        time.Duration
		password, by bool // whether a session by the account's password goes on, and one by its app password
	}{
		{"nothing has changed", account.Credentials{}, false, 0, true, true},
		{"another password", other, false, 0, false, true},
		{"the account is disabled, or gone", account.Credentials{}, true, 0, false, false},
		{"only app passwords", account.Credentials{Access: account.Access{AppOnly: true}}, false, 0, false, true},
		{"other networks", account.Credentials{Access: account.Access{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}, false, 0, false, false},
		{"its network", account.Credentials{Access: account.Access{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}, false, 0, true, true},
		{"other extensions", account.Credentials{Access: account.Access{IMAPDisable: []string{"MOVE"}}}, false, 0, false, false},
		{"no app passwords", account.Credentials{Apps: []account.AppKeys{{AppPassword: account.AppPassword{Name: "other"}}}}, false, 0, true, false},
		{"an app password of the same name", account.Credentials{Apps: []account.AppKeys{{AppPassword: app.AppPassword, Hash: "other"}}}, false, 0, true, false},
		{"an app password that ends", account.Credentials{Apps: []account.AppKeys{{AppPassword: account.AppPassword{Name: "phone", Protocols: app.Protocols, Expires: start.Add(time.Hour)}, Hash: app.Hash}}}, false, time.Hour, true, false},
	} {
		for password, want := range map[string]bool{"correct horse": c.password, secret: c.by} {
			p := newPeople()
			p.creds["joe"] = account.Credentials{PasswordHash: own.PasswordHash, SCRAM256: own.SCRAM256, SCRAM1: own.SCRAM1, Apps: []account.AppKeys{app}}
			now := start
			checker := &Checker{Accounts: p, Now: func() time.Time { return now }}
			ex, reply := checker.Start(t.Context(), sasl.Plain, guest{addr: netip.MustParseAddr("198.51.100.7")})
			if reply != nil {
				t.Fatal(reply)
			}
			if err := exchange(sasl.NewPlainClient("", "joe", password), ex); err != nil {
				t.Fatalf("%q: %v", password, err)
			}
			g := checker.Grant(ex)
			if c.now.PasswordHash == "" {
				c.now.PasswordHash = own.PasswordHash
			}
			if c.now.Apps == nil {
				c.now.Apps = []account.AppKeys{app}
			}
			p.creds["joe"] = c.now
			if c.gone {
				delete(p.creds, "joe")
			}
			now = now.Add(c.after)
			if holds, err := g.Holds(t.Context()); err != nil || holds != want {
				t.Errorf("%s: a login by %q holds: %v, %v; want %v", c.what, password, holds, err, want)
			}
			p.fail = errors.New("the store is away")
			if holds, err := g.Holds(t.Context()); err == nil || !holds {
				t.Errorf("%s: without an answer it holds: %v, %v", c.what, holds, err)
			}
		}
	}
}
