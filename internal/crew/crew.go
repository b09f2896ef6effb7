// Package crew runs services at the same time: each is started again after a panic, and the end of one that fails is told. Only a server
// has crews.
package crew

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"waxwing/internal/guard"
)

// Service is something with a Run.
type Service struct {
	Name string
	Area guard.Area
	Run  func(context.Context) error
}

// Crew is services that run at the same time. A panic of one starts it again; an
// error of one, which it does not expect to mend, calls Failed.
type Crew struct {
	Guard  *guard.Guard
	Failed func()

	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// Start has a service run until ctx ends.
func (c *Crew) Start(ctx context.Context, v Service) {
	c.Guard.In(&c.wg, v.Area, func() {
		err := c.Guard.Keep(ctx, v.Area, v.Run)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, fmt.Errorf("%s: %w", v.Name, err))
		c.Failed()
	})
}

// Wait returns the errors when all have ended.
func (c *Crew) Wait() error {
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}
