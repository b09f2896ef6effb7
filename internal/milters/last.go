package milters

import (
	"maps"
	"sync"
	"time"

	"waxwing/internal/health"
)

// Last remembers what came of the last message that each milter was asked about. It is safe for
// concurrent use; there are as many as the configuration has milters.
type Last struct {
	Now func() time.Time

	mu sync.Mutex
	by map[string]health.MilterAnswer
}

// Note notes what came of a milter and a message.
func (l *Last) Note(milter, result string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]health.MilterAnswer{}
	}
	l.by[milter] = health.MilterAnswer{At: l.Now(), Result: result, Took: took}
}

// All are the answers by the milters' names; one that was not asked yet has none.
func (l *Last) All() map[string]health.MilterAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.by)
}
