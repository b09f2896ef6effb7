package store

import (
	"sync"
	"time"
)

// load adds up how long writes for which somebody waits have been under way: one or several at a time.
type load struct {
	mu    sync.Mutex
	n     int // under way
	since time.Time
	sum   time.Duration
}

func (l *load) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n++; l.n == 1 {
		l.since = time.Now()
	}
}

func (l *load) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n--; l.n == 0 {
		l.sum += time.Since(l.since)
	}
}

func (l *load) total() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n > 0 {
		return l.sum + time.Since(l.since)
	}
	return l.sum
}

// Busy is for how long in all, since the store was opened, at least one Write of this process has been
// under way or has waited for its turn; those by WriteSoon, for which nobody waits, do not count. How it grows says how much room
// others leave for work that can wait.
func (s *Store) Busy() time.Duration { return s.load.total() }
