package body_test

import (
	"bytes"
	"testing"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// OPS-3: a body that is held and lacks a part is found; one that nobody holds may be on
// its way in.
func TestCheck(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, _ *time.Time) {
		long := delivery.Bytes(bytes.Repeat([]byte("x"), 2*chunk+1))
		must(t, s.Put(t.Context(), 1, long))
		write(t, db, func(tx *store.Tx) error { return body.Use(tx, 1, 1) })
		must(t, body.Check(t.Context(), db))
		for id, missing := range map[int64]string{2: "part = 0", 3: "part = 1", 4: "part >= 0"} {
			must(t, s.Put(t.Context(), id, long))
			write(t, db, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM body_chunks WHERE body = ? AND `+missing, id)
				return err
			})
			must(t, body.Check(t.Context(), db))
			write(t, db, func(tx *store.Tx) error { return body.Use(tx, id, 1) })
			if err := body.Check(t.Context(), db); err == nil {
				t.Errorf("without %s: nothing is found", missing)
			}
			write(t, db, func(tx *store.Tx) error { return body.Drop(tx, id) })
		}
	})
}
