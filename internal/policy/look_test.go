package policy

import (
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// TestLook: who looks at a host sees all and is stopped by nothing, whatever the plan.
func TestLook(t *testing.T) {
	t.Parallel()
	for in := range inputs(singles(hosts(false)), findings(true), []bool{true}) {
		p := Decide(in).Plans
		if len(p) == 0 {
			continue
		}
		l, h := Look(p[0]), p[0].Host
		records := len(h.DANE.Records) > 0
		switch {
		case l.TLS != delivery.TLSOpportunistic || l.Verify() != "none" || l.RequireTLSVerb != delivery.CheckNone || l.Skip != nil || l.PlaintextFallback:
			t.Errorf("something stops it: %+v", l)
		case l.Offer != p[0].Offer || l.SmallHello != p[0].SmallHello:
			t.Errorf("it says another hello than a mail: %+v", l)
		case l.PKIX != delivery.CheckReport || l.PKIXName != h.Name.Name:
			t.Errorf("the certificate's name: %+v", l)
		case records != (l.DANE == delivery.CheckReport) || records != (len(l.TLSA) > 0) || records != (len(l.DANENames) > 0):
			t.Errorf("the TLSA records: %+v", l)
		case records && l.SNI != h.DANE.Base, !records && p[0].SNI.IsZero() && l.SNI != h.Name.Name, !p[0].SNI.IsZero() && l.SNI != p[0].SNI:
			t.Errorf("SNI: %+v", l)
		case l.Reports != nil || l.Basis != nil:
			t.Errorf("nothing is counted: %+v", l)
		}
		if t.Failed() {
			t.Fatalf("%s", describe(in))
		}
	}
	// The TLSA base may be another name than the host's.
	h := host(inside, delivery.DANEUsable, dns.Secure)
	h.DANE.Base = outside
	if l := Look(delivery.Plan{Host: h}); l.SNI != outside || l.PKIXName != inside {
		t.Errorf("%+v", l)
	}
}
