package store_test

import (
	"errors"
	"slices"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// TestRows: Each, Collect and Column read every row in order, stop at fn's
// error, and leave the transaction usable.
func TestRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for _, area := range []string{"rows-a", "rows-b", "rows-c"} {
				if err := tx.Raise(area); err != nil {
					return err
				}
			}
			areas, err := store.Column[string](tx, `SELECT area FROM generation WHERE area LIKE ? ORDER BY area`, "rows-%")
			if err != nil || !slices.Equal(areas, []string{"rows-a", "rows-b", "rows-c"}) {
				t.Errorf("Column: %v, %v", areas, err)
			}
			stop, calls := errors.New("stop"), 0
			_, err = store.Collect(tx, func(store.Row) (int, error) { calls++; return 0, stop }, `SELECT value FROM generation WHERE area LIKE ?`, "rows-%")
			if !errors.Is(err, stop) || calls != 1 {
				t.Errorf("Collect goes on after an error: %v after %d calls", err, calls)
			}
			none, err := store.Column[int64](tx, `SELECT value FROM generation WHERE area = ?`, "rows-none")
			if err != nil || len(none) != 0 {
				t.Errorf("Column of nothing: %v, %v", none, err)
			}
			_, err = store.Column[int64](tx, `SELECT area FROM generation WHERE area = ?`, "rows-a")
			if err == nil {
				t.Error("text is read as a number")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
