package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waxwing/internal/guard"
)

// Run serves until ctx ends, then drains: no new connections, transactions
// under way end or are answered 421, leases go back, the store is closed (OPS-2).
// The error is of a service that failed on its own.
func (s *Server) Run(ctx context.Context) error {
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	front, stopFront := context.WithCancel(ctx)
	defer stopFront()

	services := &crew{guard: s.guard, failed: stopFront}
	for _, v := range s.services {
		services.start(back, v)
	}
	services.start(back, service{"sweeper", guard.Sweeper, s.sweep})
	faces := &crew{guard: s.guard, failed: stopFront}
	for _, v := range s.faces {
		faces.start(front, v)
	}
	for _, l := range s.listeners {
		s.log.Info("listening", "kind", string(l.kind), "address", l.Addr().String())
	}
	s.log.Info("serving", "hostname", s.live.Load().Hostname.ASCII(), "listeners", len(s.listeners))
	<-front.Done() // also where there are no faces
	err := faces.wait()
	s.log.Info("draining")
	stopBack()
	err = errors.Join(err, services.wait())
	return errors.Join(err, s.Close())
}

// sweep does the hourly chores.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		for _, c := range s.hourly {
			if err := c.do(ctx); err != nil && ctx.Err() == nil {
				s.log.Error(c.failed, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// crew is services that run at the same time. A panic of one starts it again; an
// error of one, which it does not expect to mend, calls failed.
type crew struct {
	guard  *guard.Guard
	failed func()

	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (c *crew) start(ctx context.Context, v service) {
	c.guard.In(&c.wg, v.area, func() {
		err := c.guard.Keep(ctx, v.area, v.run)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, fmt.Errorf("%s: %w", v.name, err))
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
