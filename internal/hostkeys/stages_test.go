package hostkeys

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/keystage"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func sync(t *testing.T, s *Stages) map[Algorithm]Roll {
	t.Helper()
	rolls, err := s.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[Algorithm]Roll{}
	for _, r := range rolls {
		by[r.Algorithm] = r
	}
	return by
}

// TestStages walks a key from made to gone in the store, on both engines (CRT-3, CRT-6).
func TestStages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := &Stages{DB: db, Host: "mx.example.test", Dir: dir, Machine: "one", Now: func() time.Time { return now }}
		id := func(i int) string { return hex.EncodeToString(keys[i].SPKI) }
		published := func() string {
			t.Helper()
			all, err := s.Published(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, k := range all {
				out = append(out, hex.EncodeToString(k.SPKI))
				if k.Next {
					out = append(out, "next")
				}
			}
			return strings.Join(out, " ")
		}
		want := id(0) + " " + id(1) + " next " + id(2) + " " + id(3) + " next"
		if got := published(); got != want {
			t.Errorf("before the first sync: %s", got)
		}
		r := sync(t, s)[ECDSA]
		if got := published(); got != want {
			t.Errorf("after the first sync: %s", got)
		}
		if r.Current.Key.ID != id(0) || r.Next == nil || r.Next.Key.ID != id(1) || r.ID(id(1)) != "ecdsa-2" || r.Lack != 0 || r.Next.Key.Announced.IsZero() {
			t.Fatalf("at first: %+v", r)
		}
		rules := keystage.HostKeys()
		look := func(servers ...[]string) {
			t.Helper()
			if err := s.Looked(t.Context(), Look{At: now, TTL: time.Hour, Servers: servers, Set: true}); err != nil {
				t.Fatal(err)
			}
		}
		look([]string{id(0), id(1)}, []string{id(0)})
		if r := sync(t, s)[ECDSA]; r.Next.Sight.Some != true || !r.Next.Sight.Since.IsZero() || r.Current.Sight.Since.IsZero() {
			t.Errorf("seen at one server: %+v", r.Next.Sight)
		}
		now = now.Add(time.Hour)
		look([]string{id(0), id(1)}, []string{id(1), id(0)})
		now = now.Add(30 * time.Hour)
		look([]string{id(0), id(1)}, []string{id(1), id(0)})
		r = sync(t, s)[ECDSA]
		if d := keystage.Decide(r.Roll, rules, now); d.Word != keystage.AwaitUse || d.Promote {
			t.Errorf("ripe and not asked for: %+v", d)
		}
		if err := s.Want(t.Context(), r, true); err != nil {
			t.Fatal(err)
		}
		stale := r
		r = sync(t, s)[ECDSA]
		if d := keystage.Decide(r.Roll, rules, now); !d.Promote {
			t.Fatalf("ripe and asked for: %+v", d)
		}
		if err := s.Promote(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := s.Promote(t.Context(), stale); err != ErrChanged {
			t.Errorf("a second machine promotes too: %v", err)
		}
		r = sync(t, s)[ECDSA]
		if r.Current.Key.ID != id(1) || r.Next != nil || len(r.Old) != 1 || r.Old[0].Key.ID != id(0) || r.Wanted {
			t.Fatalf("after the roll-over: %+v", r)
		}
		if got := published(); got != id(1)+" "+id(0)+" "+id(2)+" "+id(3)+" next" {
			t.Errorf("to be published: %s", got)
		}
		now = now.Add(48 * time.Hour)
		r = sync(t, s)[ECDSA]
		if err := s.Drop(t.Context(), keystage.Decide(r.Roll, rules, now).Drop); err != nil {
			t.Fatal(err)
		}
		if r = sync(t, s)[ECDSA]; len(r.Old) != 0 || len(r.Dropped) != 1 || published() != id(1)+" "+id(2)+" "+id(3)+" next" {
			t.Errorf("the old key is not gone: %+v", r)
		}
		if other := sync(t, s)[RSA]; other.Current.Key.ID != id(2) || other.Next.Key.ID != id(3) {
			t.Errorf("the RSA keys have moved: %+v", other)
		}
	})
}

// A machine of the host that lacks the next key is counted; a host of another name in
// the same store is not concerned.
func TestMachines(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	keys, err := Make(one)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		stages := func(host, dir, machine string) *Stages {
			return &Stages{DB: db, Host: host, Dir: dir, Machine: machine, Now: func() time.Time { return now }}
		}
		a, b, other := stages("mx.example.test", one, "one"), stages("mx.example.test", two, "two"), stages("mx2.example.test", t.TempDir(), "three")
		sync(t, a)
		r := sync(t, b)[ECDSA]
		if r.Lack != 1 || len(r.Keys) != 0 || r.Next == nil {
			t.Errorf("a machine without keys: %+v", r)
		}
		if got := sync(t, other); len(got) != 0 {
			t.Errorf("another host has keys: %+v", got)
		}
		for _, k := range keys {
			text, err := os.ReadFile(k.File)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(two, filepath.Base(k.File)), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		sync(t, b)
		if r := sync(t, a)[ECDSA]; r.Lack != 0 {
			t.Errorf("once the keys are copied: %d machines lack the next one", r.Lack)
		}
		for _, k := range keys { // for the other engine
			os.Remove(filepath.Join(two, filepath.Base(k.File)))
		}
		if r := sync(t, b)[RSA]; r.Lack != 1 {
			t.Errorf("the keys were removed again: %d machines lack the next one", r.Lack)
		}
		now = now.Add(8 * 24 * time.Hour)
		if r := sync(t, a)[ECDSA]; r.Lack != 0 {
			t.Errorf("a machine that is gone for a week counts: %d", r.Lack)
		}
	})
}

// Looks are one machine's at a time, and what kept one from all servers is told.
func TestTakeLook(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := &Stages{DB: db, Host: "mx.example.test", Dir: t.TempDir(), Machine: "one", Now: func() time.Time { return now }}
		take := func() bool {
			t.Helper()
			mine, err := s.TakeLook(t.Context(), 30*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return mine
		}
		if !take() || take() {
			t.Error("the first look is not taken once")
		}
		if err := s.Missed(t.Context(), "ns1: no answer"); err != nil {
			t.Fatal(err)
		}
		now = now.Add(30 * time.Minute)
		if !take() {
			t.Error("the next look is not due")
		}
		at, detail, err := s.LastLook(t.Context())
		if err != nil || !at.IsZero() || detail != "ns1: no answer" {
			t.Errorf("last look %v, %q, %v", at, detail, err)
		}
		if err := s.Looked(t.Context(), Look{At: now, Servers: [][]string{{"x"}}}); err != nil {
			t.Fatal(err)
		}
		if at, detail, _ := s.LastLook(t.Context()); !at.Equal(now) || detail != "" {
			t.Errorf("last look %v, %q", at, detail)
		}
	})
}

// Where nothing has changed nothing is written, but once an hour that the machine is there.
func TestSyncWritesSeldom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Make(dir); err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &Stages{DB: db, Host: "mx.example.test", Dir: dir, Machine: "one", Now: func() time.Time { return now }}
	noted := func() int64 {
		t.Helper()
		sync(t, s)
		all, err := store.List(t.Context(), db, store.Value[int64], `SELECT max(at) FROM host_key_holder`)
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	first := noted()
	now = now.Add(59 * time.Minute)
	if noted() != first {
		t.Error("written although nothing has changed")
	}
	now = now.Add(time.Minute)
	if noted() == first {
		t.Error("not written for an hour")
	}
}

// TestTwins: a copy of a machine counts by itself, and is told of; the same machine, started
// anew, is none, and what it noted before is forgotten once it would be heard of.
func TestTwins(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	if _, err := Make(dir); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		start := func(dir, machine, boot string) *Stages {
			return &Stages{DB: db, Host: "mx.example.test", Dir: dir, Machine: machine, Boot: Boot{boot, now}, Now: func() time.Time { return now }}
		}
		check := func(when string, s *Stages, twins, lack int) {
			t.Helper()
			r := sync(t, s)[ECDSA]
			n, err := s.Twins(t.Context())
			if err != nil || n != twins || r.Lack != lack {
				t.Errorf("%s: %d twins, want %d; %d lack the next key, want %d; %v", when, n, twins, r.Lack, lack, err)
			}
		}
		old := &Stages{DB: db, Host: "mx.example.test", Dir: empty, Machine: "a:/b c", Now: func() time.Time { return now }}
		sync(t, old) // by a version that knew no runs
		one := start(dir, "a:/b c", "1")
		check("alone", one, 0, 0)
		now = now.Add(time.Minute)
		again := start(empty, "a:/b c", "2") // its keys were not copied
		check("started anew", again, 0, 1)
		if n, _ := one.Twins(t.Context()); n != 1 {
			t.Errorf("the one that did not end sees %d twins", n)
		}
		now = now.Add(2*noteEvery + time.Minute)
		check("two turns later", again, 0, 1)
		check("the first is still there", one, 1, 1)
		check("seen by its copy", again, 1, 1)
		check("one with a longer name", start(dir, "a:/b c d", "3"), 0, 1)
		check("one with a shorter name", start(dir, "a:/b", "4"), 0, 1)
		now = now.Add(3 * noteEvery)
		check("the copy has ended", start(dir, "a:/b c", "5"), 0, 0)
	})
}
