package panics

import (
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// OPS-9: panics are counted by area and unit, and forgotten long after the last.
func TestCount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
		count := func(area guard.Area, unit string, want int) {
			t.Helper()
			n, err := Count(t.Context(), s, area, unit, now)
			if err != nil || n != want {
				t.Errorf("%s %s: %d, %v; want %d", area, unit, n, err, want)
			}
		}
		count(guard.Delivery, "1", 1)
		now = now.Add(keep)
		count(guard.Delivery, "1", 2)
		count(guard.Delivery, "2", 1)
		count(guard.Hook, "1", 1)
		now = now.Add(time.Hour)
		count(guard.Hook, "1", 2)
		now = now.Add(keep - time.Minute)
		if err := Sweep(t.Context(), s, now); err != nil {
			t.Fatal(err)
		}
		count(guard.Delivery, "1", 1)
		count(guard.Delivery, "2", 1)
		count(guard.Hook, "1", 3)
	})
}
