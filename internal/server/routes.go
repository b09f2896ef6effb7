package server

import (
	"cmp"
	"crypto/x509"

	"waxwing/internal/routes"
	"waxwing/internal/session"
	"waxwing/internal/store"
	"waxwing/internal/transport"
)

// session is a client for mail hosts with what all transports have in common.
func (s *Server) session(roots *x509.CertPool) *session.Client {
	d := s.cfg.Delivery
	helo := cmp.Or(d.EHLO, s.cfg.Hostname)
	return &session.Client{Dialer: s.o.Dialer, HELO: helo.ASCII(), Roots: roots, Port: int(d.Port),
		Pool: s.pool, Crowd: s.crowd, Resume: s.resume, Convert: convert, Now: s.o.Now, Log: s.area("session")}
}

// buildRoutes makes what takes each attempt its way; the queue's only transport
// for mail that leaves.
func (s *Server) buildRoutes(roots *x509.CertPool) {
	s.Routes = &routes.Store{DB: s.Store, Now: s.o.Now}
	builder := &transport.Builder{Direct: s.Direct, DNS: s.DNS, Now: s.o.Now,
		Session: func() *session.Client { return s.session(roots) }}
	local := &transport.Local{Accounts: s.Accounts, Now: s.o.Now, Log: s.area("delivery")}
	s.Router = &transport.Router{Routes: s.Routes, Direct: s.Direct, Local: local, Make: builder.Make, Now: s.o.Now, Log: s.area("routes")}
}

// Ways makes the router, for commands that need no running server.
func Ways(o Options, db *store.Store) (*transport.Router, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return nil, err
	}
	return s.Router, nil
}
