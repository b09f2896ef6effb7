package resolver

import (
	"context"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/internal/guard"
)

// Watch says whose word on DNSSEC counts with a running server, and tests its resolvers (DNS-6,
// VAL-2). All fields must be set.
type Watch struct {
	DNS      *dns.Client
	Names    dns.SelfTestNames
	SelfTest func(test string, ok bool) // counts a test
	Source   func(dns.Source)           // notes whose word counts
	Log      *slog.Logger
}

// Watched gives the client's validator what it needs to say of itself. It returns nil where there is none.
func (w *Watch) Watched(now func() time.Time, g *guard.Guard) *validate.Validator {
	v, ok := w.DNS.Validator.(*validate.Validator)
	if !ok {
		return nil
	}
	v.Now, v.Guard, v.Changed = now, g, w.changed
	v.Clock = func(text string) { w.Log.Error("the clock of this machine seems to be wrong", "found", text) }
	return v
}

// changed says which source of trust is at work.
func (w *Watch) changed(on bool, why string) {
	w.SelfTest("own-validation", on)
	source := dns.SourceOwn
	if !on {
		source = w.DNS.Trust()
	}
	w.Source(source)
	switch source {
	case dns.SourceOwn:
		w.Log.Info("answers are validated by DNSSEC here")
	case dns.SourceResolver:
		w.Log.Info("the resolvers are no good for validating DNSSEC here: the AD bit of trusted ones counts", "found", why)
	default:
		w.Log.Warn("DANE is off: the resolvers are no good for validating DNSSEC here, and none is trusted", "found", why)
	}
}

// Test tests the resolvers. It informs; only a server that hands out data for a bogus name
// loses its trust.
func (w *Watch) Test(ctx context.Context) {
	result := w.DNS.SelfTest(ctx, w.Names)
	w.Source(result.Source)
	for _, t := range result.Servers {
		if ctx.Err() != nil {
			return
		}
		w.SelfTest("signed", t.Signed == "")
		w.SelfTest("bogus", t.Bogus == "")
		w.SelfTest("large", t.Large == "")
		if result.Source == dns.SourceOwn {
			continue // whether a resolver validates is of no matter then
		}
		if t.OK() {
			w.Log.Info("the resolver validates DNSSEC", "server", t.Server.Addr)
		} else {
			w.Log.Warn("DANE cannot be relied on with this resolver", "server", t.Server.Addr, "found", t.String())
		}
	}
}
