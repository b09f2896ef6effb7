package policy

import (
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// basis lists the facts that decide over a host, in the order in which they are weighed.
func (r *rules) basis(s subject) delivery.Basis {
	b := make(delivery.Basis, 0, usualFacts)
	add := func(w reason.Word, text string) { b = append(b, delivery.Fact{Word: w, Text: text}) }
	if r.in.Trust == TrustOperator {
		b = append(b, r.hostFact(&s.Host))
	}
	switch {
	case r.strict:
		add(reason.RequireTLS, "the sender asked for it")
	case r.in.Need == delivery.RequireTLS:
		add(reason.RequireTLSNull, "a bounce uses it where offered")
	case r.in.Need == delivery.TLSOptional:
		add(reason.TLSOptional, "the sender asked for it")
	case r.lenient:
		add(reason.TLSOptional, "TLS reports ignore what they report")
	}
	b = append(b, r.aside...)
	if r.in.Minimum > delivery.MinAny {
		add(reason.Minimum, r.in.Minimum.String())
	}
	if r.in.NoPlaintext {
		add(reason.NoPlaintext, "")
	}
	switch {
	case r.in.Trust == TrustOperator && r.domain.IsZero():
		return b
	case r.in.Trust == TrustOperator:
	case r.domain.IsZero():
		add(reason.AddressLiteral, "")
		return b
	case r.in.Destination.MXSecure:
		add(reason.MXSecure, r.domain.String())
	default:
		add(reason.MXInsecure, r.domain.String())
	}
	switch s.dane.State {
	case delivery.DANENone:
		add(reason.DANENone, "")
	case delivery.DANEUsable:
		add(reason.DANEUsable, fmt.Sprintf("%d records at %s", len(s.dane.Records), s.dane.Base))
	default:
		add(s.daneReason(), s.daneText())
	}
	return r.stsBasis(b, s)
}

// usualFacts is how many facts a basis mostly has, with its conclusion.
const usualFacts = 6

// stsBasis adds what MTA-STS says.
func (r *rules) stsBasis(b delivery.Basis, s subject) delivery.Basis {
	// A record that cannot be used is told as well: its owner meant something by it (STS-12).
	if f := r.in.Finding.Failure; f != nil && f.Word != reason.STSNoRecord {
		b = append(b, delivery.Fact{Word: f.Word, Text: f.Error()})
	}
	switch {
	case r.in.Trust == TrustOperator:
		return b
	case r.policy == nil && r.in.Finding.Policy != nil:
		return append(b, delivery.Fact{Word: reason.STSModeNone})
	case r.policy == nil && r.failure == nil:
		return append(b, delivery.Fact{Word: reason.STSNone})
	case r.policy == nil:
		return b
	}
	mode := reason.STSTesting
	if r.policy.Mode == mtasts.ModeEnforce {
		mode = reason.STSEnforce
	}
	b = append(b, delivery.Fact{Word: mode, Text: "id " + r.in.Finding.ID})
	if s.matched {
		return append(b, delivery.Fact{Word: reason.STSMXMatch, Text: s.Name.ASCII()})
	}
	return append(b, delivery.Fact{Word: reason.STSMXMismatch, Text: r.mismatch(s)})
}

// conclude adds what follows for a host that is used.
func conclude(p *delivery.Plan) {
	if p.TLS == delivery.TLSRequired {
		p.Basis = append(p.Basis, delivery.Fact{Word: reason.TLSRequired, Text: "verify " + p.Verify()})
	} else {
		p.Basis = append(p.Basis, delivery.Fact{Word: reason.Opportunistic})
	}
	if p.PlaintextFallback {
		p.Basis = append(p.Basis, delivery.Fact{Word: reason.PlaintextFallback})
	}
}
