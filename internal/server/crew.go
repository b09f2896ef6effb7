package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"waxwing/internal/guard"
)

// crew is services that run at the same time. A panic of one starts it again; an
// error of one, which it does not expect to mend, calls failed.
type crew struct {
	guard  *guard.Guard
	failed func()

	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (c *crew) start(ctx context.Context, name string, area guard.Area, run func(context.Context) error) {
	c.guard.In(&c.wg, area, func() {
		err := c.guard.Keep(ctx, area, run)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, fmt.Errorf("%s: %w", name, err))
		c.failed()
	})
}

// wait returns the errors when all have ended.
func (c *crew) wait() error {
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}
