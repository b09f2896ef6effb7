package transport

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/route"
)

// Relay gives all mail to one host that the operator named: a smarthost or a
// submission service (TRA-1, TRA-3). It finds the host's addresses and TLSA
// records, lets policy decide with the transport's security as the floor, and
// has a session carry the message. It is safe for concurrent use.
type Relay struct {
	Transport route.Transport
	Finder    Finder  // of the host itself; see HostFinder
	Session   Carrier // knows port, login and TLS from the start
	Now       func() time.Time
	Log       *slog.Logger
}

// HostFinder finds the host of a relay: its own addresses, never its MX, and TLSA
// records at its port. Private addresses are fine: the operator named it.
func HostFinder(r dns.Resolver, t *route.Transport) Finder {
	return &destination.Finder{DNS: hostResolver{r}, AllowPrivate: true, MaxHosts: 1, Port: int(t.PortNumber())}
}

// hostResolver says of every name that it has no MX, so that the name itself is
// the host (RFC 5321 §5.1).
type hostResolver struct{ dns.Resolver }

func (hostResolver) LookupMX(context.Context, dns.Name) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{Security: dns.Insecure}, nil
}

// Plan finds the host and decides, and dials nothing.
func (r *Relay) Plan(ctx context.Context, job *delivery.Job) (delivery.Destination, delivery.Decision) {
	dest := r.Finder.Find(ctx, delivery.RecipientDomain{Name: r.Transport.Host.Name, Literal: r.Transport.Host.Addr})
	dest = relayDestination(&r.Transport, dest)
	return dest, relayDecision(&r.Transport, relayInput(&r.Transport, job, dest))
}

// Deliver makes one attempt.
func (r *Relay) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := delivery.Result{Started: now(r.Now), Transport: "relay", Name: r.Transport.Name}
	res.Destination, res.Decision = r.Plan(ctx, job)
	in := relayInput(&r.Transport, job, res.Destination)
	t := newTour(job, res.Decision)
	if res.Decision.Stop == nil {
		t.visit(ctx, r.Session, c, &res)
	}
	if len(t.pending) > 0 && in.Need == delivery.RequireTLS && !in.NullSender && len(res.Visits) > 0 && ctx.Err() == nil {
		t.verdict(in, &res)
	}
	res.Recipients = t.results()
	res.Ended = now(r.Now)
	return res
}

func ofFamily(addrs []netip.Addr, f route.Family) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if f.Allows(a) {
			out = append(out, a)
		}
	}
	return out
}
