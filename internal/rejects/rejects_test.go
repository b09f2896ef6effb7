package rejects

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// rig is a room whose clock the test sets, and two accounts.
type rig struct {
	*Store
	t   *testing.T
	now time.Time
}

func each(t *testing.T, fn func(r *rig)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		for _, name := range []string{"joe", "ann"} {
			if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse"); err != nil {
				t.Fatal(err)
			}
		}
		r := &rig{t: t, now: noon}
		now := func() time.Time { return r.now }
		r.Store = &Store{DB: db, Boxes: &mailboxes.Store{DB: db, Now: now}, Now: now}
		fn(r)
	})
}

func (r *rig) want(account string, want bool) {
	r.t.Helper()
	if err := r.Want(r.t.Context(), account, want); err != nil {
		r.t.Fatal(err)
	}
	if got, err := r.Wanted(r.t.Context(), account, "nobody"); err != nil || slices.Contains(got, account) != want || len(got) > 1 {
		r.t.Errorf("%s: those who want it are %v, %v", account, got, err)
	}
}

// keep has a message kept, of an address of each account that wants it.
func (r *rig) keep(data string, accounts ...string) bool {
	r.t.Helper()
	m := Reject{ID: store.NewID(), Sender: "x@far.test", Content: delivery.Bytes([]byte(data)), Reply: "550 5.7.1 no"}
	wanted, err := r.Wanted(r.t.Context(), accounts...)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range accounts {
		if !slices.Contains(wanted, a) {
			continue
		}
		m.Copies = append(m.Copies, delivery.Copy{Address: a + "@here.test", Account: a})
	}
	kept, err := r.Keep(r.t.Context(), m)
	if err != nil {
		r.t.Fatal(err)
	}
	return kept
}

func (r *rig) list(account string) []mailbox.Message {
	r.t.Helper()
	all, err := r.Boxes.List(r.t.Context(), account, mailbox.Rejects, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func (r *rig) rows(table string) (n int64) {
	r.t.Helper()
	all, err := store.List(r.t.Context(), r.DB, store.Value[int64], "SELECT count(*) FROM "+table)
	if err != nil {
		r.t.Fatal(err)
	}
	return all[0]
}

// JNK-4: an account that wants it has what was refused, once, with the reply; others have nothing of it.
func TestKeep(t *testing.T) {
	each(t, func(r *rig) {
		if r.keep("Subject: a\r\n\r\nb\r\n", "joe") || len(r.list("joe")) != 0 || r.rows("bodies") != 0 {
			t.Error("kept, though nobody has asked for it")
		}
		r.want("joe", true)
		large := "Subject: large\r\n\r\n" + strings.Repeat("a line of text\r\n", 20_000)
		for _, data := range []string{"Subject: a\r\n\r\nb\r\n", large} {
			if !r.keep(data, "joe", "ann", "joe") {
				t.Error("not kept")
			}
			c, m, err := r.Boxes.Open(t.Context(), r.list("joe")[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			from, err := c.Open()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(from)
			from.Close()
			if err != nil || m.Sender != "x@far.test" || !strings.HasSuffix(string(got), "Waxwing-Rejected: 550 5.7.1 no\r\n"+data) {
				t.Errorf("%v: %+v\n%.300s", err, m, got)
			}
		}
		if len(r.list("joe")) != 2 || len(r.list("ann")) != 0 {
			t.Errorf("joe has %d, ann %d", len(r.list("joe")), len(r.list("ann")))
		}
		if r.keep(strings.Repeat("x", MaxSize+1), "joe") {
			t.Error("a message beyond the bound was kept")
		}
		r.want("joe", false)
		if r.keep("Subject: c\r\n\r\nd\r\n", "joe") || len(r.list("joe")) != 2 {
			t.Error("kept for an account that wants it no more, or what it had is gone")
		}
	})
}

// What is old goes, with its octets, inline or not; what is younger stays.
func TestTidy(t *testing.T) {
	each(t, func(r *rig) {
		r.want("joe", true)
		r.want("ann", true)
		r.keep("Subject: old\r\n\r\n"+strings.Repeat("large\r\n", 30_000), "joe", "ann")
		r.keep("Subject: old\r\n\r\n", "joe")
		r.now = r.now.AddDate(0, 0, Days).Add(-time.Minute)
		r.keep("Subject: young\r\n\r\n", "joe")
		tidy := func(wantJoe, wantBodies int) {
			t.Helper()
			if err := r.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n, bodies := len(r.list("joe")), int(r.rows("bodies")); n != wantJoe || bodies != wantBodies {
				t.Errorf("%d messages of %d bodies, want %d of %d", n, bodies, wantJoe, wantBodies)
			}
		}
		tidy(3, 3)
		r.now = r.now.Add(2 * time.Minute)
		tidy(1, 1)
		r.now = r.now.AddDate(0, 0, Days)
		tidy(0, 0)
		if n := r.rows("body_chunks"); n != 0 {
			t.Errorf("%d pieces of bodies are left", n)
		}
	})
}
