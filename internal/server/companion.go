package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"

	"waxwing/internal/companion"
	"waxwing/internal/config"
	"waxwing/internal/destination"
	"waxwing/internal/route"
	"waxwing/internal/transport"
	"waxwing/socketmap"
)

// companionHosts is how many hosts of a domain are looked at for Postfix: all
// that it could try, since one answer must fit them all.
const companionHosts = 100

// buildCompanion makes what stands beside a Postfix, where the configuration
// asks for it.
func (s *Server) buildCompanion() error {
	c := s.cfg.Companion
	if err := s.relayReports(c); err != nil {
		return err
	}
	if !c.On() {
		return nil
	}
	if !s.cfg.ServesMail() {
		// Postfix is the mail server of this name: its domains are not delivered to
		// mailboxes here, and mail to it is no loop.
		s.Queue.IsLocal = nil
		s.Direct.Finder = &destination.Finder{DNS: s.DNS, AllowPrivate: s.cfg.Delivery.AllowPrivate, MaxHosts: s.cfg.Delivery.MaxHosts}
	}
	counters := companion.NewMetrics(s.Metrics.Registry)
	var faults companion.Faults
	if c.Datagrams != "" {
		conn, err := companion.Bind(c.Datagrams, c.SocketGroup)
		if err != nil {
			return err
		}
		s.collector = &companion.Collector{Conn: conn, Store: s.Store, Off: !s.cfg.TLSRPT.Send, Faults: &faults, Now: s.o.Now,
			Metrics: counters, Log: s.area("companion"), Guard: s.guard}
	}
	resolver := &companion.Resolver{
		// The addresses are Postfix's to judge; private ones are none of our business.
		Finder: &destination.Finder{DNS: s.DNS, AllowPrivate: true, MaxHosts: companionHosts},
		STS:    s.STS, Exception: s.exception, Faults: &faults, Now: s.o.Now, Metrics: counters, Log: s.area("companion"),
	}
	srv := &socketmap.Server{Lookup: resolver.Lookup, Log: s.area("companion"), Guard: s.guard}
	for _, p := range c.Policies {
		l, err := s.listenPolicies(p)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, &listener{Listener: l, kind: "policies",
			serve: func(ctx context.Context) error { return srv.Serve(ctx, l) }})
	}
	return nil
}

func (s *Server) listenPolicies(p string) (net.Listener, error) {
	e, err := s.cfg.Companion.Endpoint(p)
	if err != nil {
		return nil, fmt.Errorf("companion.policies: %w", err)
	}
	if e.Network == "unix" {
		return companion.Listen(e.Address, s.cfg.Companion.SocketGroup)
	}
	return s.bind("TLS policy lookups", e)
}

// relayReports sends TLS reports the way that companion.report_relay names.
func (s *Server) relayReports(c config.Companion) error {
	if c.ReportRelay == "" {
		return nil
	}
	roots, err := s.roots()
	if err != nil {
		return err
	}
	way, err := s.relay(c, roots)
	if err != nil {
		return fmt.Errorf("companion.report_relay: %w", err)
	}
	s.Router.Reports = way
	return nil
}

func (s *Server) relay(c config.Companion, roots *x509.CertPool) (transport.Deliverer, error) {
	host, port, err := c.Relay()
	if err != nil {
		return nil, err
	}
	if host == "" {
		return &companion.Sendmail{Path: c.ReportRelay, Now: s.o.Now}, nil
	}
	h, err := route.ParseHost(host)
	if err != nil {
		return nil, err
	}
	// RFC 8460 §5.3: a report goes out whatever the state of TLS.
	t := route.Transport{Name: "report-relay", Kind: route.Smarthost, Host: h, Port: port, Security: route.SecurityAny}
	return &transport.Relay{Transport: t, Finder: transport.HostFinder(s.DNS, &t), Session: s.session(roots), Now: s.o.Now}, nil
}
