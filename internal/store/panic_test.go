package store

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: where the engine itself panics, all members of the transaction hear of it,
// nobody waits for ever, and the next transaction is as good as any.
func TestPanicInWriter(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s, err := Open(t.Context(), Options{Create: true, Path: filepath.Join(t.TempDir(), "waxwing.db"), Guard: &watch.Guard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec(`CREATE TABLE x (n BIGINT)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w := s.engine.(*sqliteEngine).writer
	good := w.now
	for _, calls := range []int{0, 1} { // before a member is lent the transaction, and after
		w.now = func() time.Time {
			if calls--; calls < 0 {
				panic("engine")
			}
			return good()
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				err := s.WriteSoon(t.Context(), func(tx *Tx) error {
					_, err := tx.Exec(`INSERT INTO x VALUES (?)`, i)
					return err
				})
				if err == nil || !guard.Contained(err) && !errors.As(err, new(lost)) {
					t.Errorf("a member of a lost transaction was told %v", err)
				}
			})
		}
		wg.Wait()
		w.now = good
		n := -1
		err := s.Write(t.Context(), func(tx *Tx) error { return tx.Row(`SELECT count(*) FROM x`).Scan(&n) })
		if err != nil || n != 0 {
			t.Errorf("afterwards: %d rows, %v", n, err)
		}
	}
	if seen := watch.Wait(2); len(seen) < 2 || slices.ContainsFunc(seen, func(a guard.Area) bool { return a != guard.Store }) {
		t.Errorf("counted: %v", seen)
	}
}
