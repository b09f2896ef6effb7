package checkup

import (
	"testing"
	"time"

	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store/storetest"
)

// WEB-2: what took long to count is not counted at each look, and it is known when it was; what is counted at once is always as it is.
func TestCountedServesForAWhile(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	clock, step := start, 10*time.Millisecond // that each reading of the clock takes
	now := func() time.Time { clock = clock.Add(step); return clock }
	var c counted
	look := func() (int64, time.Time) {
		t.Helper()
		all, at, err := c.depths(t.Context(), db, now)
		if err != nil || len(all) != 3 {
			t.Fatal(all, err)
		}
		return all[0].N, at
	}
	if n, at := look(); n != 0 || !at.Equal(start.Add(2*step)) {
		t.Errorf("%d, counted at %v", n, at)
	}
	spooltest.Filling{Recipients: 20, Dests: 2, Accounts: 1, Now: start}.Write(t, db)
	if n, at := look(); n != 0 || !at.Equal(start.Add(2*step)) {
		t.Errorf("at once after a count that took long it is %d, counted at %v", n, at)
	}
	clock = clock.Add(rest * step)
	if n, _ := look(); n != 20 {
		t.Errorf("a while later it is %d", n)
	}
	clock, step = clock.Add(time.Hour), 0
	look()
	if _, at := look(); !at.Equal(clock) {
		t.Errorf("a count that took no time serves longer: counted at %v, now %v", at, clock)
	}
	clock = start // it was set back
	if _, at := look(); !at.Equal(start) {
		t.Errorf("an answer from the future serves: %v", at)
	}
}
