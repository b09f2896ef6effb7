// Package guardtest watches what a guard.Guard contains, for tests.
package guardtest

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"waxwing/internal/guard"
)

// Watch is a guard that logs to nobody, and remembers whose work panicked.
type Watch struct {
	guard.Guard
	mu   sync.Mutex
	seen []guard.Area
}

// New returns a guard that has seen nothing.
func New() *Watch {
	w := &Watch{}
	w.Log = slog.New(slog.DiscardHandler)
	w.Count = func(a guard.Area) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, a)
	}
	return w
}

// Seen is the area of each panic, in the order in which they came.
func (w *Watch) Seen() []guard.Area {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// Wait returns what Seen does, once there were n panics or ten seconds have passed: what
// one costs, such as the end of a connection, may show before it is counted.
func (w *Watch) Wait(n int) []guard.Area {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if seen := w.Seen(); len(seen) >= n || time.Now().After(end) {
			return seen
		}
	}
}

// Saw reports that there were n panics, all of one area. It waits for them as Wait does.
func (w *Watch) Saw(area guard.Area, n int) bool {
	seen := w.Wait(n)
	return len(seen) == n && !slices.ContainsFunc(seen, func(a guard.Area) bool { return a != area })
}
