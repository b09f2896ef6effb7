// Package resolver makes the stub resolver that a configuration asks for: its
// servers, which of them are trusted, and own validation (DNS-3, VAL-2).
package resolver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/internal/config"
)

// Learn tells what trust anchors have come to, where somebody has followed their roll-overs
// (VAL-3): internal/anchors has those in the store.
type Learn func(ctx context.Context, base []proof.Anchor) ([]proof.Anchor, error)

// New makes the stub resolver that cfg asks for. Without learn the trust anchors are those of cfg.
func New(cfg *config.Config, learn Learn) (*dns.Client, error) {
	c := &dns.Client{Timeout: cfg.Resolver.Timeout, Cache: dns.NewCache(20000)}
	servers, system, err := cfg.Resolver.Upstreams()
	if err != nil {
		return nil, fmt.Errorf("resolver.servers: %w", err)
	}
	if system {
		if c.Servers, err = systemServers("/etc/resolv.conf"); err != nil {
			return nil, fmt.Errorf("resolver.servers = [\"system\"]: %w", err)
		}
	}
	for _, s := range servers {
		addr, err := netip.ParseAddrPort(s.Addr)
		s.Trusted = err == nil && addr.Addr().IsLoopback()
		c.Servers = append(c.Servers, s)
	}
	for i := range c.Servers {
		c.Servers[i].Trusted = (c.Servers[i].Trusted || cfg.Resolver.Trusted) && cfg.Resolver.DNSSEC != config.DNSSECOff
	}
	v, err := Validator(cfg, c, learn)
	if err != nil {
		return nil, err
	}
	switch d := cfg.Resolver.DNSSEC; {
	case d == config.DNSSECValidate, d == config.DNSSECAuto && !v.Signed.IsZero():
		c.Validator = v
	}
	return c, nil
}

// Validator is own validation over the servers of c, as cfg sets it up (VAL-1, VAL-3, VAL-13).
func Validator(cfg *config.Config, c *dns.Client, learn Learn) (*validate.Validator, error) {
	v := &validate.Validator{Fetch: c.Fetch, Mode: validate.Auto, Anchors: validate.RootAnchors(), Signed: cfg.Resolver.Selftest.Signed, Limits: proof.Limits{Iterations: cfg.Resolver.Iterations}}
	if cfg.Resolver.DNSSEC == config.DNSSECValidate {
		v.Mode = validate.Always
	}
	if file := cfg.Resolver.Anchors; file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("resolver.trust_anchors: %w", err)
		}
		defer f.Close()
		if v.Anchors, err = validate.ParseAnchors(f); err != nil {
			return nil, fmt.Errorf("resolver.trust_anchors %s: %w", file, err)
		}
	}
	if learn != nil {
		v.Learn = func(ctx context.Context) ([]proof.Anchor, error) { return learn(ctx, v.Anchors) }
	}
	for name, date := range cfg.Resolver.Negative {
		last, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return nil, fmt.Errorf("resolver.negative_trust_anchors: %w", err)
		}
		v.Negative = append(v.Negative, validate.Negative{Name: name, Until: last.AddDate(0, 0, 1)})
	}
	return v, nil
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

// SelfTestNames are the names that cfg wants tested.
func SelfTestNames(cfg *config.Config) dns.SelfTestNames {
	t := cfg.Resolver.Selftest
	return dns.SelfTestNames{Signed: t.Signed, Bogus: t.Bogus, Large: t.Large}
}
