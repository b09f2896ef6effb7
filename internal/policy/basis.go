package policy

import (
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/mtasts"
)

// basis lists the facts that decide over a host, in the order in which they are weighed.
func (r *rules) basis(s subject) delivery.Basis {
	var b delivery.Basis
	add := func(w delivery.Reason, format string, args ...any) {
		b = append(b, delivery.Fact{Word: w, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case r.strict:
		add(RequireTLS, "the sender asked for it")
	case r.in.Need == delivery.RequireTLS:
		add(RequireTLSNull, "a bounce uses it where offered")
	case r.in.Need == delivery.TLSOptional:
		add(TLSOptional, "the sender asked for it")
	case r.lenient:
		add(TLSOptional, "TLS reports ignore what they report")
	}
	if r.in.Minimum > delivery.MinAny {
		add(Minimum, "%s", r.in.Minimum)
	}
	if r.in.NoPlaintext {
		add(NoPlaintext, "")
	}
	if r.domain.IsZero() {
		add(Literal, "")
		return b
	}
	if r.in.Destination.MXSecure {
		add(MXSecure, "%s", r.domain)
	} else {
		add(MXInsecure, "%s", r.domain)
	}
	switch s.dane.State {
	case delivery.DANENone:
		add(DANENone, "")
	case delivery.DANEUsable:
		add(DANEUsable, "%d records at %s", len(s.dane.Records), s.dane.Base)
	default:
		add(s.daneReason(), "%s", s.daneText())
	}
	return append(b, r.stsBasis(s)...)
}

func (r *rules) stsBasis(s subject) delivery.Basis {
	var b delivery.Basis
	if r.failure != nil {
		b = append(b, delivery.Fact{Word: delivery.Reason(r.failure.Word), Text: r.failure.Error()})
	}
	switch {
	case r.policy == nil && r.in.Finding.Policy != nil:
		return append(b, delivery.Fact{Word: STSModeNone})
	case r.policy == nil && r.failure == nil:
		return append(b, delivery.Fact{Word: STSNone})
	case r.policy == nil:
		return b
	}
	mode := STSTesting
	if r.policy.Mode == mtasts.ModeEnforce {
		mode = STSEnforce
	}
	b = append(b, delivery.Fact{Word: mode, Text: "id " + r.in.Finding.ID})
	if s.matched {
		return append(b, delivery.Fact{Word: STSMXMatch, Text: s.Name.ASCII()})
	}
	return append(b, delivery.Fact{Word: STSMXMismatch, Text: r.mismatch(s)})
}

// conclusion says what follows for a host that is used.
func conclusion(p delivery.Plan) delivery.Basis {
	b := delivery.Basis{{Word: Opportunistic}}
	if p.TLS == delivery.TLSRequired {
		b[0] = delivery.Fact{Word: TLSRequired, Text: "verify " + p.Verify()}
	}
	if p.PlaintextFallback {
		b = append(b, delivery.Fact{Word: PlaintextFallback})
	}
	return b
}
