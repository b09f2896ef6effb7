package websession

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

type house struct {
	*Store
	clock  time.Time
	proofs map[string]string
}

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		h := &house{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), proofs: map[string]string{"joe": "a", "ann": "b"}}
		for name := range h.proofs {
			if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "no-one-knows-this"); err != nil {
				t.Fatal(err)
			}
		}
		h.Store = &Store{DB: db, Now: func() time.Time { return h.clock },
			Proof: func(_ context.Context, account, _ string) (string, error) { return h.proofs[account], nil }}
		fn(t, h)
	})
}

func (h *house) begin(t *testing.T, account string) (Session, string) {
	t.Helper()
	x, token, err := h.Begin(t.Context(), Session{Account: account, Scope: Admin, Remote: "192.0.2.1", Agent: "a browser\n"})
	if err != nil {
		t.Fatal(err)
	}
	return x, token
}

// WEB-3: a session is found by its token alone, for what it was begun for, until it ends.
func TestSession(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		x, token := h.begin(t, "joe")
		found := func(want error) {
			t.Helper()
			got, err := h.Find(ctx, token, Admin)
			if !errors.Is(err, want) || want == nil && (got.Account != "joe" || got.ID != x.ID) {
				t.Errorf("%+v, %v; want %v", got, err, want)
			}
		}
		found(nil)
		for _, odd := range []string{"", "x", token[1:], token + "A", "A" + token[1:], token + "\x00"} {
			if odd == token {
				continue
			}
			if _, err := h.Find(ctx, odd, Admin); !errors.Is(err, ErrOver) {
				t.Errorf("token %q: %v", odd, err)
			}
		}
		if _, err := h.Find(ctx, token, "mail"); !errors.Is(err, ErrOver) {
			t.Errorf("another scope: %v", err)
		}
		h.clock = h.clock.Add(50 * time.Minute)
		found(nil) // which is a use
		h.clock = h.clock.Add(50 * time.Minute)
		found(nil)
		h.clock = h.clock.Add(time.Hour)
		found(ErrOver)
		h.clock = h.clock.Add(-time.Hour)
		found(nil)
		h.proofs["joe"] = "another password"
		found(ErrOver)
		h.proofs["joe"] = ""
		found(ErrOver)
		h.proofs["joe"] = "a"
		found(nil)
		if err := h.Revoke(ctx, "ann", x.ID); !errors.Is(err, ErrOver) {
			t.Errorf("another account's session: %v", err)
		}
		if err := h.Revoke(ctx, "joe", x.ID); err != nil {
			t.Error(err)
		}
		found(ErrOver)
	})
}

// However busy, a session ends when it is old; and what has ended is forgotten.
func TestOldest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		_, token := h.begin(t, "joe")
		for range 15 {
			h.clock = h.clock.Add(45 * time.Minute)
			if _, err := h.Find(ctx, token, Admin); err != nil {
				t.Fatal(err)
			}
		}
		h.clock = h.clock.Add(45 * time.Minute)
		if _, err := h.Find(ctx, token, Admin); !errors.Is(err, ErrOver) {
			t.Errorf("after twelve hours: %v", err)
		}
		h.begin(t, "ann")
		if err := h.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		var rows int
		err := h.DB.Read(ctx, func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM web_sessions`).Scan(&rows) })
		if err != nil || rows != 1 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

// An account has a bounded number of sessions, and they go with it.
func TestBound(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		_, first := h.begin(t, "joe")
		for range maxSessions { // those of another scope take nobody's place
			if _, _, err := h.Begin(t.Context(), Session{Account: "joe", Scope: Step}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Find(ctx, first, Admin); err != nil {
			t.Fatal(err)
		}
		for range maxSessions {
			h.clock = h.clock.Add(time.Second)
			h.begin(t, "joe")
		}
		h.begin(t, "ann")
		if all, err := h.List(ctx, "joe"); err != nil || len(all) != maxSessions {
			t.Errorf("%d sessions, %v", len(all), err)
		}
		if _, err := h.Find(ctx, first, Admin); !errors.Is(err, ErrOver) {
			t.Errorf("the oldest: %v", err)
		}
		if err := (&accounts.Store{DB: h.DB}).RemoveAccount(ctx, "joe"); err != nil {
			t.Fatal(err)
		}
		if all, err := h.List(ctx, ""); err != nil || len(all) != 1 || all[0].Agent != "a browser" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// WEB-3: what was done is kept, the newest first, and bounded.
func TestActs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		x, _ := h.begin(t, "joe")
		for _, c := range []string{"one", "two", "three\nlines"} {
			h.clock = h.clock.Add(time.Second)
			if err := h.Note(ctx, x, c, "done"); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.tidyActs(ctx, 2); err != nil {
			t.Fatal(err)
		}
		all, err := h.Acts(ctx, "", 10)
		if err != nil || len(all) != 2 || all[1].Command != "two" || all[0].Account != "joe" || all[0].Remote != "192.0.2.1" || all[0].Outcome != "done" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// WEB-3: whatever somebody does on the pages of their own account, what those who administer did stays to be seen.
func TestActsOfOthers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		users := &accounts.Store{DB: h.DB}
		if err := users.ChangeAccess(ctx, "joe", func(a account.Access) account.Access { a.Admin = true; return a }); err != nil {
			t.Fatal(err)
		}
		admin, _ := h.begin(t, "joe")
		do := func(x Session, times int) {
			t.Helper()
			for range times {
				h.clock = h.clock.Add(time.Second)
				if err := h.note(ctx, x, Act{Command: "x", Outcome: "done"}, 3); err != nil {
					t.Fatal(err)
				}
			}
		}
		does := func(why string, want map[string]int) {
			t.Helper()
			all, err := h.Acts(ctx, "", 100)
			got := map[string]int{}
			for _, a := range all {
				got[a.Account]++
			}
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: %v, %v; want %v", why, got, err, want)
			}
		}
		do(admin, 4)
		do(Session{Account: "joe", Scope: Person}, 1) // on the pages of his own account
		do(Session{Account: "ann", Scope: Person}, 5)
		does("as they are done", map[string]int{"joe": 5, "ann": 3})
		if err := h.tidyActs(ctx, 4); err != nil {
			t.Fatal(err)
		}
		does("after tidying", map[string]int{"joe": 4, "ann": 3})
		if err := h.tidyActs(ctx, 2); err != nil {
			t.Fatal(err)
		}
		does("after more of it", map[string]int{"joe": 2, "ann": 2})
	})
}

// WEB-3: a password that was right is worth nothing by itself: what it leads to reaches no page, is listed nowhere, lasts for minutes, and ends with
// a few wrong second factors.
func TestStep(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		begin := func() (Session, string) {
			t.Helper()
			x, token, err := h.Begin(ctx, Session{Account: "joe", Scope: Step, Challenge: NewChallenge()})
			if err != nil {
				t.Fatal(err)
			}
			return x, token
		}
		x, token := begin()
		if got, err := h.Find(ctx, token, Step); err != nil || got.Challenge != x.Challenge || len(got.Challenge) < 40 {
			t.Errorf("%+v, %v", got, err)
		}
		for _, scope := range []Scope{Admin, Person} {
			if _, err := h.Find(ctx, token, scope); !errors.Is(err, ErrOver) {
				t.Errorf("it reaches %s: %v", scope, err)
			}
		}
		if all, err := h.List(ctx, "joe"); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		for n := range maxTries {
			if _, err := h.Find(ctx, token, Step); err != nil {
				t.Fatalf("over after %d: %v", n, err)
			}
			if err := h.Wrong(ctx, x); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Find(ctx, token, Step); !errors.Is(err, ErrOver) {
			t.Errorf("it goes on: %v", err)
		}
		_, token = begin()
		h.clock = h.clock.Add(10 * time.Minute)
		if _, err := h.Find(ctx, token, Step); !errors.Is(err, ErrOver) {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}

// WEB-3: sessions of people at their mail last longer than those of people who administer, are told apart from them, and end together but for one. To look is no use.
func TestPerson(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		begin := func(account string) (Session, string) {
			t.Helper()
			x, token, err := h.Begin(ctx, Session{Account: account, Scope: Person, Factor: "totp"})
			if err != nil {
				t.Fatal(err)
			}
			return x, token
		}
		x, token := begin("joe")
		_, other := begin("joe")
		_, anns := begin("ann")
		if _, err := h.Find(ctx, token, Admin); !errors.Is(err, ErrOver) {
			t.Errorf("it administers: %v", err)
		}
		h.clock = h.clock.Add(23 * time.Hour)
		if got, err := h.Find(ctx, token, Person); err != nil || got.Factor != "totp" {
			t.Errorf("after a day: %+v, %v", got, err)
		}
		if err := h.SetChallenge(ctx, x, "another"); err != nil {
			t.Fatal(err)
		}
		if got, err := h.Look(ctx, token, Person); err != nil || got.Challenge != "another" {
			t.Errorf("%+v, %v", got, err)
		}
		if err := h.RevokeOthers(ctx, "joe", x.ID); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			token string
			want  error
		}{{token, nil}, {other, ErrOver}, {anns, nil}} {
			if _, err := h.Look(ctx, tt.token, Person); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		}
		h.clock = h.clock.Add(2 * time.Hour)
		if _, err := h.Look(ctx, anns, Person); !errors.Is(err, ErrOver) {
			t.Errorf("to look is a use: %v", err)
		}
	})
}
