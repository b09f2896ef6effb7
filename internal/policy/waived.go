package policy

import (
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// waived is what a plan without TLSOptional would require of a session with the host.
// Where it would not use the host at all, nothing is: Decision.Ignored has that.
func (r *rules) waived(s subject) delivery.Demands {
	strict := *r
	strict.lenient, strict.ignored = false, nil
	var p delivery.Plan
	if strict.skip(s) == nil {
		strict.fill(&p, s)
	}
	return delivery.Demands{TLS: p.TLS == delivery.TLSRequired, PKIX: p.PKIX == delivery.CheckRequire, DANE: p.DANE == delivery.CheckRequire}
}

// Waived says for what a session under TLSOptional would have been given up by a plan
// without it: each cause once (POL-5, SES-15). A connection that was kept from an
// earlier message counts with that one.
func Waived(p *delivery.Plan, s *delivery.Session) []reason.Word {
	if !p.Waived.TLS || s.Reused || s.Again || s.Plaintext {
		return nil
	}
	var causes []reason.Word
	add := func(f *delivery.TLSFailure) {
		if f != nil && !slices.Contains(causes, f.Word) {
			causes = append(causes, f.Word)
		}
	}
	add(s.TLSFailure)
	if s.TLS != nil {
		add(s.TLS.Weak)
	}
	if p.Waived.DANE && s.DANE != nil {
		add(s.DANE.Failure)
	}
	if p.Waived.PKIX && s.PKIX != nil {
		add(s.PKIX.Failure)
	}
	return causes
}
