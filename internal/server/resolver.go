package server

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/internal/guard"
	"waxwing/internal/resolver"
)

// resolver makes the resolver of this server, which tests itself.
func (b *builder) resolver() (*dns.Client, error) {
	c, err := resolver.New(b.cfg)
	if err != nil {
		return nil, err
	}
	c.Now, c.Guard, c.Count = b.Now, b.guard, b.metrics.LookedUp
	if v, ok := c.Validator.(*validate.Validator); ok {
		v.Now, v.Guard, v.Changed = b.Now, b.guard, b.validating
		v.Clock = func(text string) { b.Log.Error("the clock of this machine seems to be wrong", "found", text) }
	}
	if names := resolver.SelfTestNames(b.cfg); names != (dns.SelfTestNames{}) {
		b.run("resolver self-test", guard.SelfTest, func(ctx context.Context) error {
			return daily(ctx, func() { b.testResolver(ctx, c, names) })
		})
	}
	return c, nil
}

// validating says which source of trust is at work (VAL-2).
func (b *builder) validating(on bool, why string) {
	b.metrics.SelfTest("own-validation", on)
	if on {
		b.Log.Info("answers are validated by DNSSEC here")
		return
	}
	b.Log.Info("the resolvers are no good for validating DNSSEC here: the AD bit of trusted ones counts", "found", why)
}

// testResolver tests the resolver (DNS-6). It informs; only a server that hands out
// data for a bogus name loses its trust.
func (b *builder) testResolver(ctx context.Context, c *dns.Client, names dns.SelfTestNames) {
	result := c.SelfTest(ctx, names)
	for _, t := range result.Servers {
		if ctx.Err() != nil {
			return
		}
		b.metrics.SelfTest("signed", t.Signed == "")
		b.metrics.SelfTest("bogus", t.Bogus == "")
		b.metrics.SelfTest("large", t.Large == "")
		if result.Source == dns.SourceOwn {
			continue // whether a resolver validates is of no matter then
		}
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
