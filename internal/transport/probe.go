package transport

import (
	"context"
	"net/netip"

	"waxwing/internal/delivery"
	"waxwing/internal/session"
)

// Prober looks at a host; *session.Client is one.
type Prober interface {
	Probe(ctx context.Context, plan delivery.Plan, addr netip.Addr) session.Probe
}

// Probe looks at the relay's host, address by address: it connects, begins TLS and
// verifies, and neither logs in nor sends. The decision says what is asked of it.
func (r *Relay) Probe(ctx context.Context) (delivery.Decision, []session.Probe) {
	job := &delivery.Job{Envelope: delivery.Envelope{Sender: "postmaster"}}
	_, dec := r.Plan(ctx, job)
	p, ok := r.Session.(Prober)
	if !ok || dec.Stop != nil {
		return dec, nil
	}
	var out []session.Probe
	for _, plan := range dec.Plans {
		if plan.Skip != nil {
			continue
		}
		plan.ImplicitTLS = r.Transport.ImplicitTLS()
		for _, a := range plan.Host.Addrs {
			out = append(out, p.Probe(ctx, plan, a))
		}
	}
	return dec, out
}

// Fault says why a mail would not go over a session as p found it under plan; ""
// if it would, as far as can be told without logging in.
func Fault(plan *delivery.Plan, p *session.Probe) string {
	failed := func(v *delivery.Verdict) bool { return v != nil && v.Failure != nil }
	switch {
	case p.Err != nil:
		return p.Err.Text
	case p.TLSFailure != nil && plan.TLS == delivery.TLSRequired:
		return p.TLSFailure.Text
	case plan.DANE == delivery.CheckRequire && failed(p.DANE):
		return p.DANE.Failure.Text
	case plan.PKIX == delivery.CheckRequire && failed(p.PKIX):
		return p.PKIX.Failure.Text
	}
	return ""
}
