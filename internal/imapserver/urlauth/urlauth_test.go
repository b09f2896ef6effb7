package urlauth

import (
	"testing"
	"time"

	"waxwing/imap/imapurl"
	"waxwing/internal/accounts"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// IMP-2, URLAUTH: a URL that was signed is good until its mailbox's key is reset, and no other is.
func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		if err := (&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		boxes := &mailboxes.Store{DB: db}
		inbox, err := boxes.Box(ctx, "joe", "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		sent, err := boxes.Box(ctx, "joe", "Sent")
		if err != nil {
			t.Fatal(err)
		}
		k := &Keys{DB: db}
		sign := func(box int64) *imapurl.URL {
			t.Helper()
			s, err := k.Sign(ctx, box, "imap://joe@h/INBOX/;UID=1;URLAUTH=authuser")
			if err != nil {
				t.Fatal(err)
			}
			u, err := imapurl.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		is := func(what string, box int64, u *imapurl.URL, want bool) {
			t.Helper()
			if ok, err := k.Signed(ctx, box, u); ok != want || err != nil {
				t.Errorf("%s: %v, %v, want %v", what, ok, err, want)
			}
		}
		a, b := sign(inbox.ID), sign(sent.ID)
		is("signed", inbox.ID, a, true)
		is("signed again", inbox.ID, sign(inbox.ID), true)
		is("of another mailbox", sent.ID, a, false)
		is("of another mailbox", inbox.ID, b, false)
		for _, change := range []func(u *imapurl.URL){
			func(u *imapurl.URL) { u.Rump += " " }, func(u *imapurl.URL) { u.Token = u.Token[:len(u.Token)-1] + "g" }, func(u *imapurl.URL) { u.Token = "" },
			func(u *imapurl.URL) { u.Mechanism = "OTHER" }, func(u *imapurl.URL) { u.Token = "02" + u.Token[2:] },
		} {
			u := *a
			change(&u)
			is("changed", inbox.ID, &u, false)
		}
		for _, reset := range []struct {
			account string
			box     int64
			a, b    bool
		}{{"ann", 0, true, true}, {"ann", inbox.ID, true, true}, {"joe", inbox.ID, false, true}, {"joe", 0, false, false}} {
			if err := k.Reset(ctx, reset.account, reset.box); err != nil {
				t.Fatal(err)
			}
			is("reset", inbox.ID, a, reset.a)
			is("reset", sent.ID, b, reset.b)
		}
		is("with a new key", inbox.ID, sign(inbox.ID), true)
		is("the old one", inbox.ID, a, false)
	})
}

func TestAllows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		access string
		expire time.Time
		want   bool
	}{
		{"authuser", time.Time{}, true}, {"anonymous", now, true}, {"anonymous", now.Add(-time.Second), false}, {"user+joe", now.Add(time.Hour), true},
		{"user+ann", time.Time{}, false}, {"submit+joe", time.Time{}, false}, {"", time.Time{}, false},
	} {
		if got := Allows(&imapurl.URL{Access: tt.access, Expire: tt.expire}, "joe", now); got != tt.want {
			t.Errorf("%s until %v: %v", tt.access, tt.expire, got)
		}
	}
}
