package server

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/internal/anchors"
	"waxwing/internal/guard"
	"waxwing/internal/health"
	"waxwing/internal/resolver"
	"waxwing/internal/store"
)

// resolver makes the resolver of this server, which tests itself. Its trust anchors follow
// the roll-overs of their zones (VAL-3).
func (b *builder) resolver(db *store.Store) (*dns.Client, error) {
	c, err := b.lookups(anchors.Stored(db))
	if err != nil {
		return nil, err
	}
	w := &resolver.Watch{DNS: c, Names: resolver.SelfTestNames(b.cfg), SelfTest: b.metrics.SelfTest, Source: b.metrics.DNSSECSource, Log: b.Log}
	if v := w.Watched(b.Now, b.guard); v != nil {
		room := &anchors.Room{DB: db, Base: v.Anchors, Fetch: c.Fetch, Set: v.SetAnchors, Now: b.Now, Log: b.Log}
		b.everyHour("the trust anchors of DNSSEC were not looked at", room.Look)
	}
	if w.Names != (dns.SelfTestNames{}) {
		b.run("resolver self-test", guard.SelfTest, func(ctx context.Context) error {
			return daily(ctx, func() { w.Test(ctx) })
		})
	}
	return c, nil
}

// lookups makes a resolver that others watch.
func (b *builder) lookups(learn resolver.Learn) (*dns.Client, error) {
	c, err := resolver.New(b.cfg, learn)
	if err != nil {
		return nil, err
	}
	c.Now, c.Guard, c.Count = b.Now, b.guard, b.metrics.LookedUp
	if v, ok := c.Validator.(*validate.Validator); ok {
		v.Now, v.Guard = b.Now, b.guard
	}
	return c, nil
}

// dnssec is whose word on DNSSEC counts now.
func (r *Rooms) dnssec(ctx context.Context) health.DNSSEC {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	source, why := r.DNS.Source(ctx)
	return health.DNSSEC{Source: string(source), Why: why}
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
