package account_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"waxwing/internal/account"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"joe": true, "joe.b-c_d": true, "1a": true, strings.Repeat("a", 64): true,
		"": false, "Joe": false, "joe@x": false, ".joe": false, "jo e": false, "jö": false, "a\x00": false, strings.Repeat("a", 65): false,
	} {
		if err := account.CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNormalizeLocal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"Joe.B": "joe.b", "JO\u0308": "j\u00f6", "a b": "a b"} {
		if got := account.NormalizeLocal(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	c, err := account.NewCredentials("correct\u00a0h\u00f6rse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", c.PasswordHash)
	}
	for password, want := range map[string]bool{
		"correct\u00a0h\u00f6rse": true,
		"correct ho\u0308rse":     true, // RFC 4013: another space, a decomposed ö
		"correct horse":           false,
		"":                        false,
		"correct\x00":             false,
		strings.Repeat("x", 5000): false,
	} {
		if got, err := account.VerifyPassword(c.PasswordHash, password); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 1025), "with\x00control"} {
		if _, err := account.NewCredentials(bad); err == nil || strings.Contains(err.Error(), "with") {
			t.Errorf("%q: error %v; want one, without the password", bad, err)
		}
	}
}

// The stored keys are those that a SCRAM client proves (RFC 5802, RFC 7677), by
// another implementation.
func TestSCRAM(t *testing.T) {
	t.Parallel()
	c, err := account.NewCredentials("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		gen  scram.HashGeneratorFcn
		cred account.SCRAM
	}{{scram.SHA256, c.SCRAM256}, {scram.SHA1, c.SCRAM1}} {
		server, err := m.gen.NewServer(func(string) (scram.StoredCredentials, error) {
			return scram.StoredCredentials{
				KeyFactors: scram.KeyFactors{Salt: string(m.cred.Salt), Iters: m.cred.Iterations},
				StoredKey:  m.cred.StoredKey, ServerKey: m.cred.ServerKey,
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{"correct horse": true, "wrong horse": false} {
			client, err := m.gen.NewClient("joe", password, "")
			if err != nil {
				t.Fatal(err)
			}
			cc, sc := client.NewConversation(), server.NewConversation()
			var msg string
			for !cc.Done() && err == nil {
				if msg, err = cc.Step(msg); err == nil && !sc.Done() {
					msg, err = sc.Step(msg)
				}
			}
			if got := err == nil && cc.Valid() && sc.Valid(); got != want {
				t.Errorf("%s: valid %v, %v", password, got, err)
			}
		}
	}
}

func FuzzVerifyPassword(f *testing.F) {
	key := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$" + key + "$" + key)
	f.Add("$argon2id$v=19$m=99999999,t=1,p=1$" + key + "$" + key)
	f.Add("$argon2i$v=19$$$")
	f.Fuzz(func(t *testing.T, hash string) {
		if len(hash) > 200 || strings.Contains(hash, "m=") && !strings.Contains(hash, "m=8,t=1") {
			return // costs are bounded, but still too much for a fuzz run
		}
		if ok, err := account.VerifyPassword(hash, "x"); ok && err != nil {
			t.Error("verified with an error")
		}
	})
}

func TestDamagedHash(t *testing.T) {
	t.Parallel()
	key := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	for _, h := range []string{"", "x", "$argon2id$v=19$m=99999999,t=1,p=1$" + key + "$" + key, "$argon2id$v=19$m=8,t=0,p=1$" + key + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1$$" + key, "$argon2id$v=19$m=8,t=1,p=1$" + key + "$", "$argon2id$v=16$m=8,t=1,p=1$" + key + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=1 $" + key + "$" + key} {
		if _, err := account.VerifyPassword(h, "password"); err == nil {
			t.Errorf("%q was accepted", h)
		}
	}
}

// TestNoPassword (OPS-6): credentials that nobody has a password for look like all others, and no two
// are alike.
func TestNoPassword(t *testing.T) {
	t.Parallel()
	known, err := account.NewCredentials("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	a, b := account.NoPassword(), account.NoPassword()
	for _, c := range []account.Credentials{known, a} {
		if err := c.Stored().Check(); err != nil {
			t.Error(err)
		}
		back, err := c.Stored().Credentials()
		if err != nil || back.Stored() != c.Stored() {
			t.Errorf("read again: %v", err)
		}
	}
	if ra, aa := known.Stored(), a.Stored(); len(ra.Password) != len(aa.Password) || len(ra.SCRAM256) != len(aa.SCRAM256) || len(ra.SCRAM1) != len(aa.SCRAM1) || known.SCRAM1.Iterations != a.SCRAM1.Iterations {
		t.Error("they can be told apart")
	}
	if a.PasswordHash == b.PasswordHash || string(a.SCRAM256.Salt) == string(b.SCRAM256.Salt) {
		t.Error("two are alike")
	}
	if ok, err := account.VerifyPassword(a.PasswordHash, ""); ok || err != nil {
		t.Errorf("verified: %v, %v", ok, err)
	}
	for _, bad := range []account.Stored{{}, {Password: known.PasswordHash}, {"x", known.Stored().SCRAM256, known.Stored().SCRAM1}, {known.PasswordHash, known.Stored().SCRAM1, known.Stored().SCRAM1}} {
		if bad.Check() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
