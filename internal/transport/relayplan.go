package transport

import (
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/route"
	"waxwing/smtp"
)

// Words of decisions about a relay host.
const (
	// RelayUnverified: RequireTLS, and the transport does not verify its host.
	RelayUnverified delivery.Reason = "transport-unverified"
	// OperatorHost: the operator named the host, so its name needs no DNSSEC.
	OperatorHost delivery.Reason = "operator-host"
)

// enhNoRoute: the mail cannot be routed now (RFC 3463 §3.5).
var enhNoRoute = smtp.Enhanced{Class: 4, Subject: 4, Detail: 4}

// relayInput is what policy is asked about a relay host (TRA-3, pure). The name
// is the operator's word and thus trustworthy, as a Secure MX answer would make
// it (RFC 8689 §4.2.1); the floor is the transport's security, not what the recipient's
// domain published, which is the relay's to look at. TLS-Required: No and our
// reports loosen nothing that the operator set up: they go under FollowPolicy.
func relayInput(t *route.Transport, job *delivery.Job, dest delivery.Destination) policy.Input {
	need := job.Need
	if need == delivery.TLSOptional {
		need = delivery.FollowPolicy
	}
	dest.MXSecure = true
	return policy.Input{
		Need: need, Destination: dest, Minimum: t.Security.Minimum(), NullSender: job.Sender == "", Domain: t.Host.Name,
	}
}

// relayDecision decides about a relay host (pure). Nothing of it is reported to
// anybody (RPT-4), and no failure to reach the relay is the recipient's fault: it
// is never permanent, but for a RequireTLS message that this transport can never
// carry as its sender asked.
func relayDecision(t *route.Transport, in policy.Input) delivery.Decision {
	if in.Need == delivery.RequireTLS && !in.NullSender && !t.Security.Verified() {
		return delivery.Decision{Stop: &delivery.Failure{
			Word: RelayUnverified, Permanent: true, Enhanced: smtp.Enhanced{Class: 5, Subject: 7, Detail: 30},
			Text: fmt.Sprintf("the sender asked for REQUIRETLS, and the transport %s does not verify its host", t.Name),
		}}
	}
	dec := policy.Decide(in)
	for i := range dec.Plans {
		p := &dec.Plans[i]
		p.Reports = nil
		p.Basis = relayBasis(t, p.Basis)
		if t.Kind == route.Submission {
			// RFC 8314 §3: never in plaintext; the transport's check says so too.
			p.TLS, p.PlaintextFallback = delivery.TLSRequired, false
			policy.Offer(p)
		}
	}
	strict := in.Need == delivery.RequireTLS && !in.NullSender
	if f := dec.Stop; f != nil && f.Permanent && !strict {
		dec.Stop = waiting(f, t)
	}
	return dec
}

// relayBasis tells where the host's name comes from.
func relayBasis(t *route.Transport, b delivery.Basis) delivery.Basis {
	out := delivery.Basis{{Word: OperatorHost, Text: t.Host.String() + " of the transport " + t.Name}}
	for _, f := range b {
		switch f.Word {
		case policy.MXSecure, policy.STSNone, policy.Literal:
		default:
			out = append(out, f)
		}
	}
	return out
}

// waiting is f as a fault that the operator can mend while the mail waits.
func waiting(f *delivery.Failure, t *route.Transport) *delivery.Failure {
	g := *f
	g.Permanent = false
	g.Enhanced = enhNoRoute
	g.Text = fmt.Sprintf("the host of the transport %s: %s", t.Name, f.Text)
	return &g
}

// relayDestination makes of what was found for the host a destination that a
// relay can use (pure): one host, of the allowed family, and no failure for good.
func relayDestination(t *route.Transport, d delivery.Destination) delivery.Destination {
	d.HasMX, d.MXSecure = true, true
	var lookups []delivery.Lookup
	for _, l := range d.Lookups {
		if l.Type != "MX" { // never asked, see hostResolver
			lookups = append(lookups, l)
		}
	}
	d.Lookups = lookups
	d = onlyFamily(d, t.Family)
	if d.Fail != nil {
		d.Fail = waiting(d.Fail, t)
	}
	return d
}
