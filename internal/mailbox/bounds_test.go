package mailbox

import (
	"slices"
	"testing"
	"time"
)

// The newest are kept, as many and as large as the bounds allow.
func TestBounds(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	bounds := Bounds{Messages: 1000, Octets: 64 << 20, Before: noon.Add(-14 * day)}
	of := func(n int, size int64, age time.Duration) []Kept {
		all := make([]Kept, n)
		for i := range all {
			all[i] = Kept{UID: int64(5000 - i), Size: size, Saved: noon.Add(-age).UnixNano()}
		}
		return all
	}
	for _, tt := range []struct {
		what string
		all  []Kept
		want int // are left
	}{
		{"none", nil, 0},
		{"few", of(3, 1, 0), 3},
		{"as many as may be", of(1000, 1, 0), 1000},
		{"one more", of(1001, 1, 0), 1000},
		{"as large as may be", of(8, 8<<20, 0), 8},
		{"one more of that", of(9, 8<<20, 0), 8},
		{"old", of(2, 1, 14*day+1), 0},
		{"just not old", of(2, 1, 14*day), 2},
		{"old behind young", slices.Concat(of(2, 1, 0), of(2, 1, 15*day)), 2},
	} {
		doomed := bounds.Beyond(tt.all)
		if got := len(tt.all) - len(doomed); got != tt.want || len(doomed) > 0 && int64(doomed[0]) != tt.all[tt.want].UID {
			t.Errorf("%s: %d are left, want %d", tt.what, got, tt.want)
		}
		if left := (Bounds{}).Beyond(tt.all); left != nil {
			t.Errorf("%s: without bounds %d go", tt.what, len(left))
		}
	}
}
