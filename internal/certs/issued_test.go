package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"waxwing/internal/renewal"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// One machine at a time asks for a certificate, and sees what the one before it got
// (CRT-6); failures and what is issued are kept, on both engines.
func TestIssued(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Now().Truncate(time.Second)
		s := &Store{DB: db, Now: func() time.Time { return now }}
		take := func(owner string, want bool) Issued {
			t.Helper()
			i, mine, err := s.Take(t.Context(), "mx.example.test", "ab", owner, time.Minute)
			if err != nil || mine != want {
				t.Fatalf("%s: taken %v, %v", owner, mine, err)
			}
			return i
		}
		if i := take("one", true); i.Leaf() != nil || i.Failures != 0 || i.Cert() != nil {
			t.Errorf("a new one: %+v", i)
		}
		take("two", false)
		take("one", true)
		if err := s.Failed(t.Context(), "mx.example.test", "ab", "no way", now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		back := func(owner string) {
			t.Helper()
			if err := s.GiveBack(t.Context(), "mx.example.test", owner); err != nil {
				t.Fatal(err)
			}
		}
		if _, mine, err := s.Take(t.Context(), "mx.example.test", "cd", "two", time.Minute); mine || err != nil {
			t.Errorf("the name is taken for another key: %v, %v", mine, err)
		}
		back("two") // not his
		take("two", false)
		back("one")
		if i := take("two", true); i.Failures != 1 || !i.Since.Equal(now) || !i.NotUntil.Equal(now.Add(time.Hour)) || i.Error != "no way" {
			t.Errorf("after a failure: %+v", i)
		}
		now = now.Add(2 * time.Minute)
		take("one", true) // the lease of the other has ended
		c, err := SelfSigned("mx.example.test", key, now)
		if err != nil {
			t.Fatal(err)
		}
		w := renewal.Window{Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}
		chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
		if err := s.Put(t.Context(), New{"mx.example.test", "ab", chain, w, now}); err != nil {
			t.Fatal(err)
		}
		back("one")
		if i := take("two", true); i.Leaf() == nil || !i.Leaf().Equal(c.Leaf) || i.Failures != 0 || i.Error != "" || !i.Start.Equal(w.Start) || i.Cert() == nil || i.Cert().Spread >= 1 {
			t.Errorf("once issued: %+v", i)
		}
		back("two")
		take("one", true)
		if err := s.Ask(t.Context(), "mx.example.test", "ab"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.All(t.Context()); err != nil || len(all) != 2 || all[0].Asked.IsZero() || all[1].Key != "cd" {
			t.Errorf("asked for: %+v, %v", all, err)
		}
		if err := s.Forget(t.Context(), "mx.example.test", "ab"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.All(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("forgotten: %+v, %v", all, err)
		}
	})
}

// Challenges are answered until they are taken back or an hour has passed; an account's
// key stays the one that was stored first.
func TestChallengesAndAccounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Now()
		s := &Store{DB: db, Now: func() time.Time { return now }}
		c := Challenge{Kind: "http-01", Name: "mx.example.test", Token: "x", Proof: "x.y"}
		count := func(want int) {
			t.Helper()
			if all, err := s.Challenges(t.Context(), c.Kind, c.Name); err != nil || len(all) != want {
				t.Errorf("%d challenges, want %d: %v", len(all), want, err)
			}
		}
		for range 2 {
			if err := s.Present(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		count(1)
		now = now.Add(61 * time.Minute)
		count(0)
		if err := s.Present(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		count(1)
		if err := s.TakeBack(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		count(0)
		for _, key := range []string{"", "first", "second"} {
			a, err := s.Account(t.Context(), Account{Directory: "https://ca.example/dir", Key: key})
			want := "first"
			if key == "" {
				want = ""
			}
			if err != nil || a.Key != want {
				t.Errorf("with %q: %+v, %v", key, a, err)
			}
		}
		if err := s.Registered(t.Context(), Account{Directory: "https://ca.example/dir", Location: "https://ca.example/1"}); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Account(t.Context(), Account{Directory: "https://ca.example/dir"}); err != nil || a.Location != "https://ca.example/1" || a.Key != "first" {
			t.Errorf("registered: %+v, %v", a, err)
		}
	})
}

// TestPair: a chain and a key that do not belong together are not shown.
func TestPair(t *testing.T) {
	t.Parallel()
	var keys []*ecdsa.PrivateKey
	for range 2 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	c, err := SelfSigned("mx.example.test", keys[0], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pair([]*x509.Certificate{c.Leaf}, keys[1]); err == nil {
		t.Error("a certificate was paired with another key")
	}
	if _, err := Pair(nil, keys[0]); err == nil {
		t.Error("no certificate was paired with a key")
	}
	b := &Book{}
	if _, err := b.Get(&tls.ClientHelloInfo{}); err == nil {
		t.Error("an empty book shows something")
	}
}
