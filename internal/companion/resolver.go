package companion

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/policy"
	"waxwing/internal/transport"
	"waxwing/socketmap"
)

// The names of the maps, in any case. Postfix before 3.10 must be given the
// first: it refuses an answer with attributes that it does not know.
const (
	PlainMap  = "QUERY"
	TLSRPTMap = "QUERYwithTLSRPT"
)

// Resolver answers the lookups of smtp_tls_policy_maps. It is safe for
// concurrent use.
type Resolver struct {
	// Finder must use private addresses too and know no host as its own: Postfix
	// delivers, and decides that.
	Finder transport.Finder
	STS    transport.STS
	// Exception is what the operator sets aside for a domain (STS-13); nil: nothing.
	Exception func(d delivery.RecipientDomain) delivery.Exception
	Faults    *Faults          // what Postfix was told, for the Collector; nil: not kept
	Now       func() time.Time // nil: time.Now
	Metrics   *Metrics         // nil: none
	Log       *slog.Logger     // nil: discard
}

// Lookup answers one request; it is socketmap.Server's.
func (r *Resolver) Lookup(ctx context.Context, req socketmap.Request) socketmap.Reply {
	reply := r.lookup(ctx, req)
	r.Metrics.answered(reply)
	level := slog.LevelDebug
	if reply.Status != socketmap.StatusOK && reply.Status != socketmap.StatusNotFound {
		level = slog.LevelWarn
	}
	logger(r.Log).Log(ctx, level, "TLS policy lookup", "map", foreign.Clip(req.Map, 300), "key", foreign.Clip(req.Key, 300), "answer", foreign.Clip(reply.String(), 300))
	return reply
}

func (r *Resolver) lookup(ctx context.Context, req socketmap.Request) socketmap.Reply {
	q := question{tlsrpt: strings.EqualFold(req.Map, TLSRPTMap)}
	if !q.tlsrpt && !strings.EqualFold(req.Map, PlainMap) {
		return socketmap.Perm("there is no map of this name here: in main.cf, end the table's name in " + TLSRPTMap + " (Postfix 3.10 and later) or " + PlainMap)
	}
	var ok bool
	if q.domain, ok = nextHop(req.Key); !ok {
		return socketmap.NotFound()
	}
	in, d := policy.Input{Domain: q.domain}, delivery.RecipientDomain{Name: q.domain}
	if r.Exception != nil {
		in.Exception = r.Exception(d)
	}
	var both guard.Group
	if in.Exception.STS != delivery.STSOff {
		both.Go(func() { in.Finding = r.STS.Find(ctx, d) })
	}
	in.Destination = r.Finder.Find(ctx, d)
	both.Wait()
	if ctx.Err() != nil {
		return socketmap.Temp("the lookups of " + q.domain.ASCII() + " took too long")
	}
	q.Shared = policy.DecideShared(in)
	if len(q.SetAside) > 0 {
		logger(r.Log).Info("delivery exception used", "domain", q.domain.ASCII(), "facts", delivery.Basis(q.SetAside).String())
	}
	if q.tlsrpt {
		r.Faults.note(q.domain, q.Fault, r.now())
	}
	return q.answer()
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// nextHop is the domain whose hosts Postfix would look up for a key: in any
// case, with U-labels or A-labels, with ":25" or without. There is none for the
// parents that Postfix asks for next (".example.org"), for hosts in brackets,
// addresses and other ports: nothing is published for those.
func nextHop(key string) (dns.Name, bool) {
	if key == "" || key[0] == '.' || key[0] == '[' {
		return dns.Name{}, false
	}
	if host, port, ok := strings.Cut(key, ":"); ok {
		if port != "25" && !strings.EqualFold(port, "smtp") {
			return dns.Name{}, false
		}
		key = host
	}
	n, err := name(key)
	return n, err == nil && utf8.ValidString(key) && hostname(n.ASCII())
}

func logger(l *slog.Logger) *slog.Logger {
	if l != nil {
		return l
	}
	return slog.New(slog.DiscardHandler)
}
