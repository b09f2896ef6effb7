package server

import (
	"errors"
	"fmt"

	"waxwing/internal/config"
)

// Reload takes over what of a new configuration can change while the server runs,
// and reads certificates and client_ca files again (OPS-10). What needs a restart is
// in the Change and stays as it was. An error is of files that cannot be used: what
// was loaded before stays, and the rest is taken over all the same.
func (s *Server) Reload(next *config.Config) (config.Change, error) {
	change := config.Changes(s.live.Load(), next)
	s.live.Store(s.live.Load().With(next))
	var errs []error
	if s.cert != nil {
		if err := s.cert.Load(); err != nil {
			errs = append(errs, fmt.Errorf("the certificate stays as it was: %w", err))
		}
	}
	for _, c := range s.clientCAs {
		trust, err := clientTrust(c.listen)
		if err != nil {
			errs = append(errs, fmt.Errorf("the client certificates stay as they were: %w", err))
			continue
		}
		c.take(trust)
	}
	return change, errors.Join(errs...)
}
