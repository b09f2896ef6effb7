package server

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
)

// SelfTestNames are the names that cfg wants tested.
func SelfTestNames(cfg *config.Config) dns.SelfTestNames {
	t := cfg.Resolver.Selftest
	return dns.SelfTestNames{Signed: t.Signed, Bogus: t.Bogus, Large: t.Large}
}

// selfTests tests the resolver at start and daily (DNS-6). It informs; only a
// server that hands out data for a bogus name loses its trust.
func (s *Server) selfTests(ctx context.Context) error {
	names := SelfTestNames(s.cfg)
	if names == (dns.SelfTestNames{}) {
		return nil
	}
	for {
		for _, t := range s.DNS.SelfTest(ctx, names).Servers {
			if ctx.Err() != nil {
				return nil
			}
			s.Metrics.SelfTest("signed", t.Signed == "")
			s.Metrics.SelfTest("bogus", t.Bogus == "")
			s.Metrics.SelfTest("large", t.Large == "")
			if t.OK() {
				s.log.Info("the resolver validates DNSSEC", "server", t.Server.Addr)
			} else {
				s.log.Warn("DANE cannot be relied on with this resolver", "server", t.Server.Addr, "found", t.String())
			}
		}
		timer := time.NewTimer(24 * time.Hour)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}
