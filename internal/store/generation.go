package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Lag is how long a change of another process may stay unseen by Generation.
const Lag = 200 * time.Millisecond

// generations remembers what the generation table said, for at most Lag and
// not beyond a Raise of this process: so that caches which ask before every use
// cost no query each.
type generations struct {
	epoch atomic.Uint64 // raised with every Raise that this process committed

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	value int64
	epoch uint64
	until time.Time
}

func (g *generations) get(area string) (int64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := g.known[area]
	if !ok || k.epoch != g.epoch.Load() || time.Now().After(k.until) {
		return 0, false
	}
	return k.value, true
}

func (g *generations) put(area string, value int64, epoch uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = map[string]known{}
	}
	g.known[area] = known{value, epoch, time.Now().Add(Lag)}
}

// Generation is how often area has been raised (Tx.Raise); 0 for never. What
// this process has committed is seen at once, what others have within Lag. A
// cache that notes the generation before it reads, and drops what it holds once
// the generation differs, is stale no longer than that.
func (s *Store) Generation(ctx context.Context, area string) (int64, error) {
	if n, ok := s.seen.get(area); ok {
		return n, nil
	}
	epoch := s.seen.epoch.Load()
	var n int64
	err := s.Read(ctx, func(tx *Tx) (err error) {
		n, err = tx.Generation(area)
		return err
	})
	if err == nil {
		s.seen.put(area, n, epoch)
	}
	return n, err
}
