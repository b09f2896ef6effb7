package server

import (
	"errors"
	"sync/atomic"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
)

// live is the configuration with what reloads have taken over. Rooms that obey a reload
// ask it each time.
type live struct {
	atomic.Pointer[config.Config]
	now func() time.Time
}

// minimum is the operator's least security for a domain (POL-9).
func (l *live) minimum(d delivery.RecipientDomain) delivery.Minimum {
	for _, m := range []delivery.Minimum{delivery.MinTLS, delivery.MinVerified, delivery.MinDANE} {
		if string(l.Load().Delivery.Minimum[d.Name]) == m.String() {
			return m
		}
	}
	return delivery.MinAny
}

// exception is what the operator sets aside for a domain now (STS-13).
func (l *live) exception(d delivery.RecipientDomain) delivery.Exception {
	return exceptionFor(l.Load().Delivery.Exceptions, d, l.now())
}

// Reload takes over what of a new configuration can change while the server runs,
// and reads certificates and client_ca files again (OPS-10). What needs a restart is
// in the Change and stays as it was. An error is of files that cannot be used: what
// was loaded before stays, and the rest is taken over all the same.
func (s *Server) Reload(next *config.Config) (config.Change, error) {
	now := s.live.Load()
	s.live.Store(now.With(next))
	var errs []error
	for _, again := range s.reloads {
		errs = append(errs, again())
	}
	return config.Changes(now, next), errors.Join(errs...)
}
