package removal_test

import (
	"errors"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/removal"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// count is what a query for one number finds.
func count(t *testing.T, db *store.Store, q string) (n int64) {
	t.Helper()
	must(t, db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(q).Scan(&n) }))
	return n
}

// TestRemoval (MBX-3): a removed account is nobody's, can be brought back with all that it had, and
// ends with its mail when its time is over; another's is not touched.
func TestRemoval(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Now()
		clock := func() time.Time { return now }
		a := &accounts.Store{DB: db, Now: clock}
		m := &mailboxes.Store{DB: db, Now: clock}
		r := &removal.Room{DB: db, Accounts: a, Boxes: m}
		ctx := t.Context()
		purge := func() {
			t.Helper()
			before := now.Add(-14 * 24 * time.Hour)
			must(t, errors.Join(m.Forget(ctx, before), r.Purge(ctx, before)))
		}
		must(t, a.AddDomain(ctx, dns.MustParse("example.org")))
		for _, name := range []string{"joe", "ann", "new"} {
			must(t, a.AddAccount(ctx, name, "correct horse"))
		}
		must(t, a.AddAddress(ctx, "joe@example.org", "joe"))
		put := func(account, box string, n int) {
			t.Helper()
			for range n {
				_, _, err := m.Append(ctx, account, box, []mailboxes.Appended{{Content: delivery.Bytes("Subject: x\r\n\r\nx\r\n")}})
				must(t, err)
			}
		}
		put("ann", mailbox.Inbox, 3)
		_, err := m.Create(ctx, "joe", "Work", "")
		must(t, err)
		put("joe", mailbox.Inbox, 5)
		put("joe", "Work", 4)
		must(t, m.Delete(ctx, "joe", "Work"))

		if err := a.RemoveAccount(ctx, "joe"); !errors.Is(err, accounts.ErrInUse) {
			t.Errorf("with an address: %v", err)
		}
		must(t, a.RemoveAddress(ctx, "joe@example.org"))
		must(t, a.RemoveAccount(ctx, "joe"))
		must(t, a.RemoveAccount(ctx, "new")) // it has nothing
		if got, _ := a.Removed(ctx); len(got) != 1 || got[0].Name != "joe" || !got[0].Removed.Equal(store.FromTime(store.Time(now))) {
			t.Errorf("%+v", got)
		}
		_, known, err := a.Credentials(ctx, "joe")
		must(t, err)
		name, err := a.Login(ctx, "joe")
		must(t, err)
		if known || name != "" || a.MustExist(ctx, "joe") == nil || !errors.Is(a.AddAddress(ctx, "joe@example.org", "joe"), accounts.ErrNoSuchAccount) ||
			!errors.Is(a.RemoveAccount(ctx, "joe"), accounts.ErrNoSuchAccount) {
			t.Errorf("the removed account is somebody: %v, %q", known, name)
		}
		if err := a.AddAccount(ctx, "joe", "correct horse"); !errors.Is(err, accounts.ErrExists) {
			t.Errorf("another of the name: %v", err)
		}
		now = now.Add(13 * 24 * time.Hour)
		purge()
		must(t, a.RestoreAccount(ctx, "joe"))
		if err := a.RestoreAccount(ctx, "joe"); !errors.Is(err, accounts.ErrNoSuchAccount) {
			t.Errorf("once more: %v", err)
		}
		if u, err := m.Usage(ctx, "joe"); err != nil || u.Messages != 5 || a.MustExist(ctx, "joe") != nil {
			t.Errorf("it has %+v, %v", u, err)
		}
		lost, err := m.Lost(ctx, "joe", "Work", time.Time{})
		must(t, err)
		if len(lost) != 4 {
			t.Errorf("%d messages of the mailbox that was deleted", len(lost))
		}

		must(t, a.RemoveAccount(ctx, "joe"))
		now = now.Add(14*24*time.Hour + time.Minute)
		purge()
		if got, _ := a.Removed(ctx); len(got) != 0 {
			t.Errorf("%+v is still there", got)
		}
		for q, want := range map[string]int64{`SELECT count(*) FROM mails`: 3, `SELECT count(*) FROM mailboxes WHERE account = 'joe'`: 0, `SELECT count(*) FROM mail_accounts WHERE account = 'joe'`: 0,
			`SELECT count(*) FROM bodies`: 3, `SELECT count(*) FROM accounts`: 1} {
			if got := count(t, db, q); got != want {
				t.Errorf("%s: %d, want %d", q, got, want)
			}
		}
		must(t, a.AddAccount(ctx, "joe", "correct horse"))
		if u, err := m.Usage(ctx, "joe"); err != nil || u.Messages != 0 {
			t.Errorf("a new one has %+v, %v", u, err)
		}
	})
}
