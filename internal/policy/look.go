package policy

import "waxwing/internal/delivery"

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
