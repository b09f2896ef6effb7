package spool_test

import (
	"testing"
	"time"

	"waxwing/internal/spool"
	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// OPS-1: depth and oldest age by state, of what is not over.
func TestDepths(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		want := func(waiting, held int64, oldest time.Time) {
			t.Helper()
			all, err := spool.Depths(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				n := map[spool.State]int64{spool.Waiting: waiting, spool.Held: held}[d.State]
				if d.N != n || d.Oldest.IsZero() != (n == 0) {
					t.Errorf("%s: %d since %v, want %d", d.State, d.N, d.Oldest, n)
				}
				if d.State == spool.Waiting && n > 0 && !d.Oldest.Equal(oldest) {
					t.Errorf("the oldest waits since %v, not %v", d.Oldest, oldest)
				}
			}
			if len(all) != 3 {
				t.Errorf("%d states", len(all))
			}
		}
		want(0, 0, time.Time{})
		now := time.Now().Truncate(time.Second)
		spooltest.Filling{Recipients: 100, Dests: 3, Accounts: 2, Now: now}.Write(t, s)
		want(100, 0, now.Add(-spooltest.Span))
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE recipients SET state = CASE WHEN id IN (SELECT id FROM recipients ORDER BY id LIMIT 10) THEN 2 ELSE 3 END WHERE id IN (SELECT id FROM recipients ORDER BY id LIMIT 10) OR id IN (SELECT id FROM recipients ORDER BY id DESC LIMIT 5)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want(85, 10, now.Add(-spooltest.Span).Add(spooltest.Span/10))
	})
}
