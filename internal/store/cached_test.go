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
