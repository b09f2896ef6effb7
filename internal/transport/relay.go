package transport

import (
	"context"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/policy"
	"waxwing/internal/route"
)

// Relay gives all mail to one host that the operator named: a smarthost or a
// submission service (TRA-1, TRA-3). It finds the host's addresses and TLSA
// records, lets policy decide with the transport's security as the floor, and
// has a session carry the message. It is safe for concurrent use.
type Relay struct {
	Transport route.Transport
	Finder    *destination.Finder // see HostFinder
	Session   Carrier             // knows port, login and TLS from the start
	Now       func() time.Time
}

// HostFinder finds the host of a relay, with TLSA records at its port. Private
// addresses are fine: the operator named it.
func HostFinder(r dns.Resolver, t *route.Transport) *destination.Finder {
	return &destination.Finder{DNS: r, AllowPrivate: true, Port: int(t.PortNumber())}
}

// find finds the host, and makes of it what policy is asked.
func (r *Relay) find(ctx context.Context, job *delivery.Job) policy.Input {
	host := delivery.RecipientDomain{Name: r.Transport.Host.Name, Literal: r.Transport.Host.Addr}
	if r.Transport.Host.Socket != "" {
		host.Literal = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // this machine; its dialer knows the socket
	}
	return relayInput(&r.Transport, job, r.Finder.FindHost(ctx, host))
}

// relayInput is what policy is asked about a relay's host (pure). The floor is the
// transport's security, not what the recipient's domain published.
func relayInput(t *route.Transport, job *delivery.Job, dest delivery.Destination) policy.Input {
	need := job.Need
	if t.Host.Socket != "" {
		need = delivery.FollowPolicy // no hop: RFC 8689 is about what is between two hosts
	}
	return policy.Input{
		Trust: policy.TrustOperator, Transport: t.Name, Domain: t.Host.Name, Minimum: t.Floor(),
		Need: need, Purpose: job.Purpose, NullSender: job.Sender == "", Destination: onlyFamily(dest, t.Family),
	}
}

// Deliver makes one attempt.
func (r *Relay) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	a := attempt{job: job, session: r.Session, now: func() time.Time { return now(r.Now) }}
	a.res = delivery.Result{Started: a.now(), Transport: delivery.ByRelay, Name: r.Transport.Name}
	a.in = r.find(ctx, job)
	a.res.Destination = a.in.Destination
	a.decide()
	return a.run(ctx, c)
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
