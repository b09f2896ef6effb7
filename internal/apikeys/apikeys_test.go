package apikeys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// each runs fn on both engines, with an account joe and a clock.
func each(t *testing.T, fn func(t *testing.T, s *Store, clock *time.Time)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "no-one-knows-this"); err != nil {
			t.Fatal(err)
		}
		fn(t, &Store{DB: db, Now: func() time.Time { return now }}, &now)
	})
}

// OPS-8: a key is found by its token alone, until it expires or is removed, and nothing of
// its secret is kept.
func TestKey(t *testing.T) {
	each(t, func(t *testing.T, s *Store, clock *time.Time) {
		ctx := t.Context()
		made, token, err := s.Add(ctx, Key{Account: "joe", Rights: Rights{Read, Send, Read}, Domain: "Example.TEST", Note: "the shop\n", Expires: clock.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		read, ok := ParseToken(token.Text())
		if !ok || read != token || !strings.HasPrefix(token.Text(), "wxk_"+made.ID.String()+"_") {
			t.Fatalf("%q is read as %v, %v", token.Text(), read, ok)
		}
		got, err := s.Find(ctx, token)
		if err != nil || got.Account != "joe" || got.Rights.String() != "send read" || got.Domain != "example.test" || !got.Used.Equal(*clock) {
			t.Fatalf("%+v, %v", got, err)
		}
		if !got.Rights.Has(Send) || got.Rights.Has(Mail) {
			t.Errorf("rights %v", got.Rights)
		}
		other := token
		other.secret[0] ^= 1
		for name, bad := range map[string]Token{"another secret": other, "another id": {ID: token.ID + 1, secret: token.secret}, "nothing": {}} {
			if _, err := s.Find(ctx, bad); !errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
		*clock = clock.Add(30 * time.Second) // not noted again
		if got, err := s.Find(ctx, token); err != nil || !got.Used.Equal(clock.Add(-30*time.Second)) {
			t.Errorf("used again: %+v, %v", got, err)
		}
		*clock = clock.Add(time.Hour)
		if _, err := s.Find(ctx, token); !errors.Is(err, ErrUnknown) {
			t.Errorf("expired: %v", err)
		}
		if all, err := s.List(ctx, "joe"); err != nil || len(all) != 1 || all[0].ID != made.ID {
			t.Errorf("%+v, %v", all, err)
		}
		rows, err := store.List(ctx, s.DB, store.Value[[]byte], `SELECT hash FROM api_keys`)
		if want := sha256.Sum256(token.secret[:]); err != nil || len(rows) != 1 || !bytes.Equal(rows[0], want[:]) {
			t.Errorf("kept: %x, %v", rows, err)
		}
		if err := s.Remove(ctx, made.ID); err != nil {
			t.Error(err)
		}
		if err := s.Remove(ctx, made.ID); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// A key goes with its account: one that is made anew under the name has none.
func TestKeysGoWithTheAccount(t *testing.T) {
	each(t, func(t *testing.T, s *Store, _ *time.Time) {
		_, token, err := s.Add(t.Context(), Key{Account: "joe", Rights: All()})
		if err == nil {
			err = (&accounts.Store{DB: s.DB}).RemoveAccount(t.Context(), "joe")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Find(t.Context(), token); !errors.Is(err, ErrUnknown) {
			t.Errorf("%v", err)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *Store, clock *time.Time) {
		for name, k := range map[string]Key{
			"no right":          {Account: "joe"},
			"an unknown right":  {Account: "joe", Rights: Rights{"everything"}},
			"no domain":         {Account: "joe", Rights: All(), Domain: "a b"},
			"no such account":   {Account: "nobody", Rights: All()},
			"an end that is by": {Account: "joe", Rights: All(), Expires: *clock},
			"a far end":         {Account: "joe", Rights: All(), Expires: clock.AddDate(900, 0, 0)},
		} {
			if _, _, err := s.Add(t.Context(), k); err == nil {
				t.Errorf("%s: a key was made", name)
			}
		}
		for range maxKeys {
			if _, _, err := s.Add(t.Context(), Key{Account: "joe", Rights: All()}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.Add(t.Context(), Key{Account: "joe", Rights: All()}); err == nil || !strings.Contains(err.Error(), "remove some") {
			t.Errorf("one too many: %v", err)
		}
	})
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	good := newToken(delivery.ID(123456789)).Text()
	if len(good) != len("wxk_21i3v9_")+52 {
		t.Errorf("%q has %d characters", good, len(good))
	}
	for _, bad := range []string{"", "wxk_", good[1:], good + "a", good[:len(good)-1], strings.ToUpper(good), strings.Replace(good, "21i3v9", "021i3v9", 1),
		strings.Replace(good, "21i3v9", "-1", 1), good[:len(good)-1] + "1", strings.TrimSuffix(good, good[len(good)-1:]) + "b"} {
		if _, ok := ParseToken(bad); ok && bad != good {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}

// OPS-8: one idempotency key stands for one message, whoever notes it first.
func TestRequests(t *testing.T) {
	each(t, func(t *testing.T, s *Store, clock *time.Time) {
		ctx := t.Context()
		r := Request{Account: "joe", Name: "order-1", Hash: []byte("abc")}
		note := func(r Request, id int64) error {
			return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Note(tx, r, id) })
		}
		sent := func(r Request) delivery.ID {
			id, err := s.Sent(ctx, r)
			if err != nil {
				t.Error(err)
			}
			return id
		}
		if id := sent(r); id != 0 {
			t.Errorf("sent as %s", id)
		}
		if err := note(r, 7); err != nil {
			t.Fatal(err)
		}
		if err := note(r, 8); !errors.Is(err, ErrSent) {
			t.Errorf("twice: %v", err)
		}
		if id := sent(r); id != 7 {
			t.Errorf("sent as %s", id)
		}
		if _, err := s.Sent(ctx, Request{r.Account, r.Name, []byte("abd")}); !errors.Is(err, ErrReused) {
			t.Errorf("another request: %v", err)
		}
		if id := sent(Request{"eve", r.Name, r.Hash}); id != 0 {
			t.Errorf("another account's: %s", id)
		}
		*clock = clock.Add(keepRequests + time.Second)
		if err := s.Sweep(context.WithoutCancel(ctx)); err != nil {
			t.Fatal(err)
		}
		if id := sent(r); id != 0 {
			t.Errorf("remembered: %s", id)
		}
	})
}
