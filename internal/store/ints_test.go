package store_test

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// Rows of integers come as they are, in their order, on both engines.
func TestInts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		var want [][]int64
		must(db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`CREATE TABLE numbers (a BIGINT NOT NULL, b BIGINT NOT NULL, c SMALLINT NOT NULL, PRIMARY KEY (a, b))`); err != nil {
				return err
			}
			for i, n := range []int64{math.MinInt64, -300, -1, 0, 1, 127, 128, 1 << 40, math.MaxInt64} {
				want = append(want, []int64{n, int64(i % 3)})
				if _, err := tx.Exec(`INSERT INTO numbers (a, b, c) VALUES (7, ?, ?)`, n, int64(i%3)); err != nil {
					return err
				}
			}
			return nil
		}))
		read := func(low int64, fn func([]int64) error) error {
			return db.Read(t.Context(), func(tx *store.Tx) error {
				return tx.Ints(fn, []string{"b", "c"}, `FROM numbers WHERE a = ? AND b >= ?`, int64(7), low)
			})
		}
		var got [][]int64
		must(read(math.MinInt64, func(row []int64) error {
			got = append(got, append([]int64(nil), row...))
			return nil
		}))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		broken := errors.New("broken")
		if err := read(0, func([]int64) error { return broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
		must(db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Ints(func([]int64) error { t.Error("a row of none"); return nil }, []string{"b"}, `FROM numbers WHERE a = ?`, int64(8))
		}))
	})
}
