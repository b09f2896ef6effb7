package server

import (
	"context"
	"errors"
	"time"

	"waxwing/internal/crew"
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

	services := &crew.Crew{Guard: s.guard, Failed: stopFront}
	for _, v := range s.services {
		services.Start(back, v)
	}
	services.Start(back, crew.Service{Name: "sweeper", Area: guard.Sweeper, Run: s.sweep})
	faces := &crew.Crew{Guard: s.guard, Failed: stopFront}
	for _, v := range s.faces {
		faces.Start(front, v)
	}
	for _, l := range s.listeners {
		s.log.Info("listening", "kind", string(l.kind), "address", l.Addr().String())
	}
	s.log.Info("serving", "hostname", s.live.Load().Hostname.ASCII(), "listeners", len(s.listeners))
	<-front.Done() // also where there are no faces
	err := faces.Wait()
	s.log.Info("draining")
	stopBack()
	err = errors.Join(err, services.Wait())
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
