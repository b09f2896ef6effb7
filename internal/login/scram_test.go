package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/login"
	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/sasl"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is a Checker as one process would make it.
func machine(t *testing.T, db *store.Store) *login.Checker {
	t.Helper()
	secret, err := login.Secret(t.Context(), db)
	must(t, err)
	return &login.Checker{Accounts: &accounts.Store{DB: db}, Secret: secret}
}

func salt(t *testing.T, c *login.Checker, mech, user string) string {
	t.Helper()
	cred, _, _, err := c.Scram(t.Context(), mech, user)
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	if len(cred.Salt) != 16 || cred.Iterations != 10000 {
		t.Errorf("%s: a salt of %d octets, %d iterations", user, len(cred.Salt), cred.Iterations)
	}
	return string(cred.Salt)
}

func populate(ctx context.Context, t *testing.T, db *store.Store) {
	t.Helper()
	a := &accounts.Store{DB: db}
	must(t, a.AddDomain(ctx, dns.MustParse("here.test")))
	for _, name := range []string{"joe", "boss"} {
		must(t, a.AddAccount(ctx, name, "correct horse"))
	}
	must(t, a.AddAddress(ctx, "joe@here.test", "joe"))
	must(t, a.AddAddress(ctx, "info@here.test", "boss")) // a local part that is no account's name
	must(t, a.AddAddress(ctx, "*@here.test", "boss"))
}

// INB-5: which spellings of a user share a salt must not depend on whether
// there is such a user. Each row compares the same two spellings of users who
// are there and of one who is not.
func TestSaltsTellNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		populate(t.Context(), t, db)
		c := machine(t, db)
		upper := func(s string) string { return string(bytes.ToUpper([]byte(s))) }
		for _, tt := range []struct {
			name string
			a, b func(string) string
			same bool
		}{
			{"twice", func(u string) string { return u }, func(u string) string { return u }, true},
			{"case of a name", func(u string) string { return u }, upper, true},
			{"name and address", func(u string) string { return u }, func(u string) string { return u + "@here.test" }, true},
			{"name and foreign address", func(u string) string { return u }, func(u string) string { return u + "@elsewhere.test" }, true},
			{"case of an address", func(u string) string { return u + "@here.test" }, func(u string) string { return upper(u) + "@HERE.test" }, true},
			{"quoted local part", func(u string) string { return u + "@here.test" }, func(u string) string { return `"` + u + `"@here.test` }, true},
			{"detail", func(u string) string { return u + "@here.test" }, func(u string) string { return u + "+x@here.test" }, false},
			{"detail of a name", func(u string) string { return u }, func(u string) string { return u + "+x" }, false},
			{"details", func(u string) string { return u + "+x" }, func(u string) string { return u + "+X@here.test" }, true},
			{"white space", func(u string) string { return u }, func(u string) string { return u + " " }, false},
			{"no domain", func(u string) string { return u }, func(u string) string { return u + "@" }, false},
			{"another user", func(u string) string { return u }, func(u string) string { return u + "x" }, false},
			{"catchall", func(string) string { return "*" }, func(string) string { return "*@here.test" }, false},
		} {
			for _, mech := range []string{sasl.ScramSHA1, sasl.ScramSHA256Plus} {
				for _, user := range []string{"joe", "boss", "info", "nobody"} {
					if same := salt(t, c, mech, tt.a(user)) == salt(t, c, mech, tt.b(user)); same != tt.same {
						t.Errorf("%s: %s and %s have the same %s salt: %v, want %v", tt.name, tt.a(user), tt.b(user), mech, same, tt.same)
					}
				}
			}
		}
	})
}

// Where several domains have an address of their own with one local part, those
// that are not there show the salts of all of them: none is real for its salt.
func TestSaltsOfSeveralDomains(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		a := &accounts.Store{DB: db}
		real := map[string]string{}
		c := machine(t, db)
		for _, name := range []string{"ann", "bob", "info"} {
			domain := name + ".test"
			must(t, a.AddDomain(t.Context(), dns.MustParse(domain)))
			must(t, a.AddAccount(t.Context(), name, "correct horse"))
			must(t, a.AddAddress(t.Context(), "info@"+domain, name))
			real[salt(t, c, sasl.ScramSHA256, "info@"+domain)] = name
		}
		seen := map[string]int{}
		for i := range 60 {
			user := fmt.Sprintf("info@customer%d.test", i)
			shown := salt(t, c, sasl.ScramSHA256, user)
			if shown != salt(t, machine(t, db), sasl.ScramSHA256, "INFO"+user[4:]) {
				t.Errorf("%s: another salt on another machine", user)
			}
			seen[real[shown]]++
		}
		if len(seen) != 3 || seen["ann"] < 3 || seen["bob"] < 3 || seen["info"] < 3 {
			t.Errorf("salts shown to nobody: %v", seen)
		}
	})
}

// asking notes what is asked of accounts.
type asking struct {
	login.Accounts
	asked string
}

func (a *asking) Login(ctx context.Context, user string) (string, error) {
	a.asked += " Login"
	return a.Accounts.Login(ctx, user)
}

func (a *asking) StandIns(ctx context.Context, user string) ([]string, error) {
	a.asked += " StandIns"
	return a.Accounts.StandIns(ctx, user)
}

func (a *asking) Credentials(ctx context.Context, name string) (account.Credentials, bool, error) {
	a.asked += " Credentials"
	return a.Accounts.Credentials(ctx, name)
}

// The store, which may be far away, is asked as often for who is there as for who
// is not.
func TestTimeTellsNothing(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	populate(t.Context(), t, db)
	must(t, (&accounts.Store{DB: db}).SetDisabled(t.Context(), "boss", true))
	for _, user := range []string{"joe", "joe@here.test", "joe@elsewhere.test", "info", "info@here.test", "boss", "nobody", "nobody@here.test"} {
		a := &asking{Accounts: &accounts.Store{DB: db}}
		c := &login.Checker{Accounts: a}
		if _, _, _, err := c.Scram(t.Context(), sasl.ScramSHA256, user); err != nil || a.asked != " Login StandIns Credentials" {
			t.Errorf("SCRAM of %s asks%s, %v", user, a.asked, err)
		}
		a.asked = ""
		if _, err := c.Password(t.Context(), user, "wrong"); !errors.Is(err, sasl.ErrFailed) || a.asked != " Login Credentials" {
			t.Errorf("PLAIN of %s asks%s, %v", user, a.asked, err)
		}
	}
}

// Who stands in only lends the salt: the login itself is still nobody's.
func TestStandInLogsNobodyIn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	populate(t.Context(), t, db)
	c := machine(t, db)
	for user, want := range map[string]string{
		"joe": "joe", "joe@here.test": "joe", "info@here.test": "boss", "boss": "boss",
		"joe@elsewhere.test": "", "info": "", "boss@here.test": "", "nobody": "", "joe+x@here.test": "", "\xff": "", "*": "",
	} {
		_, who, known, err := c.Scram(t.Context(), sasl.ScramSHA256, user)
		if who != want || known != (want != "") || err != nil {
			t.Errorf("%q: %q, known %v, %v; want %q", user, who, known, err, want)
		}
	}
}

// A restart and another machine show the same salts, or the made-up ones would be
// those that change.
func TestSaltsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	users := []string{"joe", "nobody", "nobody@here.test", "nobody+x@here.test", "off"}
	all := func(t *testing.T, db *store.Store) (salts []string) {
		c := machine(t, db)
		for _, u := range users {
			for _, mech := range []string{sasl.ScramSHA1, sasl.ScramSHA256} {
				salts = append(salts, salt(t, c, mech, u))
			}
		}
		return salts
	}
	compare := func(t *testing.T, a, b []string) {
		for i := range a {
			if a[i] != b[i] {
				t.Errorf("%s: another salt", users[i/2])
			}
		}
	}
	t.Run("restart on SQLite", func(t *testing.T) {
		t.Parallel()
		o := store.Options{Create: true, Path: t.TempDir() + "/waxwing.db", Migrations: schema.FS}
		var seen [2][]string
		for i := range seen {
			db, err := store.Open(t.Context(), o)
			must(t, err)
			if i == 0 {
				populate(t.Context(), t, db)
			}
			seen[i] = all(t, db)
			must(t, db.Close())
		}
		compare(t, seen[0], seen[1])
	})
	t.Run("two machines on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		o := store.Options{Create: true, Postgres: storetest.Postgres(t), Migrations: schema.FS}
		var seen [2][]string
		for i := range seen {
			db, err := store.Open(t.Context(), o)
			must(t, err)
			defer db.Close()
			if i == 0 {
				populate(t.Context(), t, db)
			}
			seen[i] = all(t, db)
		}
		compare(t, seen[0], seen[1])
	})
}
