package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/smtp"
)

// relayCase is one point of the space that a relay's decision depends on.
type relayCase struct {
	kind     route.Kind
	security route.Security
	address  bool // the operator gave an address, not a name
	need     delivery.TLSNeed
	null     bool
	purpose  delivery.Purpose
	dane     delivery.DANEState
	found    bool // the host has an address
}

func (c relayCase) String() string {
	return fmt.Sprintf("%+v", struct{ relayCase }{c}.relayCase.words())
}

func (c relayCase) words() []any {
	return []any{c.kind, c.security, c.address, c.need, c.null, c.purpose, c.dane, c.found}
}

func (c relayCase) transport() *route.Transport {
	t := &route.Transport{Name: "isp", Kind: c.kind, Security: c.security, Host: route.Host{Name: dns.MustParse("smtp.isp.test")}}
	if c.address {
		t.Host = route.Host{Addr: netip.MustParseAddr("192.0.2.25")}
	}
	return t
}

func (c relayCase) destination() delivery.Destination {
	if !c.found {
		return delivery.Destination{Fail: &delivery.Failure{Word: "no-such-host", Permanent: true, Enhanced: smtp.Enhanced{Class: 5, Subject: 4, Detail: 4}, Text: "no such host"}}
	}
	h := delivery.Host{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}, AddrSecurity: dns.Secure}
	if !c.address {
		base := dns.MustParse("smtp.isp.test")
		h.Name = delivery.MXHost{Name: base}
		h.DANE.State = c.dane
		if c.dane != delivery.DANENone {
			h.DANE.Base = base
		}
		switch c.dane {
		case delivery.DANEUsable:
			h.DANE.Records, h.DANE.References = []dane.Record{{Usage: 3}}, []dns.Name{base}
		case delivery.DANEUnusable, delivery.DANEFailed:
			h.DANE.Fail = &delivery.Failure{Word: "dns-servfail", Text: "x"}
		}
	}
	return delivery.Destination{Hosts: []delivery.Host{h}}
}

func eachRelayCase(fn func(relayCase)) {
	for _, kind := range []route.Kind{route.Smarthost, route.Submission} {
		for _, sec := range []route.Security{"", route.SecurityVerified, route.SecurityDANE, route.SecurityTLS, route.SecurityAny} {
			for _, address := range []bool{false, true} {
				for need := delivery.FollowPolicy; need <= delivery.TLSOptional; need++ {
					for _, null := range []bool{false, true} {
						for purpose := delivery.Mail; purpose <= delivery.DMARCReport; purpose++ {
							for state := delivery.DANENone; state <= delivery.DANEFailed; state++ {
								for _, found := range []bool{true, false} {
									fn(relayCase{kind, sec, address, need, null, purpose, state, found})
								}
							}
						}
					}
				}
			}
		}
	}
}

func (c relayCase) decide() delivery.Decision {
	t := c.transport()
	job := &delivery.Job{}
	job.Need, job.Purpose, job.Sender = c.need, c.purpose, "a@a.test"
	if c.null {
		job.Sender = ""
	}
	return policy.Decide(relayInput(t, job, c.destination()))
}

// TRA-3, RPT-4 over the whole space (7,680 points).
func TestRelayDecisions(t *testing.T) {
	t.Parallel()
	n := 0
	eachRelayCase(func(c relayCase) {
		n++
		dec := c.decide()
		strict := c.need == delivery.RequireTLS && !c.null
		verified := c.security.Verified()
		for i := range dec.Plans {
			checkRelayPlan(t, c, &dec.Plans[i])
		}
		f := dec.Stop
		switch {
		case strict && !verified:
			if f == nil || !f.Permanent || f.Enhanced != (smtp.Enhanced{Class: 5, Subject: 7, Detail: 30}) || len(dec.Plans) > 0 {
				t.Fatalf("%v: RequireTLS over an unverified transport: %+v", c, dec)
			}
		case f != nil && f.Permanent && !strict:
			t.Fatalf("%v: the mail is lost for a fault of ours: %+v", c, f)
		case f != nil && f.Permanent && !c.found:
			t.Fatalf("%v: a host that is not found fails mail for good: %+v", c, f)
		case f == nil && (len(dec.Plans) != 1 || dec.Plans[0].Skip != nil):
			t.Fatalf("%v: %+v", c, dec)
		case c.found && !c.address && f != nil && c.security != route.SecurityDANE && c.dane != delivery.DANEFailed:
			t.Fatalf("%v: the host is not used: %+v", c, f)
		}
		// TLSOptional, and what kind of message it is, change nothing at all.
		d := c
		d.purpose = delivery.Mail
		if d.need == delivery.TLSOptional {
			d.need = delivery.FollowPolicy
		}
		if want := d.decide(); !sameDecision(dec, want) {
			t.Fatalf("%v: %+v\nas %v: %+v", c, dec, d, want)
		}
	})
	if n != 2*5*2*3*2*4*4*2 {
		t.Errorf("%d points", n)
	}
}

func checkRelayPlan(t *testing.T, c relayCase, p *delivery.Plan) {
	t.Helper()
	if len(p.Reports) > 0 || p.Basis[0].Word != reason.OperatorHost || slices.ContainsFunc(p.Basis, func(f delivery.Fact) bool { return f.Word == reason.MXSecure }) {
		t.Fatalf("%v: %+v", c, p)
	}
	if p.Skip != nil {
		return
	}
	strict := c.need == delivery.RequireTLS && !c.null
	authenticated := p.PKIX == delivery.CheckRequire || p.DANE == delivery.CheckRequire
	switch {
	case c.security.Verified() && !authenticated:
		t.Fatalf("%v: nothing is verified: %+v", c, p)
	case authenticated && (p.TLS != delivery.TLSRequired || p.PlaintextFallback):
		t.Fatalf("%v: verified, and yet without TLS: %+v", c, p)
	case c.security != route.SecurityAny && (p.TLS != delivery.TLSRequired || p.PlaintextFallback):
		t.Fatalf("%v: TLS is not required: %+v", c, p)
	case c.kind == route.Submission && (p.TLS != delivery.TLSRequired || p.PlaintextFallback):
		t.Fatalf("%v: submission without TLS: %+v", c, p)
	case (p.Offer == delivery.OfferAny) != (p.TLS == delivery.TLSOpportunistic) || !p.SmallHello: // POL-10
		t.Fatalf("%v: offers %s TLS: %+v", c, p.Offer, p)
	case c.security == route.SecurityDANE && p.DANE != delivery.CheckRequire:
		t.Fatalf("%v: no DANE: %+v", c, p)
	case c.dane == delivery.DANEUsable && !c.address && (p.DANE != delivery.CheckRequire || p.PKIX == delivery.CheckRequire):
		t.Fatalf("%v: the host's DANE is not what counts: %+v", c, p)
	case p.PKIX == delivery.CheckRequire && p.PKIXName.ASCII() != "smtp.isp.test":
		t.Fatalf("%v: for whom is the certificate? %+v", c, p)
	case strict != (p.RequireTLSVerb == delivery.CheckRequire):
		t.Fatalf("%v: REQUIRETLS %v", c, p.RequireTLSVerb)
	}
}

func sameDecision(a, b delivery.Decision) bool {
	if (a.Stop == nil) != (b.Stop == nil) || len(a.Plans) != len(b.Plans) || a.Stop != nil && *a.Stop != *b.Stop {
		return false
	}
	for i := range a.Plans {
		p, q := a.Plans[i], b.Plans[i]
		if (p.Skip == nil) != (q.Skip == nil) || p.TLS != q.TLS || p.PKIX != q.PKIX || p.DANE != q.DANE || p.PlaintextFallback != q.PlaintextFallback ||
			p.SNI != q.SNI || p.RequireTLSVerb != q.RequireTLSVerb || p.Basis.String() != q.Basis.String() {
			return false
		}
	}
	return true
}

func TestOnlyFamily(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	d := delivery.Destination{Domain: delivery.RecipientDomain{Name: dns.MustParse("b.test")}, Hosts: []delivery.Host{{Addrs: []netip.Addr{v6}}, {Addrs: []netip.Addr{v6, v4}}}}
	got := onlyFamily(d, route.OnlyIPv4)
	if got.Fail != nil || got.Hosts[0].Fail == nil || !slices.Equal(got.Hosts[1].Addrs, []netip.Addr{v4}) || len(d.Hosts[1].Addrs) != 2 || d.Hosts[0].Fail != nil {
		t.Errorf("%+v, and before %+v", got, d)
	}
	d.Hosts = d.Hosts[:1]
	if got := onlyFamily(d, route.OnlyIPv4); got.Fail == nil || got.Fail.Permanent || len(got.Hosts) != 0 {
		t.Errorf("%+v", got)
	}
	if got := onlyFamily(d, route.OnlyIPv6); got.Fail != nil || len(got.Hosts) != 1 {
		t.Errorf("%+v", got)
	}
	if got := onlyFamily(d, route.BothFamilies); len(got.Hosts) != 1 {
		t.Errorf("%+v", got)
	}
}
