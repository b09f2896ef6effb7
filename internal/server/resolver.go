package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/guard"
)

// Resolver makes the stub resolver that cfg asks for.
func Resolver(cfg *config.Config) (*dns.Client, error) {
	c := &dns.Client{Timeout: cfg.Resolver.Timeout, Cache: dns.NewCache(20000)}
	addrs, system, err := cfg.Resolver.Addrs()
	if err != nil {
		return nil, fmt.Errorf("resolver.servers: %w", err)
	}
	if system {
		if c.Servers, err = systemServers("/etc/resolv.conf"); err != nil {
			return nil, fmt.Errorf("resolver.servers = [\"system\"]: %w", err)
		}
	}
	for _, a := range addrs {
		c.Servers = append(c.Servers, dns.Server{Addr: a.String(), Trusted: a.Addr().IsLoopback()})
	}
	for i := range c.Servers {
		c.Servers[i].Trusted = c.Servers[i].Trusted || cfg.Resolver.Trusted
	}
	return c, nil
}

// systemServers are those of resolv.conf; where there is no such file, the one
// on this machine, as resolv.conf(5) has it: a machine without DNS can then
// still serve its own mail (SET-3).
func systemServers(path string) ([]dns.Server, error) {
	servers, err := dns.SystemServers(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []dns.Server{{Addr: "127.0.0.1:53", Trusted: true}}, nil
	}
	return servers, err
}

// resolver makes the resolver of this server, which tests itself.
func (b *builder) resolver() (*dns.Client, error) {
	c, err := Resolver(b.cfg)
	if err != nil {
		return nil, err
	}
	c.Now, c.Guard, c.Count = b.Now, b.guard, b.metrics.LookedUp
	if names := SelfTestNames(b.cfg); names != (dns.SelfTestNames{}) {
		b.run("resolver self-test", guard.SelfTest, func(ctx context.Context) error {
			return daily(ctx, func() { b.testResolver(ctx, c, names) })
		})
	}
	return c, nil
}

// SelfTestNames are the names that cfg wants tested.
func SelfTestNames(cfg *config.Config) dns.SelfTestNames {
	t := cfg.Resolver.Selftest
	return dns.SelfTestNames{Signed: t.Signed, Bogus: t.Bogus, Large: t.Large}
}

// testResolver tests the resolver (DNS-6). It informs; only a server that hands out
// data for a bogus name loses its trust.
func (b *builder) testResolver(ctx context.Context, c *dns.Client, names dns.SelfTestNames) {
	for _, t := range c.SelfTest(ctx, names).Servers {
		if ctx.Err() != nil {
			return
		}
		b.metrics.SelfTest("signed", t.Signed == "")
		b.metrics.SelfTest("bogus", t.Bogus == "")
		b.metrics.SelfTest("large", t.Large == "")
		if t.OK() {
			b.Log.Info("the resolver validates DNSSEC", "server", t.Server.Addr)
		} else {
			b.Log.Warn("DANE cannot be relied on with this resolver", "server", t.Server.Addr, "found", t.String())
		}
	}
}

// daily calls do now and every 24 hours, until ctx ends.
func daily(ctx context.Context, do func()) error {
	tick := time.NewTicker(24 * time.Hour)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
