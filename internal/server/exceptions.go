package server

import (
	"context"
	"time"

	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
)

// exceptions warns once a day of delivery exceptions that end, before their domains' mail
// begins to wait again.
func (b *builder) exceptions(alerts *alert.Service) {
	b.run("delivery exceptions", guard.SelfTest, func(ctx context.Context) error {
		return daily(ctx, func() { b.tellExceptions(ctx, alerts) })
	})
}

func (b *builder) tellExceptions(ctx context.Context, alerts *alert.Service) {
	soon, over := config.EndingExceptions(b.live.Load().Delivery.Exceptions, b.Now())
	for _, e := range soon {
		b.Log.Warn("delivery exception ends soon: after it, the domain's mail waits where the cause is not mended", "domain", e.Domain.ASCII(), "until", e.Until, "text", e.Reason)
		if err := alerts.Tell(ctx, alert.ExceptionEnds(e)); err != nil && ctx.Err() == nil {
			b.Log.Error("the postmaster was not told of a delivery exception that ends, will try again tomorrow", "domain", e.Domain.ASCII(), "error", err)
		}
	}
	for _, e := range over {
		b.Log.Warn("delivery exception has ended: take it out of the configuration", "domain", e.Domain.ASCII(), "until", e.Until)
	}
}

func exceptionFor(all []config.Exception, d delivery.RecipientDomain, now time.Time) delivery.Exception {
	for _, e := range all {
		if d.IsLiteral() || e.Domain != d.Name || !now.Before(e.End()) {
			continue
		}
		return delivery.Exception{
			STS:     map[string]delivery.STSException{"off": delivery.STSOff, "tolerate": delivery.STSTolerated}[e.MTASTS],
			DANEOff: e.DANE == "off", Reason: e.Reason, Until: e.End().Add(-time.Second),
		}
	}
	return delivery.Exception{}
}
