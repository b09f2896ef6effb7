package store_test

import (
	"errors"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// What is cached is read again once its area was raised, and only then; a reading that
// fails is not kept, and an older one does not take the place of a newer one.
func TestCached(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var c store.Cached[int]
		reads := 0
		get := func() int {
			t.Helper()
			n, err := c.Get(t.Context(), s, "a", func(*store.Tx) (int, error) { reads++; return reads, nil })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		raise := func(area string) {
			t.Helper()
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise(area) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int{1, 1} {
			if n := get(); n != want {
				t.Errorf("%d, want %d", n, want)
			}
		}
		raise("b")
		if n := get(); n != 1 {
			t.Errorf("read anew, though another area was raised: %d", n)
		}
		raise("a")
		fails := errors.New("away")
		if n, err := c.Get(t.Context(), s, "a", func(*store.Tx) (int, error) { return 99, fails }); !errors.Is(err, fails) || n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		if n := get(); n != 2 {
			t.Errorf("%d, want 2", n)
		}
		raise("a")
		n, err := c.Get(t.Context(), s, "a", func(*store.Tx) (int, error) {
			raise("a") // while it is read
			if n := get(); n != 3 {
				t.Errorf("%d, want 3", n)
			}
			return 77, nil
		})
		if err != nil || n != 77 {
			t.Errorf("%d, %v", n, err)
		}
		if n := get(); n != 3 {
			t.Errorf("the older one took its place: %d", n)
		}
	})
}

// Each key is read once a generation; what is not to be kept, each time; and there is a bound.
func TestKeyed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var c store.Keyed[int, int]
		reads := 0
		get := func(key int, keep bool) int {
			t.Helper()
			size := map[bool]int{true: 1}[keep]
			n, err := c.Get(t.Context(), s, "a", key, func(*store.Tx) (int, int, error) { reads++; return reads, size, nil })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		raise := func(area string) {
			t.Helper()
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise(area) }); err != nil {
				t.Fatal(err)
			}
		}
		if a, b, c := get(1, true), get(2, false), get(1, true); a != 1 || b != 2 || c != 1 {
			t.Errorf("%d, %d, %d", a, b, c)
		}
		if n := get(2, true); n != 3 {
			t.Errorf("what was not to be kept was kept: %d", n)
		}
		raise("b")
		if n := get(1, true); n != 1 {
			t.Errorf("read anew, though another area was raised: %d", n)
		}
		raise("a")
		if n := get(2, true); n != 4 {
			t.Errorf("%d, want 4", n)
		}
		if n := get(1, true); n != 5 {
			t.Errorf("a key of the generation before is still kept: %d", n)
		}
		fails := errors.New("away")
		if n, err := c.Get(t.Context(), s, "a", 3, func(*store.Tx) (int, int, error) { return 99, 1, fails }); !errors.Is(err, fails) || n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		if n := get(3, true); n != 6 {
			t.Errorf("%d, want 6", n)
		}
		n, err := c.Get(t.Context(), s, "a", 4, func(*store.Tx) (int, int, error) {
			raise("a")
			if n := get(4, true); n != 7 {
				t.Errorf("%d, want 7", n)
			}
			return 77, 1, nil
		})
		if err != nil || n != 77 {
			t.Errorf("%d, %v", n, err)
		}
		if n := get(4, true); n != 7 {
			t.Errorf("the older one took its place: %d", n)
		}
		first := get(1, true)
		for k := range 4096 {
			get(10+k, true)
		}
		if n := get(1, true); n == first {
			t.Error("more keys are kept than there may be")
		}
		// A large value counts for more.
		var large store.Keyed[int, int]
		kept := func(key int) bool {
			t.Helper()
			again := false
			if _, err := large.Get(t.Context(), s, "a", key, func(*store.Tx) (int, int, error) { again = true; return key, 2000, nil }); err != nil {
				t.Fatal(err)
			}
			return !again
		}
		if kept(1) || kept(2) || !kept(1) || !kept(2) || kept(3) || kept(1) || !kept(3) {
			t.Error("two values of 2000 have room, and a third takes the place of both")
		}
	})
}
