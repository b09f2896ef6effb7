package suppression

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

func reply(code int, detail int) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: 1, Detail: detail}, "no such user")
}

func TestMatches(t *testing.T) { // QUE-7: configurable codes
	t.Parallel()
	plain := &smtp.Reply{Code: 550, Lines: []string{"no"}}
	for _, c := range []struct {
		codes string
		r     *smtp.Reply
		want  bool
	}{
		{"5.1.1", reply(550, 1), true}, {"5.1.1", reply(550, 10), false}, {"5.1.1", reply(450, 1), false}, {"5.1.x", reply(550, 10), true},
		{"550", plain, true}, {"550", reply(550, 1), false}, {"551", plain, false}, {"5.1.1", plain, false}, {"", reply(550, 1), false}, {"5.1.1", nil, false},
		{"5.2.1 5.1.1", reply(550, 1), true},
	} {
		if got := Matches(strings.Fields(c.codes), c.r); got != c.want {
			t.Errorf("%q and %v: %v", c.codes, c.r, got)
		}
	}
	for code, good := range map[string]bool{"5.1.1": true, "5.1.x": true, "550": true, "450": false, "4.1.1": false, "5.1": false, "5..1": false, "": false, "5500": false, "x": false} {
		if (CheckCode(code) == nil) != good {
			t.Errorf("%q: %v", code, CheckCode(code))
		}
	}
	for _, c := range DefaultCodes() {
		if err := CheckCode(c); err != nil {
			t.Error(err)
		}
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
		s := &Store{DB: db, Expiry: 24 * time.Hour, Now: func() time.Time { return now }}
		ctx := context.Background()
		bounce := func(account, address string, r *smtp.Reply) {
			t.Helper()
			if err := db.Write(ctx, func(tx *store.Tx) error { return s.Bounced(tx, account, address, r) }); err != nil {
				t.Fatal(err)
			}
		}
		bounce("alice", "Gone@b.test", reply(550, 1))
		bounce("alice", "full@b.test", reply(552, 0))
		if err := s.Add(ctx, "alice", "ex@b.test", "asked not to be written to", time.Time{}); err != nil {
			t.Fatal(err)
		}
		bounce("alice", "ex@b.test", reply(550, 1)) // stays manual
		check := func(when, account string, want ...string) {
			t.Helper()
			got, err := s.Suppressed(ctx, account, []string{"gone@B.test", "full@b.test", "EX@b.test", "ok@b.test"})
			if err != nil || len(got) != len(want) {
				t.Errorf("%s: %v, %v", when, got, err)
			}
			for _, a := range want {
				if got[a] == "" {
					t.Errorf("%s: %s is missing in %v", when, a, got)
				}
			}
		}
		check("after bounces", "alice", "gone@B.test", "EX@b.test")
		check("another account", "bob")
		now = now.Add(25 * time.Hour)
		check("expired", "alice", "EX@b.test")
		if list, err := s.List(ctx, "", Entry{}, 10); err != nil || len(list) != 1 || !list[0].Manual || list[0].Text != "asked not to be written to" {
			t.Errorf("%+v, %v", list, err)
		}
		if n, err := s.Sweep(ctx); n != 1 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
		if err := s.Remove(ctx, "alice", "Ex@b.test"); err != nil {
			t.Error(err)
		}
		if err := s.Remove(ctx, "alice", "ex@b.test"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		check("removed", "alice")
		if s.Add(ctx, "", "a@b.test", "", time.Time{}) == nil || s.Add(ctx, "alice", "nonsense", "", time.Time{}) == nil {
			t.Error("nonsense was entered")
		}
	})
}

// A list that is held in memory is left by what is added, taken off and runs out, and one
// that is too long for it says the same.
func TestHeldList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		s := &Store{DB: db, Now: func() time.Time { return now }}
		ask := func(address string) bool {
			t.Helper()
			why, err := s.Suppressed(t.Context(), "a", []string{address})
			if err != nil {
				t.Fatal(err)
			}
			return why[address] != ""
		}
		add := func(address string, expires time.Time) {
			t.Helper()
			if err := s.Add(t.Context(), "a", address, "", expires); err != nil {
				t.Fatal(err)
			}
		}
		for _, more := range []int{0, 1001} {
			for i := range more {
				add(fmt.Sprintf("n%d@example.test", i), time.Time{})
			}
			if ask("x@example.test") {
				t.Error("suppressed before it was added")
			}
			add("x@example.test", now.Add(time.Hour))
			if !ask("X@example.test") {
				t.Error("added and not suppressed")
			}
			now = now.Add(time.Hour)
			if ask("x@example.test") {
				t.Error("it has run out")
			}
			add("x@example.test", time.Time{})
			if !ask("x@example.test") {
				t.Error("added again and not suppressed")
			}
			if err := s.Remove(t.Context(), "a", "x@example.test"); err != nil {
				t.Fatal(err)
			}
			if ask("x@example.test") {
				t.Error("taken off and still suppressed")
			}
		}
	})
}
