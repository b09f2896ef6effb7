package accounts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
)

// TestAliases (ACC-1): what is set up is what mail goes by; loops and members that nobody has
// are refused.
func TestAliases(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		add := func(address string, members ...string) error {
			return s.AddAlias(ctx, account.Alias{Address: address, Members: members, SenderCopy: true})
		}
		must(t, add("Info@example.net", "Joe@example.net", "Else@Elsewhere.test", "joe@example.net"))
		must(t, add("all@example.net", "info@example.net", "ann+x@example.net"))
		for what, c := range map[string]struct{ got, want error }{
			"twice":         {add("info@example.net", "ann@example.net"), accounts.ErrExists},
			"an account's":  {add("joe@example.net", "ann@example.net"), accounts.ErrExists},
			"not hosted":    {add("x@nowhere.test", "ann@example.net"), accounts.ErrNotHosted},
			"nobody":        {add("y@example.net", "nobody@example.net"), accounts.ErrNoSuchAddress},
			"itself":        {add("z@example.net", "z@example.net"), accounts.ErrLoop},
			"address taken": {s.AddAddress(ctx, "info@example.net", "joe"), accounts.ErrExists},
			"no address":    {s.RemoveAddress(ctx, "info@example.net"), accounts.ErrNoSuchAddress},
			"no alias":      {s.RemoveAlias(ctx, "joe@example.net"), accounts.ErrNoSuchAlias},
			"change none":   {s.ChangeAlias(ctx, "joe@example.net", nil), accounts.ErrNoSuchAlias},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, want %v", what, c.got, c.want)
			}
		}
		err := s.ChangeAlias(ctx, "INFO@example.net", func(a *account.Alias) error { a.Members = append(a.Members, "ALL+x@example.net"); return nil })
		if !errors.Is(err, accounts.ErrLoop) || !strings.Contains(err.Error(), "info@example.net > all@example.net > info@example.net") {
			t.Errorf("a loop: %v", err)
		}
		for _, bad := range []string{"nonsense", "*@example.net"} {
			if add("bad@example.net", bad) == nil {
				t.Errorf("the member %q was taken", bad)
			}
		}
		target, err := s.Resolve(ctx, "ALL+news", net)
		if err != nil || target.Alias != "all@example.net" || target.Detail != "news" || target.Account != "" {
			t.Fatalf("%+v, %v", target, err)
		}
		e, err := s.Expand(ctx, target.Alias, account.Poster{})
		if err != nil || len(e.Inside) != 2 || fmt.Sprint(e.Outside) != "[Else@elsewhere.test]" {
			t.Errorf("%+v, %v", e, err)
		}
		must(t, s.ChangeAlias(ctx, "all@example.net", func(a *account.Alias) error {
			a.Posting, a.SenderCopy = account.PostMembers, false
			return nil
		}))
		if e, err = s.Expand(ctx, target.Alias, account.Poster{Address: "Joe+work@example.net"}); err != nil || len(e.Inside) != 1 || !e.Spared {
			t.Errorf("%+v, %v", e, err)
		}
		for from, want := range map[string]account.Admission{"joe@example.net": account.AdmitKnown, "else@elsewhere.test": account.AdmitKnown, "eve@evil.test": account.AdmitNobody, "": account.AdmitNobody} {
			if got, err := s.Admit(ctx, target.Alias, account.Poster{Address: from}); got != want || err != nil {
				t.Errorf("%s: %v, %v", from, got, err)
			}
		}
		if ok, err := s.MaySendAs(ctx, "joe", "info@example.net"); ok || err != nil {
			t.Errorf("joe may send as the alias: %v, %v", ok, err)
		}
		must(t, s.RemoveAlias(ctx, "Info@example.net"))
		if _, err := s.Resolve(ctx, "info", net); !errors.Is(err, accounts.ErrNoSuchAddress) {
			t.Errorf("removed: %v", err)
		}
		if e, err := s.Expand(ctx, "all@example.net", account.Poster{}); err != nil || fmt.Sprint(e.Missing) != "[info@example.net]" {
			t.Errorf("a member went: %+v, %v", e, err)
		}
	})
}

// TestRules (ACC-2): separators, case, and addresses that are refused though there is a catchall.
func TestRules(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		must(t, s.AddAddress(ctx, "ann-marie@example.net", "ann"))
		must(t, s.AddAlias(ctx, account.Alias{Address: "*@example.net", Members: []string{"joe@example.net"}}))
		must(t, s.RefuseAddress(ctx, "Sales@example.net"))
		for _, bad := range []string{"postmaster@example.net", "*@example.net", "sales@example.net", "x@example.org", "x"} {
			if s.RefuseAddress(ctx, bad) == nil {
				t.Errorf("%s was refused", bad)
			}
		}
		check := func(rules account.LocalRules, all map[string]string) {
			t.Helper()
			must(t, s.SetRules(ctx, net, rules))
			for local, want := range all {
				target, err := s.Resolve(ctx, local, net)
				got := target.Account + target.Alias
				if err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("%+v: %s is %q, want %q", rules, local, got, want)
				}
			}
		}
		none := accounts.ErrNoSuchAddress.Error()
		check(account.DefaultRules, map[string]string{"ann-marie+x": "ann", "joe-x": "*@example.net", "SALES": none, "sales+x": none, "other": "*@example.net", "JOE": "joe"})
		check(account.LocalRules{Separators: "-+"}, map[string]string{"ann-marie+x": "ann", "joe-x": "joe", "sales-x": none, "joe-x+y-z": "joe"})
		check(account.LocalRules{}, map[string]string{"joe+x": "*@example.net", "JOE": "joe"})
		check(account.LocalRules{CaseSensitive: true}, map[string]string{"JOE": "*@example.net", "joe": "joe", "PostMaster": "joe"})
		must(t, s.AddAddress(ctx, "JOE@example.net", "ann"))
		check(account.LocalRules{CaseSensitive: true}, map[string]string{"JOE": "ann", "joe": "joe", "Joe": "*@example.net"})
		for user, want := range map[string]string{"JOE@example.net": "ann", "joe@example.net": "joe"} {
			if got, err := s.Login(ctx, user); got != want || err != nil {
				t.Errorf("login %s: %s, %v", user, got, err)
			}
		}
		if err := s.SetRules(ctx, net, account.DefaultRules); !errors.Is(err, accounts.ErrInUse) {
			t.Errorf("case no longer counts, with JOE and joe: %v", err)
		}
		if err := s.SetRules(ctx, org, account.DefaultRules); !errors.Is(err, accounts.ErrNotHosted) {
			t.Error(err)
		}
		all, err := s.Addresses(ctx)
		must(t, err)
		refused := 0
		for _, a := range all {
			if a.Refused {
				refused++
			}
		}
		if refused != 1 || len(all) != 5 {
			t.Errorf("%+v", all)
		}
		must(t, s.RemoveAddress(ctx, "sales@example.net"))
		check(account.LocalRules{CaseSensitive: true}, map[string]string{"sales": "*@example.net"})
	})
}

// TestDisabledMail (ACC-3): what becomes of mail for what is disabled.
func TestDisabledMail(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		for _, c := range []struct {
			mail    account.DisabledMail
			refused bool
		}{{account.Refuse, true}, {account.Keep, false}} {
			must(t, s.Disable(ctx, "joe", c.mail))
			if target, err := s.Resolve(ctx, "joe", net); err != nil || target.Refused != c.refused {
				t.Errorf("%q: %+v, %v", c.mail, target, err)
			}
		}
		must(t, s.Disable(ctx, "joe", account.Refuse))
		must(t, s.SetDisabled(ctx, "joe", false))
		if target, err := s.Resolve(ctx, "joe", net); err != nil || target.Refused {
			t.Errorf("enabled again: %+v, %v", target, err)
		}
		for _, m := range []account.DisabledMail{account.Refuse, account.Keep, account.PutOff} {
			must(t, s.DisableDomain(ctx, net, m))
			off, err := s.IsDisabled(ctx, net)
			got, merr := s.DisabledMail(ctx, net)
			if !off || got != m || err != nil || merr != nil {
				t.Errorf("%q: %v %q, %v, %v", m, off, got, err, merr)
			}
		}
	})
}

// TestRewrite (ACC-1): a sender of others becomes an address of ours that leads back to it, and
// to nobody else.
func TestRewrite(t *testing.T) {
	each(t, func(t *testing.T, s *accounts.Store) {
		ctx := t.Context()
		for sender, same := range map[string]bool{"": true, "joe@example.net": true, "Ann@else.test": false, `"a b"@else.test`: false, "nobody": true,
			strings.Repeat("x", 64) + "@" + strings.Repeat(strings.Repeat("y", 58)+".", 3) + "test": true} {
			got, err := s.Rewrite(ctx, sender, net)
			must(t, err)
			if (got == sender) != same {
				t.Errorf("%q became %q", sender, got)
			}
			if got == sender {
				continue
			}
			local := strings.Trim(strings.TrimSuffix(got, "@example.net"), `"`)
			target, err := s.Resolve(ctx, local, net)
			if err != nil || target.Return != sender || target.Account != "" {
				t.Errorf("%q: %+v, %v", got, target, err)
			}
			if _, err := s.Resolve(ctx, strings.Replace(local, "=else", "=evil", 1), net); !errors.Is(err, accounts.ErrNoSuchAddress) {
				t.Errorf("forged: %v", err)
			}
			other := &accounts.Store{DB: s.DB} // of another machine
			if target, err := other.Resolve(ctx, local, net); err == nil || target.Return != "" {
				t.Errorf("years later: %+v, %v", target, err)
			}
		}
	})
}
