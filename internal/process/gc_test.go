package process

import (
	"math"
	"testing"
)

// There is always room for 64 MiB more, never less than Go itself would leave, and
// no target so high that it stands for none.
func TestGCPercent(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: 1600, 1 << 20: 1600, 4 << 20: 1600, 8 << 20: 800, 32 << 20: 200, 63 << 20: 101, 64 << 20: 100, 1 << 40: 100, math.MaxUint64: 100,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d octets in use: %d, want %d", live, got, want)
		}
	}
}
