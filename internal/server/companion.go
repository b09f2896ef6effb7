package server

import (
	"context"
	"fmt"
	"net"

	"waxwing/dns"
	"waxwing/internal/companion"
	"waxwing/internal/config"
	"waxwing/internal/destination"
	"waxwing/internal/guard"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/internal/transport"
	"waxwing/socketmap"
)

// companionHosts is how many hosts of a domain are looked at for Postfix: all
// that it could try, since one answer must fit them all.
const companionHosts = 100

// companion makes what stands beside a Postfix, where the configuration asks for it.
func (f *front) companion() error {
	c, r := f.cfg.Companion, f.rooms
	if !c.On() {
		return nil
	}
	counters, faults := companion.NewMetrics(r.Metrics.Registry), &companion.Faults{}
	if c.Datagrams != "" {
		conn, err := companion.Bind(c.Datagrams, c.SocketGroup)
		if err != nil {
			return err
		}
		f.onClose(conn)
		collector := &companion.Collector{Conn: conn, Store: r.Store, Off: !f.cfg.TLSRPT.Send, Faults: faults, Now: f.Now,
			Metrics: counters, Log: f.area(config.LogCompanion), Guard: f.guard}
		f.run("TLSRPT datagrams", guard.Datagram, collector.Run)
	}
	resolver := &companion.Resolver{
		// The addresses are for Postfix to refuse; private ones are none of our business.
		Finder: &destination.Finder{DNS: r.DNS, AllowPrivate: true, MaxHosts: companionHosts},
		STS:    r.STS, Exception: f.live.exception, Faults: faults, Now: f.Now, Metrics: counters, Log: f.area(config.LogCompanion),
	}
	srv := &socketmap.Server{Lookup: resolver.Lookup, Log: f.area(config.LogCompanion), Guard: f.guard}
	for _, p := range c.Policies {
		l, err := f.listenPolicies(p)
		if err != nil {
			return err
		}
		f.open(l, "policies", func(ctx context.Context) error { return srv.Serve(ctx, l) })
	}
	return nil
}

func (b *builder) listenPolicies(p string) (net.Listener, error) {
	e, err := b.cfg.Companion.Endpoint(p)
	if err != nil {
		return nil, fmt.Errorf("companion.policies: %w", err)
	}
	if e.Network == "unix" {
		return companion.Listen(e.Address, b.cfg.Companion.SocketGroup)
	}
	return b.bind("TLS policy lookups", e)
}

// reportRelay is what companion.report_relay has TLS reports carried by; nil: they go
// like other mail.
func (b *builder) reportRelay(resolver *dns.Client, sessions func() *session.Client) (transport.Deliverer, error) {
	c := b.cfg.Companion
	if c.ReportRelay == "" {
		return nil, nil
	}
	host, port, err := c.Relay()
	if err == nil && host == "" {
		return &companion.Sendmail{Path: c.ReportRelay, Now: b.Now}, nil
	}
	var h route.Host
	if err == nil {
		h, err = route.ParseHost(host)
	}
	if err != nil {
		return nil, fmt.Errorf("companion.report_relay: %w", err)
	}
	// RFC 8460 §5.3: a report goes out whatever the state of TLS.
	t := route.Transport{Name: "report-relay", Kind: route.Smarthost, Host: h, Port: port, Security: route.SecurityAny}
	return &transport.Relay{Transport: t, Finder: transport.HostFinder(resolver, &t), Session: sessions(), Now: b.Now}, nil
}
