package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

var (
	net = dns.MustParse("example.net")
	org = dns.MustParse("example.org")
)

const password = "correct horse"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each gives fn the accounts joe and ann, joe@ and ann@example.net.
func each(t *testing.T, fn func(t *testing.T, s *accounts.Store)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		clock := time.Unix(1e9, 0).UTC()
		var mu sync.Mutex
		s := &accounts.Store{DB: db, Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			clock = clock.Add(time.Second)
			return clock
		}}
		must(t, s.AddDomain(t.Context(), net))
		for _, name := range []string{"joe", "ann"} {
			must(t, s.AddAccount(t.Context(), name, password))
			must(t, s.AddAddress(t.Context(), name+"@example.net", name))
		}
		fn(t, s)
	})
}

// INB-4, ACC-1: only hosted domains, unknown addresses, "+", catchall, postmaster.
func TestResolve(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddDomain(ctx, org))
		must(t, s.AddAddress(ctx, "*@example.org", "ann"))
		must(t, s.AddAddress(ctx, `"a b"@example.org`, "joe"))
		must(t, s.AddAddress(ctx, "joe+special@example.net", "ann"))
		for _, c := range []struct {
			local  string
			domain dns.Name
			want   string // account, matched address, detail
		}{
			{"joe", net, "joe joe@example.net "},
			{"JOE", net, "joe joe@example.net "},
			{"joe+x+y", net, "joe joe@example.net x+y"},
			{"joe+special", net, "ann joe+special@example.net "},
			{"joe+special+x", net, "ann joe+special@example.net x"}, // the longest that there is,
			{"+joe", net, "no such address"},
			{"*", net, "no such address"},
			{"nobody", net, "no such address"},
			{"nobody' OR '1'='1", net, "no such address"},
			{strings.Repeat("x", 300), net, "no such address"},
			{"jo\x00e", net, "no such address"},
			{"jo\xffe", org, "no such address"},
			{"nobody", org, "ann *@example.org "},
			{"*", org, "ann *@example.org "},
			{"a b", org, `joe "a b"@example.org `},
			{"joe", dns.MustParse("sub.example.net"), "the domain is not hosted here"},
			{"joe", dns.Name{}, "the domain is not hosted here"},
			{"Postmaster", net, "joe postmaster@example.net "}, // RFC 5321 §4.5.1
			{"postmaster", org, "ann postmaster@example.org "}, // the first that had an address there
			{"postmaster", dns.Name{}, "joe postmaster "},
		} {
			for range 2 { // from the tables, from the cache
				tg, err := s.Resolve(ctx, c.local, c.domain)
				got := fmt.Sprintf("%s %s %s", tg.Account, tg.Address, tg.Detail)
				if err != nil {
					got = err.Error()
				} else if tg.Mailbox != account.Inbox {
					t.Errorf("%s@%s: mailbox %q", c.local, c.domain, tg.Mailbox)
				}
				if got != c.want {
					t.Errorf("%s@%s: %q, want %q", c.local, c.domain, got, c.want)
				}
			}
		}
	})
}

// What another process changes is seen by the next call.
func TestCacheFollowsChanges(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		other := &accounts.Store{DB: s.DB}
		is := func(want bool) {
			t.Helper()
			_, err := s.Resolve(ctx, "new", org)
			hosted, e := s.IsHosted(ctx, org)
			if (err == nil) != want || hosted != want || e != nil {
				t.Errorf("resolved: %v, hosted: %v, %v; want %v", err, hosted, e, want)
			}
		}
		is(false)
		must(t, other.AddDomain(ctx, org))
		must(t, other.AddAddress(ctx, "new@example.org", "joe"))
		is(true)
		must(t, other.RemoveAddress(ctx, "NEW@example.org"))
		must(t, other.RemoveDomain(ctx, org))
		is(false)
	})
}

// Domains and addresses beyond what is held in memory give the same answers.
func TestLarge(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddDomain(ctx, org))
		must(t, s.AddAddress(ctx, "*@example.org", "ann"))
		answers := func() (out []string) {
			for _, a := range []string{"joe", "JOE+x", "nobody", "postmaster", "*", "+"} {
				for _, d := range []dns.Name{net, org, dns.MustParse("example.com"), {}} {
					for range 2 { // asked, and remembered
						target, err := s.Resolve(ctx, a, d)
						out = append(out, fmt.Sprint(a, "@", d, ": ", target, " ", err))
					}
				}
			}
			for _, d := range []dns.Name{net, org, dns.MustParse("example.com")} {
				is, err := s.IsHosted(ctx, d)
				out = append(out, fmt.Sprint(d, is, err))
			}
			return out
		}
		small := answers()
		if !strings.Contains(strings.Join(small, "\n"), "nobody@example.org: {ann") {
			t.Fatalf("no catchall:\n%s", strings.Join(small, "\n"))
		}
		for _, fill := range []string{
			`INSERT INTO addresses (domain, local, account, mailbox, created) SELECT 'example.net', n, 'ann', 'INBOX', 8000000000000000000 FROM `,
			`INSERT INTO domains (name, created) SELECT n || '.many.test', 8000000000000000000 FROM `,
		} {
			must(t, s.DB.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(fill + `(WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < 10001) SELECT 'n' || i AS n FROM c) AS names`)
				return errors.Join(err, tx.Raise(accounts.Area))
			}))
			for i, got := range answers() {
				if got != small[i] {
					t.Errorf("with many rows\n%s\nwith few\n%s", got, small[i])
				}
			}
		}
		if is, err := s.IsHosted(ctx, dns.MustParse("n77.many.test")); !is || err != nil {
			t.Errorf("a domain of many: %v, %v", is, err)
		}
		if got, err := s.Resolve(ctx, "n77+x", net); err != nil || got.Account != "ann" || got.Address != "n77@example.net" {
			t.Errorf("an address of many: %v, %v", got, err)
		}
	})
}

func TestCacheUnderConcurrency(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddDomain(ctx, org))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 50 {
					if tg, err := s.Resolve(ctx, "joe", net); err != nil || tg.Account != "joe" {
						t.Errorf("%+v, %v", tg, err)
					}
					s.Resolve(ctx, fmt.Sprint("n", i), org)
				}
			})
		}
		for i := range 10 {
			address := fmt.Sprintf("n%d@example.org", i)
			must(t, s.AddAddress(ctx, address, "ann"))
			if tg, err := s.Resolve(ctx, fmt.Sprint("n", i), org); err != nil || tg.Account != "ann" {
				t.Errorf("%s was added and is not found: %v", address, err)
			}
		}
		wg.Wait()
	})
}

func TestErrors(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		for name, c := range map[string]struct{ err, want error }{
			"domain twice":        {s.AddDomain(ctx, net), accounts.ErrExists},
			"domain in use":       {s.RemoveDomain(ctx, net), accounts.ErrInUse},
			"domain unknown":      {s.RemoveDomain(ctx, org), accounts.ErrNotHosted},
			"account twice":       {s.AddAccount(ctx, "joe", password), accounts.ErrExists},
			"account in use":      {s.RemoveAccount(ctx, "joe"), accounts.ErrInUse},
			"account unknown":     {s.RemoveAccount(ctx, "bob"), accounts.ErrNoSuchAccount},
			"password of unknown": {s.SetPassword(ctx, "bob", password), accounts.ErrNoSuchAccount},
			"disable unknown":     {s.SetDisabled(ctx, "bob", true), accounts.ErrNoSuchAccount},
			"address twice":       {s.AddAddress(ctx, "Joe@example.net", "ann"), accounts.ErrExists},
			"address not hosted":  {s.AddAddress(ctx, "joe@example.org", "joe"), accounts.ErrNotHosted},
			"address of unknown":  {s.AddAddress(ctx, "bob@example.net", "bob"), accounts.ErrNoSuchAccount},
			"address unknown":     {s.RemoveAddress(ctx, "bob@example.net"), accounts.ErrNoSuchAddress},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v, want %v", name, c.err, c.want)
			}
		}
		for _, bad := range []string{"", "joe", "@example.net", "joe@", "joe@[192.0.2.1]", "jo e@example.net"} {
			if err := s.AddAddress(ctx, bad, "joe"); err == nil {
				t.Errorf("address %q was taken", bad)
			}
		}
		if err := s.AddAccount(ctx, "Not A Name", password); err == nil {
			t.Error("a bad name was taken")
		}
		must(t, s.RemoveAddress(ctx, "joe@example.net"))
		must(t, s.RemoveAccount(ctx, "joe"))
	})
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddDomain(ctx, dns.MustParse("b\u00fccher.example")))
		must(t, s.AddAddress(ctx, "j\u00f6@B\u00dcCHER.example", "joe"))
		must(t, s.SetDisabled(ctx, "ann", true))
		domains, err := s.Domains(ctx)
		must(t, err)
		accts, err := s.Accounts(ctx)
		must(t, err)
		addresses, err := s.Addresses(ctx)
		must(t, err)
		got := ""
		for _, d := range domains {
			got += d.Name.Unicode() + " "
		}
		for _, a := range accts {
			got += fmt.Sprint(a.Name, " ", a.Disabled, " ")
		}
		for _, a := range addresses {
			got += a.Address + " " + a.Account + " "
		}
		const want = "example.net b\u00fccher.example ann true joe false ann@example.net ann joe@example.net joe j\u00f6@xn--bcher-kva.example joe "
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if domains[0].Created.Year() != 2001 {
			t.Errorf("created %v", domains[0].Created)
		}
	})
}

func TestLoginAndCredentials(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddAddress(ctx, "*@example.net", "ann"))
		for user, want := range map[string]string{
			"joe": "joe", "Joe": "joe", "JOE@example.net": "joe", "joe@EXAMPLE.net": "joe",
			"": "", "bob": "", "joe+x@example.net": "", "bob@example.net": "", "*@example.net": "", "*": "", "joe@": "", "a\x00": "", "\xff": "", "jo\xffe@example.net": "", "jo\x00e@example.net": "",
		} {
			if got, err := s.Login(ctx, user); got != want || err != nil {
				t.Errorf("%q: %q, %v; want %q", user, got, err, want)
			}
		}
		verify := func(password string, want bool) {
			t.Helper()
			c, ok, err := s.Credentials(ctx, "joe")
			if err != nil || !ok {
				t.Fatalf("no credentials: %v", err)
			}
			if got, err := account.VerifyPassword(c.PasswordHash, password); got != want || err != nil {
				t.Errorf("%q verified: %v, %v", password, got, err)
			}
			if len(c.SCRAM256.StoredKey) != 32 || len(c.SCRAM256.ServerKey) != 32 || len(c.SCRAM1.StoredKey) != 20 || c.SCRAM1.Iterations < 4096 {
				t.Errorf("SCRAM keys: %d, %d octets", len(c.SCRAM256.StoredKey), len(c.SCRAM1.StoredKey))
			}
		}
		verify(password, true)
		must(t, s.SetPassword(ctx, "joe", "another horse"))
		verify("another horse", true)
		verify(password, false)
		must(t, s.SetDisabled(ctx, "joe", true))
		if _, ok, err := s.Credentials(ctx, "joe"); ok || err != nil {
			t.Errorf("a disabled account has credentials (%v)", err)
		}
		if _, err := s.Resolve(ctx, "joe", net); err != nil {
			t.Errorf("mail for a disabled account is refused: %v", err)
		}
	})
}

func TestDamagedSCRAM(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		for _, bad := range []string{"", "1$2", "0$YQ==$YQ==$YQ==", "x$YQ==$YQ==$YQ==", "1$?$YQ==$YQ==", "1$YQ==$YQ==$"} {
			must(t, s.DB.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE accounts SET scram1 = ?`, bad)
				return err
			}))
			if _, ok, err := s.Credentials(t.Context(), "joe"); ok || err == nil || !strings.Contains(err.Error(), "set the password anew") {
				t.Errorf("%q: %v, %v", bad, ok, err)
			}
		}
	})
}

func TestMaySendAs(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := context.Background()
		must(t, s.AddDomain(ctx, org))
		must(t, s.AddAddress(ctx, "*@example.org", "ann"))
		for _, c := range []struct {
			account, address string
			want             bool
		}{
			{"joe", "Joe@Example.NET", true}, {"joe", "joe+x@example.net", true}, {"joe", "ann@example.net", false},
			{"ann", "any@example.org", true}, {"joe", "any@example.org", false},
			{"joe", "joe@elsewhere.example", false}, {"joe", "", false}, {"joe", "nonsense", false}, {"", "joe@example.net", false},
		} {
			if got, err := s.MaySendAs(ctx, c.account, c.address); got != c.want || err != nil {
				t.Errorf("%s as %s: %v, %v", c.account, c.address, got, err)
			}
		}
	})
}

// TestDisabledDomain (SET-4): a disabled domain is still hosted, its addresses are found,
// and it is known as disabled at once, until it is enabled.
func TestDisabledDomain(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		state := func(want bool) {
			t.Helper()
			off, err := s.IsDisabled(ctx, net)
			hosted, herr := s.IsHosted(ctx, net)
			_, rerr := s.Resolve(ctx, "joe", net)
			all, lerr := s.Domains(ctx)
			if err := errors.Join(err, herr, rerr, lerr); err != nil || off != want || !hosted || all[0].Disabled != want {
				t.Errorf("disabled %v, want %v; hosted %v, listed %+v, %v", off, want, hosted, all, err)
			}
		}
		state(false)
		must(t, s.SetDomainDisabled(ctx, net, true))
		state(true)
		must(t, s.SetDomainDisabled(ctx, net, false))
		state(false)
		if err := s.SetDomainDisabled(ctx, dns.MustParse("nowhere.test"), true); !errors.Is(err, accounts.ErrNotHosted) {
			t.Error(err)
		}
	})
}
