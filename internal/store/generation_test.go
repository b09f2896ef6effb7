package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// TestGenerationOfOthers: what a store raised itself is seen by its next call; what
// another process raised, within Lag.
func TestGenerationOfOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "g.db")
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{Create: true, Path: path, Migrations: schema.FS})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	one, two := open(), open()
	get := func(s *store.Store) int64 {
		n, err := s.Generation(t.Context(), "area")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := get(one), get(two); a != 0 || b != 0 {
		t.Fatalf("generations before any change: %d, %d", a, b)
	}
	for want := int64(1); want <= 3; want++ {
		if err := one.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise("area") }); err != nil {
			t.Fatal(err)
		}
		if got := get(one); got != want {
			t.Errorf("after its own raise the store says %d, want %d", got, want)
		}
		end := time.Now().Add(store.Lag + 5*time.Second)
		for get(two) != want {
			if time.Now().After(end) {
				t.Fatalf("the other store still says %d, want %d", get(two), want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestGenerationUndone: a raise that was undone is no change.
func TestGenerationUndone(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: filepath.Join(t.TempDir(), "g.db"), Migrations: schema.FS})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	boom := s.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.Raise("area"); err != nil {
			return err
		}
		return errUndo
	})
	if n, err := s.Generation(t.Context(), "area"); boom != errUndo || n != 0 || err != nil {
		t.Errorf("write %v, generation %d, %v; want the undo and 0", boom, n, err)
	}
}

type undo struct{}

func (undo) Error() string { return "undo" }

var errUndo error = undo{}
