package policy

import (
	"fmt"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// Trust says who vouches for the names of a destination's hosts.
type Trust uint8

// The values of Trust.
const (
	TrustDomain   Trust = iota // the recipient domain: DNSSEC, or an enforced MTA-STS policy (POL-4)
	TrustOperator              // the operator, whose transport names the one host (TRA-3)
)

// operated is what counts of the input for a host of the operator's. Its name is as
// trustworthy as a Secure MX answer would make it (RFC 8689 §4.2.1). What the
// recipient's domain published is the host's to look at. Neither TLS-Required: No nor
// the kind of message loosens what the operator set up, and a host that is not found is
// the operator's to mend while the mail waits.
func operated(in Input) Input {
	in.Finding, in.Exception, in.Purpose = delivery.Finding{}, delivery.Exception{}, delivery.Mail
	if in.Need == delivery.TLSOptional {
		in.Need = delivery.FollowPolicy
	}
	d := &in.Destination
	d.MXSecure = true
	d.Fail = in.mendable(d.Fail)
	d.Hosts = slices.Clone(d.Hosts)
	for i := range d.Hosts {
		d.Hosts[i].Fail = in.mendable(d.Hosts[i].Fail)
	}
	return in
}

// mendable is f as a fault of a transport.
func (in *Input) mendable(f *delivery.Failure) *delivery.Failure {
	if f == nil {
		return nil
	}
	g := *f
	g.Permanent, g.Enhanced = false, codeNoRoute
	g.Text = fmt.Sprintf("the host of the transport %s: %s", in.Transport, f.Text)
	return &g
}

// unverified: no attempt can ever carry a RequireTLS message over a transport that
// verifies nobody.
func (r *rules) unverified() *delivery.Failure {
	if r.in.Trust != TrustOperator || !r.strict || r.floor >= delivery.MinVerified {
		return nil
	}
	return &delivery.Failure{
		Word: reason.TransportUnverified, Permanent: true, Enhanced: codeNoRequireTLS,
		Text: fmt.Sprintf("the sender asked for REQUIRETLS, and the transport %s does not verify its host", r.in.Transport),
	}
}

// hostFact tells where the host's name comes from.
func (r *rules) hostFact(h *delivery.Host) delivery.Fact {
	name := h.Name.ASCII()
	if h.Name.IsZero() && len(h.Addrs) > 0 {
		name = h.Addrs[0].String()
	}
	return delivery.Fact{Word: reason.OperatorHost, Text: name + " of the transport " + r.in.Transport}
}

// codeNoRoute: the mail cannot be routed now (RFC 3463 §3.5).
var codeNoRoute = smtp.Enhanced{Class: 4, Subject: 4, Detail: 4}
