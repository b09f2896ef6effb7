package login

import (
	"net/netip"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// ACC-3, WEB-3: what was let in by a password goes on for as long as that very password would be let in again, and is neither a login nor a guess.
func TestStandingOf(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		at := time.Unix(1e9, 0).UTC()
		now := func() time.Time { return at }
		acc := &accounts.Store{DB: db, Now: now}
		counted := 0
		c := &Checker{Accounts: acc, Now: now, Count: func(string, string) { counted++ }}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		here := netip.MustParseAddr("192.0.2.7")
		stands := func(password string) string {
			t.Helper()
			s, err := c.StandingOf(ctx, "joe", password, account.Proven{Protocol: account.JMAP, From: here})
			check(err)
			return s
		}
		app := func(name, secret string, expires time.Time, use account.Protocol) {
			t.Helper()
			check(acc.AddAppPassword(ctx, account.AppPassword{Account: "joe", Name: name, Protocols: []account.Protocol{use}, Expires: expires}, secret))
		}
		check(acc.AddAccount(ctx, "joe", "correct horse"))
		app("phone", "of-the-phone", time.Time{}, account.JMAP)
		app("tablet", "of-the-tablet", at.Add(time.Hour), account.JMAP)
		app("reader", "of-the-reader", time.Time{}, account.IMAP)
		own, phone, tablet := stands("correct horse"), stands("of-the-phone"), stands("of-the-tablet")
		if own == "" || phone == "" || tablet == "" || own == phone || phone == tablet || stands("of-the-reader") != "" {
			t.Fatalf("%x, %x, %x", own, phone, tablet)
		}
		goes := func(why, password, was string, on bool) {
			t.Helper()
			if is := stands(password); (is == was && is != "") != on {
				t.Errorf("%s: %q goes on: %t", why, password, !on)
			}
		}
		goes("nothing has happened", "of-the-phone", phone, true)
		check(acc.SetPassword(ctx, "joe", "another horse"))
		goes("its own password changed", "correct horse", own, false)
		goes("its own password changed", "of-the-phone", phone, true)
		own = stands("another horse")
		at = at.Add(time.Hour)
		goes("it has expired", "of-the-tablet", tablet, false)
		check(acc.RemoveAppPassword(ctx, "joe", "phone"))
		goes("it was removed", "of-the-phone", phone, false)
		rules := func(fn func(*account.Access)) {
			t.Helper()
			check(acc.ChangeAccess(ctx, "joe", func(a account.Access) account.Access { fn(&a); return a }))
		}
		goes("the account's rules are as they were", "another horse", own, true)
		rules(func(a *account.Access) { a.AppOnly = true })
		goes("app passwords alone log in", "another horse", own, false)
		rules(func(a *account.Access) {
			a.AppOnly, a.Networks = false, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		})
		goes("it logs in from elsewhere", "another horse", own, false)
		rules(func(a *account.Access) { a.Networks = nil })
		check(acc.SetDisabled(ctx, "joe", true))
		goes("the account is suspended", "another horse", own, false)
		if counted != 0 {
			t.Errorf("%d logins are counted", counted)
		}
	})
}
