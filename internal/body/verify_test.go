package body_test

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// MBX-1: an octet that has changed in the store is found, in small bodies and in large ones.
func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, s *body.Store, _ *time.Time) {
		s.Keep = true
		noise := make([]byte, 2*chunk+1)
		rand.Read(noise)
		must(t, s.Put(t.Context(), 200, delivery.Bytes(noise)))
		must(t, s.Put(t.Context(), 201, delivery.Bytes(bytes.Repeat([]byte("x"), 3*chunk))))
		write(t, db, func(tx *store.Tx) error {
			for id := range int64(100) {
				if err := body.Insert(tx, id+1, body.Pack(bytes.Repeat([]byte("octets "), 1+int(id)*30)), 1); err != nil {
					return err
				}
			}
			return body.Insert(tx, 150, body.Packed{Data: []byte("it passes")}, 1)
		})
		verify := func() (v body.Verified, damaged []body.Damage) {
			v, err := body.Verify(t.Context(), db, func(d body.Damage) { damaged = append(damaged, d) })
			must(t, err)
			return v, damaged
		}
		if v, damaged := verify(); len(damaged) > 0 || v.Pieces != 100+1+3+3 || v.Without != 1 {
			t.Errorf("%+v, damaged %v", v, damaged)
		}
		write(t, db, func(tx *store.Tx) error {
			for _, q := range []string{`UPDATE bodies SET data = ? WHERE id = 70`, `UPDATE body_chunks SET data = ? WHERE body = 200 AND part = 1`} {
				if _, err := tx.Exec(q, []byte("other octets")); err != nil {
					return err
				}
			}
			return nil
		})
		_, damaged := verify()
		if len(damaged) != 2 || damaged[0].Body != 70 || damaged[1].Body != 200 || damaged[1].Part != 1 {
			t.Errorf("damaged %v", damaged)
		}
	})
}
