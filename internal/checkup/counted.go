package checkup

import (
	"context"
	"sync"
	"time"

	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// rest is how many times as long as a count took its answer serves: whoever looks again and again has the store count for a hundredth of the
// time at most, and sees a small queue as it is (WEB-2).
const rest = 100

// counted remembers how much waited.
type counted struct {
	mu    sync.Mutex
	all   []spool.Depth
	at    time.Time
	until time.Time
}

// depths are how much waits, and when it was counted.
func (c *counted) depths(ctx context.Context, db *store.Store, now func() time.Time) ([]spool.Depth, time.Time, error) {
	began := now()
	c.mu.Lock()
	all, at, until := c.all, c.at, c.until
	c.mu.Unlock()
	if !began.Before(at) && began.Before(until) {
		return all, at, nil
	}
	all, err := spool.Depths(ctx, db)
	if err != nil {
		return nil, time.Time{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.at = all, now()
	c.until = c.at.Add(rest * c.at.Sub(began))
	return all, c.at, nil
}
