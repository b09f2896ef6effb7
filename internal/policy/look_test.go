package policy

import (
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
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

// TestRefused: what was seen of a host against each plan that it may have.
func TestRefused(t *testing.T) {
	t.Parallel()
	required := delivery.Plan{TLS: delivery.TLSRequired}
	dane := delivery.Plan{TLS: delivery.TLSRequired, DANE: delivery.CheckRequire}
	pkix := delivery.Plan{TLS: delivery.TLSRequired, PKIX: delivery.CheckRequire}
	both := delivery.Plan{TLS: delivery.TLSRequired, PKIX: delivery.CheckRequire, DANE: delivery.CheckRequire}
	reported := delivery.Plan{PKIX: delivery.CheckReport, DANE: delivery.CheckReport, PlaintextFallback: true}
	strict := delivery.Plan{TLS: delivery.TLSRequired, PKIX: delivery.CheckRequire, RequireTLSVerb: delivery.CheckRequire}
	bounce := delivery.Plan{PlaintextFallback: true, RequireTLSVerb: delivery.CheckReport}
	fails := func(w reason.Word) *delivery.TLSFailure { return &delivery.TLSFailure{Word: w, Text: "because"} }
	bad := func(w reason.Word) *delivery.Verification { return &delivery.Verification{Failure: fails(w)} }
	good, tls := &delivery.Verification{}, &delivery.TLSFacts{}
	for _, c := range []struct {
		name string
		plan delivery.Plan
		s    delivery.Session
		want reason.Word
	}{
		{"all well", both, delivery.Session{TLS: tls, PKIX: good, DANE: good}, ""},
		{"a host that is not used", delivery.Plan{Skip: &delivery.Failure{Word: reason.STSMXMismatch, Text: "because"}}, delivery.Session{TLS: tls}, reason.STSMXMismatch},
		{"nobody there", delivery.Plan{}, delivery.Session{Err: &delivery.Failure{Word: "connect-refused", Text: "because"}}, "connect-refused"},
		{"no TLS, none needed", delivery.Plan{}, delivery.Session{TLSFailure: fails(reason.StartTLSNotOffered)}, ""},
		{"no TLS, and it is", required, delivery.Session{TLSFailure: fails(reason.StartTLSNotOffered)}, reason.StartTLSNotOffered},
		{"TLS breaks, and plaintext follows", delivery.Plan{PlaintextFallback: true}, delivery.Session{TLSFailure: fails(reason.TLSClosed)}, ""},
		{"TLS breaks, and nothing follows", delivery.Plan{}, delivery.Session{TLSFailure: fails(reason.TLSClosed)}, reason.TLSClosed},
		{"TLS breaks where it is required", required, delivery.Session{TLSFailure: fails(reason.TLSClosed)}, reason.TLSClosed},
		{"DANE fails", dane, delivery.Session{TLS: tls, DANE: bad("dane-no-match"), PKIX: bad("cert-expired")}, "dane-no-match"},
		{"PKIX fails", pkix, delivery.Session{TLS: tls, DANE: bad("dane-no-match"), PKIX: bad("cert-expired")}, "cert-expired"},
		{"PKIX fails beside DANE", both, delivery.Session{TLS: tls, DANE: good, PKIX: bad("cert-expired")}, "cert-expired"},
		{"both fail", both, delivery.Session{TLS: tls, DANE: bad("dane-no-match"), PKIX: bad("cert-expired")}, "dane-no-match"},
		{"both fail and are reported", reported, delivery.Session{TLS: tls, DANE: bad("dane-no-match"), PKIX: bad("cert-expired")}, ""},
		{"nothing was seen", both, delivery.Session{TLS: tls}, ""},
		{"no REQUIRETLS", strict, delivery.Session{TLS: tls, PKIX: good}, reason.RequireTLSNotOffered},
		{"REQUIRETLS", strict, delivery.Session{TLS: tls, PKIX: good, RequireTLS: true}, ""},
		{"a bounce without REQUIRETLS", bounce, delivery.Session{TLS: tls}, ""},
	} {
		f := Refused(&c.plan, &c.s)
		got := reason.Word("")
		if f != nil {
			got = f.Word
		}
		if got != c.want || f != nil && f.Text != "because" && got != reason.RequireTLSNotOffered {
			t.Errorf("%s: %+v, want %q", c.name, f, c.want)
		}
	}
}
