package policy

import (
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// operatorInputs is the space of hosts that an operator names: by name or by address,
// found or not, whatever the recipient's domain published.
func operatorInputs() iter.Seq[Input] {
	lists := append(singles(hosts(false)), nil, []delivery.Host{host(dns.Name{}, delivery.DANENone, dns.Insecure)})
	return func(yield func(Input) bool) {
		for in := range inputs(lists, findings(true), []bool{true}) {
			in.Trust, in.Transport = TrustOperator, "isp"
			switch hs := in.Destination.Hosts; {
			case hs == nil:
				in.Destination.Fail = broken(true).Fail
			case hs[0].Name.IsZero():
				in.Domain = dns.Name{}
			default:
				in.Domain = hs[0].Name.Name
			}
			if !yield(in) {
				return
			}
		}
	}
}

// TestOperatorSpace: TRA-3 and RPT-4 over the whole space.
func TestOperatorSpace(t *testing.T) {
	t.Parallel()
	words := known()
	n := 0
	for in := range operatorInputs() {
		if n++; sampled(n) {
			continue
		}
		d := Decide(in)
		o := operatorChecker{checker{t: t, in: in, d: d, words: words}}
		o.decision()
		if in.Minimum < delivery.MinDANE && len(d.Plans) > 0 {
			in.Minimum++
			o.stronger("a higher floor", Decide(in))
			in.Minimum--
		}
		// What the domain published, TLSOptional and the kind of message change nothing.
		plain := in
		plain.Finding, plain.Purpose, plain.Destination.MXSecure = delivery.Finding{}, delivery.Mail, true
		if in.Need == delivery.TLSOptional {
			plain.Need = delivery.FollowPolicy
		}
		if e := Decide(plain); !reflect.DeepEqual(d.Stop, e.Stop) || !samePlans(d.Plans, e.Plans) {
			t.Errorf("as if it mattered to whom the mail goes: %+v", e)
		}
		if t.Failed() {
			t.Fatalf("input %s\ndecision %+v", describe(in), d)
		}
	}
	if n < 50_000 {
		t.Errorf("the space has %d points only", n)
	}
}

// An address that cannot be used leaves nothing to call the host by.
func TestOperatorAddressUnusable(t *testing.T) {
	t.Parallel()
	in := Input{Trust: TrustOperator, Transport: "isp", Destination: delivery.Destination{Hosts: []delivery.Host{{Fail: broken(true).Fail}}}}
	if d := Decide(in); d.Stop == nil || d.Stop.Permanent || d.Plans[0].Basis[0].Text != " of the transport isp" {
		t.Errorf("%+v", d)
	}
}

type operatorChecker struct{ checker }

func (o *operatorChecker) floor() delivery.Minimum {
	if o.in.NoPlaintext {
		return max(o.in.Minimum, delivery.MinTLS)
	}
	return o.in.Minimum
}

func (o *operatorChecker) decision() {
	s, hosts := o.d.Stop, o.in.Destination.Hosts
	o.want(len(o.d.Reports) == 0 && o.d.SetAside == nil && o.d.Ignored == nil, "RPT-4: nothing is reported or set aside")
	switch {
	case o.strict() && o.floor() < delivery.MinVerified:
		o.want(s != nil && s.Word == reason.TransportUnverified && s.Permanent && s.Enhanced == smtp.Enhanced{Class: 5, Subject: 7, Detail: 30} && len(o.d.Plans) == 0,
			"TRA-3: RequireTLS never goes over a transport that verifies nobody")
		return
	case hosts == nil:
		o.want(s != nil && !s.Permanent && s.Enhanced == smtp.Enhanced{Class: 4, Subject: 4, Detail: 4}, "a host that is not found is not the recipient's fault")
		return
	}
	o.want(len(o.d.Plans) == 1 && (o.d.Plans[0].Skip == nil) == (s == nil), "one plan, and a stop if it cannot be used")
	o.want(s == nil || !s.Permanent || o.strict(), "TRA-3: no fault of the operator's loses mail")
	p := &o.d.Plans[0]
	o.want(len(p.Reports) == 0, "RPT-4: the operator's hosts are in nobody's report")
	o.want(p.Basis[0].Word == reason.OperatorHost && p.Basis[0].Text != "", "the basis says whose host it is")
	for _, f := range p.Basis {
		o.want(o.words[f.Word] && !slices.Contains([]reason.Word{reason.MXSecure, reason.MXInsecure, reason.STSNone, reason.STSEnforce, reason.STSTesting, reason.AddressLiteral}, f.Word), "nothing of the domain's in the basis: "+string(f.Word))
	}
	if p.Skip == nil {
		o.used(p)
		return
	}
	state := p.Host.DANE.State
	o.want(p.Host.Fail != nil || state == delivery.DANEFailed || o.floor() == delivery.MinDANE && state != delivery.DANEUsable ||
		o.floor() >= delivery.MinVerified && p.Host.Name.IsZero(), "a host is skipped for nothing else")
	o.want(p.Host.Fail == nil || !p.Skip.Permanent, "a host without address may get one")
}

func (o *operatorChecker) used(p *delivery.Plan) {
	verified := p.PKIX == delivery.CheckRequire || p.DANE == delivery.CheckRequire
	usable := p.Host.DANE.State == delivery.DANEUsable
	required := verified || o.floor() >= delivery.MinTLS || p.Host.DANE.State == delivery.DANEUnusable
	o.want((p.TLS == delivery.TLSRequired) == required, "TLS is required by the floor, and by what is verified")
	o.want(p.PlaintextFallback == !required, "POL-3: plaintext only where nothing is required")
	o.want((p.Offer == delivery.OfferAny) == !required && p.SmallHello, "POL-10")
	o.want((p.DANE == delivery.CheckRequire) == usable && p.DANE != delivery.CheckReport, "the host's DANE counts")
	o.want((p.PKIX == delivery.CheckRequire) == (!usable && o.floor() >= delivery.MinVerified) && p.PKIX != delivery.CheckReport, "without DANE a verified host has a certificate")
	o.want(p.PKIX == delivery.CheckNone || p.PKIXName == p.Host.Name.Name, "for the name that the operator gave")
	o.want(o.floor() < delivery.MinDANE || p.DANE == delivery.CheckRequire, "floor dane")
	want := map[bool]delivery.Check{o.in.Need == delivery.RequireTLS: delivery.CheckReport, o.strict(): delivery.CheckRequire}
	o.want(p.RequireTLSVerb == want[true], "POL-4: REQUIRETLS is passed on")
}

// operatorRows are what can be found of a host that the operator names.
func operatorRows() []published {
	in := Input{Trust: TrustOperator, Transport: "isp", Domain: inside}
	var list []published
	for _, r := range []struct {
		words string
		state delivery.DANEState
	}{{"no TLSA", delivery.DANENone}, {"TLSA usable", delivery.DANEUsable}, {"TLSA unusable", delivery.DANEUnusable}, {"TLSA lookup failed", delivery.DANEFailed}} {
		in.Destination.Hosts = []delivery.Host{host(inside, r.state, dns.Secure)}
		list = append(list, published{dane: r.words, in: in})
	}
	in.Destination.Hosts = []delivery.Host{broken(true)}
	list = append(list, published{dane: "the host has no address", in: in})
	in.Domain, in.Destination.Hosts = dns.Name{}, []delivery.Host{{Addrs: []netip.Addr{netip.MustParseAddr("192.88.99.1")}}}
	return append(list, published{dane: "an address, not a name", in: in})
}

func operatorColumns(need delivery.TLSNeed) []column {
	var list []column
	for _, m := range minimums {
		list = append(list, column{m.String(), func(in *Input) { in.Minimum, in.Need = m, need }})
	}
	return list
}
