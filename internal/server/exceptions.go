package server

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
)

// exception is what the operator sets aside for a domain now (STS-13).
func (s *Server) exception(d delivery.RecipientDomain) delivery.Exception {
	return exceptionFor(s.live.Load().Delivery.Exceptions, d, s.o.Now())
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

// exceptionNotice is how long before its end an exception is told of.
const exceptionNotice = 7 * 24 * time.Hour

// endingExceptions are those that end soon, or have ended and can go.
func endingExceptions(all []config.Exception, now time.Time) (soon, over []config.Exception) {
	for _, e := range all {
		switch left := e.End().Sub(now); {
		case left <= 0:
			over = append(over, e)
		case left <= exceptionNotice:
			soon = append(soon, e)
		}
	}
	return soon, over
}

// ending is what the operator is told, once, a week before an exception ends.
func ending(e config.Exception) alert.Notice {
	return alert.Notice{
		What: "exception " + e.Domain.ASCII() + " " + e.Until, Event: "delivery.exception-ends",
		Subject: "The delivery exception for " + e.Domain.ASCII() + " ends on " + e.Until,
		Text: fmt.Sprintf("[[delivery.exceptions]] sets transport security aside for %s until %s (UTC).\n\nReason: %s\n\n"+
			"After that day mail to the domain waits again where the cause is not mended.\nSee: waxwing explain postmaster@%s\n",
			e.Domain.ASCII(), e.Until, e.Reason, e.Domain.ASCII()),
	}
}

// tellExceptions warns once a day of exceptions that end, before their domains'
// mail begins to wait again.
func (s *Server) tellExceptions(ctx context.Context) error {
	for {
		soon, over := endingExceptions(s.live.Load().Delivery.Exceptions, s.o.Now())
		for _, e := range soon {
			s.log.Warn("delivery exception ends soon: after it, the domain's mail waits where the cause is not mended", "domain", e.Domain.ASCII(), "until", e.Until, "reason", e.Reason)
			if err := s.Alerts.Tell(ctx, ending(e)); err != nil && ctx.Err() == nil {
				s.log.Error("the postmaster was not told of a delivery exception that ends, will try again tomorrow", "domain", e.Domain.ASCII(), "error", err)
			}
		}
		for _, e := range over {
			s.log.Warn("delivery exception has ended: take it out of the configuration", "domain", e.Domain.ASCII(), "until", e.Until)
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
