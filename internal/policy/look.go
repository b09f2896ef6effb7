package policy

import (
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// Look is the plan of a connection that only looks at a host that p is about, and
// sends no mail: it begins TLS as a mail would, makes both verifications whether p
// asks for them or not, and goes on where they fail.
func Look(p delivery.Plan) delivery.Plan {
	look := delivery.Plan{Host: p.Host, Offer: p.Offer, SmallHello: p.SmallHello, SNI: p.SNI, PKIX: delivery.CheckReport, PKIXName: p.Host.Name.Name}
	if look.SNI.IsZero() {
		look.SNI = look.PKIXName
	}
	if d := p.Host.DANE; len(d.Records) > 0 {
		look.DANE, look.TLSA, look.DANENames, look.SNI = delivery.CheckReport, d.Records, d.References, d.Base
	}
	return look
}

// Refused is why no mail would go over a session like s, which was made to look; nil: it
// would.
func Refused(p *delivery.Plan, s *delivery.Session) *delivery.Fact {
	failed := func(v *delivery.Verification) bool { return v != nil && v.Failure != nil }
	switch f := s.TLSFailure; {
	case p.Skip != nil:
		return &delivery.Fact{Word: p.Skip.Word, Text: p.Skip.Text}
	case s.Err != nil:
		return &delivery.Fact{Word: s.Err.Word, Text: s.Err.Text}
	case f != nil && (p.Demanding() || f.Word != reason.StartTLSNotOffered && !p.PlaintextFallback):
		return &delivery.Fact{Word: f.Word, Text: f.Text}
	case p.DANE == delivery.CheckRequire && failed(s.DANE):
		return &delivery.Fact{Word: s.DANE.Failure.Word, Text: s.DANE.Failure.Text}
	case p.PKIX == delivery.CheckRequire && failed(s.PKIX):
		return &delivery.Fact{Word: s.PKIX.Failure.Word, Text: s.PKIX.Failure.Text}
	case p.RequireTLSVerb == delivery.CheckRequire && !s.RequireTLS:
		return &delivery.Fact{Word: reason.RequireTLSNotOffered}
	}
	return nil
}
