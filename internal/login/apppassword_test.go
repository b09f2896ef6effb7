package login

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/sasl"
	"waxwing/smtp"
)

// phone is a client of one account that may have any of several passwords.
type phone struct {
	*testing.T
	c    *Checker
	from netip.Addr
}

// login is one whole exchange: the reply's code and enhanced code, "" for a success.
func (p phone) login(mech, password string) string {
	p.Helper()
	ctx := p.Context()
	client := map[string]func() sasl.Client{
		sasl.Plain: func() sasl.Client { return sasl.NewPlainClient("", "joe", password) },
		sasl.Login: func() sasl.Client { return sasl.NewLoginClient("joe", password) },
	}[mech]
	if client == nil {
		client = func() sasl.Client {
			c, err := sasl.NewScramClient(sasl.ScramClient{Mechanism: mech, User: "joe", Password: password})
			if err != nil {
				p.Fatal(err)
			}
			return c
		}
	}
	ex, reply := p.c.Start(ctx, mech, guest{addr: p.from})
	if reply != nil {
		p.Fatal(reply)
	}
	err := exchange(client(), ex)
	if r := p.c.Done(ctx, guest{addr: p.from}, ex, err); r != nil {
		p.Fatal(r)
	}
	var own *smtp.Reply
	switch {
	case err == nil && ex.Identity() == "joe":
		return ""
	case errors.As(err, &own):
		return strings.Join(strings.Fields(own.Error())[:2], " ")
	case errors.Is(err, sasl.ErrFailed):
		return "failed"
	}
	p.Fatalf("%s: identity %q, %v", mech, ex.Identity(), err)
	return ""
}

// exchange plays both sides; the error is the server's.
func exchange(c sasl.Client, s sasl.Server) error {
	_, response, err := c.Start()
	for range 10 {
		challenge, done, serr := s.Next(response)
		if serr != nil || done {
			return serr
		}
		if response, err = c.Next(challenge); err != nil {
			return err
		}
	}
	return errors.Join(errors.New("no end"), err)
}

// ACC-3: an app password logs in by each mechanism, until it is removed or has ended, after the
// account's own has changed too, and without the account's own where the rules say so. The log of
// logins names it, and its last use is known.
func TestAppPasswords(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		at := time.Unix(1e9, 0).UTC()
		now := func() time.Time { return at }
		acc := &accounts.Store{DB: db, Now: now}
		c := &Checker{Accounts: acc, Now: now, Limits: Limits{Delay: -1, Failures: 1000, NameFailures: 1000}, Journal: &Journal{DB: db, Now: now},
			AppUsed: func(ctx context.Context, p account.AppPassword, from netip.Addr) {
				if err := acc.AppUsed(ctx, p, from); err != nil {
					t.Error(err)
				}
			}}
		p := phone{t, c, netip.MustParseAddr("192.0.2.7")}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		all := []string{sasl.Plain, sasl.Login, sasl.ScramSHA1, sasl.ScramSHA256}
		each := func(password, want string) {
			t.Helper()
			for _, mech := range all {
				if got := p.login(mech, password); got != want {
					t.Errorf("%s with %q: %q, want %q", mech, password, got, want)
				}
			}
		}
		check(acc.AddAccount(ctx, "joe", "correct horse"))
		check(acc.AddAppPassword(ctx, account.AppPassword{Account: "joe", Name: "phone", Protocols: []account.Protocol{account.SMTP}}, "of-the-phone"))
		check(acc.AddAppPassword(ctx, account.AppPassword{Account: "joe", Name: "tablet", Protocols: []account.Protocol{account.SMTP}, Expires: at.Add(time.Hour)}, "of-the-tablet"))
		check(acc.AddAppPassword(ctx, account.AppPassword{Account: "joe", Name: "reader", Protocols: []account.Protocol{account.IMAP}}, "of-the-reader"))
		for password, want := range map[string]string{"correct horse": "", "of-the-phone": "", "of-the-tablet": "", "of-the-reader": "535 5.7.8", "of-the-phone ": "failed", "": "failed"} {
			if password == "" { // no client sends it by SCRAM
				continue
			}
			each(password, want)
		}
		list, err := acc.AppPasswords(ctx, "joe")
		if err != nil || len(list) != 3 || list[0].Name != "phone" || !list[0].Used.Equal(at) || list[0].UsedFrom != "192.0.2.7" || !list[1].Used.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
		c.Journal.Wait()
		entries, err := c.Journal.Entries(ctx, "joe")
		named := map[string]int{}
		for _, e := range entries {
			named[e.App+" "+e.Result]++
		}
		if err != nil || named["phone ok"] != 4 || named["tablet ok"] != 4 || named[" ok"] != 4 || named["reader app-password-protocol"] != 4 || named[" failed"] != 4 {
			t.Errorf("%v, %v", named, err)
		}

		check(acc.SetPassword(ctx, "joe", "another horse"))
		each("of-the-phone", "")
		each("another horse", "")
		each("correct horse", "failed")
		at = at.Add(time.Hour)
		each("of-the-tablet", "535 5.7.8")
		check(acc.RemoveAppPassword(ctx, "joe", "phone"))
		each("of-the-phone", "failed")
		if err := acc.RemoveAppPassword(ctx, "joe", "phone"); !errors.Is(err, accounts.ErrNoSuchApp) {
			t.Error(err)
		}
	})
}

// ACC-3: passwords of an account that another tool gave other salts still log in, where nothing has to
// be agreed on before the password is seen.
func TestAppPasswordOfOtherSalts(t *testing.T) {
	t.Parallel()
	p := newPeople()
	other, err := account.NewCredentials("another horse")
	if err != nil {
		t.Fatal(err)
	}
	k, err := account.NewAppKeys(account.AppPassword{Account: "joe", Name: "phone", Protocols: []account.Protocol{account.SMTP}}, "of-the-phone", other)
	if err != nil {
		t.Fatal(err)
	}
	cred := keys()
	cred.Apps = []account.AppKeys{k}
	p.creds["joe"] = cred
	c := &Checker{Accounts: p, Limits: Limits{Delay: -1}}
	caller := phone{t, c, netip.MustParseAddr("192.0.2.7")}
	for mech, want := range map[string]string{sasl.Plain: "", sasl.Login: "", sasl.ScramSHA256: "failed", sasl.ScramSHA1: "failed"} {
		if got := caller.login(mech, "of-the-phone"); got != want {
			t.Errorf("%s: %q", mech, got)
		}
	}
}

// INB-3, ACC-3: guesses at app passwords are bounded as others are; a right password that the rules do not
// let in is no guess.
func TestDenialIsNoGuess(t *testing.T) {
	t.Parallel()
	p := newPeople()
	cred := keys()
	cred.Access = account.Access{AppOnly: true, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	p.creds["joe"] = cred
	counted := map[string]int{}
	c := &Checker{Accounts: p, Limits: Limits{Delay: -1, Failures: 3}, Count: func(_, result string) { counted[result]++ }}
	caller := phone{t, c, netip.MustParseAddr("192.0.2.7")}
	for range 5 {
		for _, mech := range []string{sasl.Plain, sasl.ScramSHA256} {
			if got := caller.login(mech, "correct horse"); got != "534 5.7.9" {
				t.Errorf("%s: %q", mech, got)
			}
		}
	}
	for range 3 {
		if got := caller.login(sasl.Plain, "a guess"); got != "failed" {
			t.Error(got)
		}
	}
	if _, reply := c.Start(t.Context(), sasl.Plain, guest{addr: caller.from}); reply == nil || reply.Code != 421 {
		t.Errorf("after three guesses: %v", reply)
	}
	if counted["denied"] != 10 || counted["failed"] != 3 {
		t.Errorf("%v", counted)
	}
	err := c.APIKey(t.Context(), netip.MustParseAddr("203.0.113.1"), "key", func(context.Context) (string, error) { return "joe", nil })
	var reply *smtp.Reply
	if !errors.As(err, &reply) || reply.Code != 535 {
		t.Errorf("an API key from elsewhere: %v", err)
	}
	if err := c.APIKey(t.Context(), netip.MustParseAddr("192.0.2.99"), "key", func(context.Context) (string, error) { return "joe", nil }); err != nil {
		t.Error(err)
	}
}
