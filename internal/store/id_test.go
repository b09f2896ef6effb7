package store_test

import (
	"testing"
	"time"

	"waxwing/internal/store"
)

// Dates that others write keep their order, whatever the year, and none becomes the zero time, which means that there is none.
func TestTime(t *testing.T) {
	t.Parallel()
	date := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	last := int64(-1 << 63)
	for _, year := range []int{2, 1677, 1678, 1969, 1970, 2026, 2261, 2262, 9999, 20_000} {
		n := store.Time(date(year))
		if n < last || n == 0 {
			t.Errorf("%d is stored as %d, and an earlier year as %d", year, n, last)
		}
		if got := store.FromTime(n); year >= 1678 && year <= 2261 && got.Sub(date(year)).Abs() > time.Nanosecond {
			t.Errorf("%v comes back as %v", date(year), got)
		}
		last = n
	}
	if store.Time(time.Time{}) != 0 || !store.FromTime(0).IsZero() {
		t.Error("the zero time is not kept")
	}
}
