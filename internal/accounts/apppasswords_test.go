package accounts_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// ACC-3: app passwords are bounded, cannot be made twice or for nobody, end with their account, and
// their last use is seldom written.
func TestAppPasswords(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, at := t.Context(), time.Unix(1e9, 0).UTC()
		s := &accounts.Store{DB: db, Now: func() time.Time { return at }}
		if err := s.AddAccount(ctx, "joe", "correct horse"); err != nil {
			t.Fatal(err)
		}
		add := func(acct, name string, expires time.Time) error {
			return s.AddAppPassword(ctx, account.AppPassword{Account: acct, Name: name, Protocols: []account.Protocol{account.SMTP}, Expires: expires}, "secret of "+name)
		}
		for i := range 50 {
			if err := add("joe", fmt.Sprintf("app%02d", i), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := add("joe", "app50", time.Time{}); err == nil {
			t.Error("there is no bound")
		}
		if err := s.RemoveAppPassword(ctx, "joe", "app49"); err != nil {
			t.Error(err)
		}
		for _, tt := range []struct {
			acct, name string
			expires    time.Time
			want       error // nil: any
		}{{"joe", "app00", time.Time{}, accounts.ErrExists}, {"nobody", "x", time.Time{}, accounts.ErrNoSuchAccount}, {"joe", "", time.Time{}, nil}, {"joe", "a b", time.Time{}, nil}, {"joe", "x", at, nil}} {
			if err := add(tt.acct, tt.name, tt.expires); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%+v: %v", tt, err)
			}
		}
		first := func() account.AppPassword {
			all, err := s.AppPasswords(ctx, "joe")
			if err != nil || len(all) != 49 {
				t.Fatalf("%d, %v", len(all), err)
			}
			return all[0]
		}
		use := func(from string) {
			if err := s.AppUsed(ctx, first(), netip.MustParseAddr(from)); err != nil {
				t.Fatal(err)
			}
		}
		use("::ffff:192.0.2.1")
		began := at
		at = at.Add(9 * time.Minute)
		use("192.0.2.2")
		if p := first(); !p.Used.Equal(began) || p.UsedFrom != "192.0.2.1" {
			t.Errorf("%+v", p)
		}
		at = at.Add(time.Minute)
		use("192.0.2.2")
		if p := first(); !p.Used.Equal(at) || p.UsedFrom != "192.0.2.2" {
			t.Errorf("%+v", p)
		}
		c, ok, err := s.Credentials(ctx, "joe")
		if p, is := c.App("secret of app07"); err != nil || !ok || !is || p.Name != "app07" {
			t.Errorf("%+v %t %t %v", p, ok, is, err)
		}
		if err := s.SetDisabled(ctx, "joe", true); err != nil {
			t.Fatal(err)
		}
		if c, ok, err = s.Credentials(ctx, "joe"); ok || err != nil || len(c.Apps) > 0 {
			t.Errorf("disabled: %t %v %d", ok, err, len(c.Apps))
		}
		if err := s.RemoveAccount(ctx, "joe"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.AppPasswords(ctx, "joe"); err != nil || len(all) != 0 {
			t.Errorf("%d are left, %v", len(all), err)
		}
	})
}
