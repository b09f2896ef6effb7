package policy

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// TestSpace holds every decision for one host against the invariants of POL-8.
func TestSpace(t *testing.T) {
	t.Parallel()
	words := known()
	n := 0
	for in := range inputs(singles(hosts(true)), findings(false), booleans) {
		if n++; sampled(n) {
			continue
		}
		d := Decide(in)
		c := checker{t: t, in: in, d: d, words: words}
		c.decision()
		if t.Failed() {
			t.Fatalf("input %s\ndecision %+v", describe(in), d)
		}
		if in.Minimum < delivery.MinDANE {
			in.Minimum++
			c.stronger("a higher minimum", Decide(in))
			in.Minimum--
		}
		if !in.NoPlaintext {
			in.NoPlaintext = true
			c.stronger("forbidding plaintext", Decide(in))
			in.NoPlaintext = false
		}
		if in.Need == delivery.TLSOptional {
			in.Need = delivery.FollowPolicy
			follow := Decide(in)
			c.stronger("FollowPolicy", follow)
			in.Need = delivery.RequireTLS
			c.d = follow
			c.stronger("RequireTLS", Decide(in))
		}
		if t.Failed() {
			t.Fatalf("input %s\ndecision %+v", describe(in), d)
		}
	}
	if n < 500_000 {
		t.Errorf("the space has %d points only", n)
	}
}

// sampled leaves out most of the space in short runs; the stride shares no
// factor with the size of any dimension.
func sampled(n int) bool { return testing.Short() && n%23 != 0 }

// TestPairs: each host is decided about by itself, and their order does not matter (POL-8).
func TestPairs(t *testing.T) {
	t.Parallel()
	words := known()
	n := 0
	for in := range inputs(pairs(hosts(false)), findings(true), []bool{true}) {
		if n++; sampled(n) {
			continue
		}
		d := Decide(in)
		c := checker{t: t, in: in, d: d, words: words}
		c.decision()
		swapped := in
		swapped.Destination.Hosts = []delivery.Host{in.Destination.Hosts[1], in.Destination.Hosts[0]}
		e := Decide(swapped)
		if !reflect.DeepEqual(d.Stop, e.Stop) || !reflect.DeepEqual(d.Ignored, e.Ignored) {
			t.Errorf("the order of equal hosts changes the decision: %+v, %+v", d.Stop, e.Stop)
		}
		slices.Reverse(e.Plans)
		if !samePlans(d.Plans, e.Plans) {
			t.Error("the order of equal hosts changes their plans")
		}
		if t.Failed() {
			t.Fatalf("input %s\ndecision %+v", describe(in), d)
		}
	}
}

// samePlans compares what differs between kinds of host; DeepEqual of whole
// plans would take minutes over the whole space.
func samePlans(a, b []delivery.Plan) bool {
	return slices.EqualFunc(a, b, func(p, q delivery.Plan) bool {
		same := p.Host.Name == q.Host.Name && p.TLS == q.TLS && p.PKIX == q.PKIX && p.DANE == q.DANE && p.SNI == q.SNI &&
			p.PlaintextFallback == q.PlaintextFallback && p.Offer == q.Offer && p.SmallHello == q.SmallHello && p.RequireTLSVerb == q.RequireTLSVerb && len(p.Reports) == len(q.Reports)
		if !same || (p.Skip == nil) != (q.Skip == nil) {
			return false
		}
		return (p.Skip == nil || *p.Skip == *q.Skip) && slices.Equal(p.Basis, q.Basis)
	})
}

// TestLiteral: an address literal publishes nothing and is reported nowhere (RPT-4).
func TestLiteral(t *testing.T) {
	t.Parallel()
	words := known()
	for in := range senders() {
		in.Domain = dns.Name{}
		lit, err := delivery.ParseRecipientDomain("[192.88.99.1]")
		if err != nil {
			t.Fatal(err)
		}
		h := host(dns.Name{}, delivery.DANENone, dns.Insecure)
		in.Destination = delivery.Destination{Domain: lit, Hosts: []delivery.Host{h}}
		for _, in.Minimum = range minimums {
			d := Decide(in)
			c := checker{t: t, in: in, d: d, words: words}
			c.decision()
			p := d.Plans[0]
			strict := in.Need == delivery.RequireTLS && !in.NullSender
			if skipped := p.Skip != nil; skipped != (strict || in.Minimum >= delivery.MinVerified) {
				t.Errorf("%s: skipped: %v", describe(in), skipped)
			}
			if len(p.Reports) > 0 || !p.PKIXName.IsZero() || p.Verify() != "none" {
				t.Errorf("%s: %+v", describe(in), p)
			}
		}
	}
}

func known() map[reason.Word]bool {
	words := map[reason.Word]bool{}
	for _, w := range reason.All() {
		words[w.Word] = true
	}
	return words
}

func describe(in Input) string {
	s := fmt.Sprintf("need=%s purpose=%s minimum=%s null=%v noplain=%v mxsecure=%v fresh=%v defer=%v", in.Need, in.Purpose, in.Minimum,
		in.NullSender, in.NoPlaintext, in.Destination.MXSecure, in.Finding.Fresh, in.Finding.Defer)
	if in.Finding.Policy != nil {
		s += " sts=" + string(in.Finding.Policy.Mode)
	}
	if in.Finding.Failure != nil {
		s += " failure=" + string(in.Finding.Failure.Word)
	}
	for _, h := range in.Destination.Hosts {
		s += fmt.Sprintf(" [%s dane=%s addr=%s fail=%v]", h.Name, h.DANE.State, h.AddrSecurity, h.Fail)
	}
	return s
}

// checker holds one decision against the rules, told anew and apart from the
// code that decides.
type checker struct {
	t     *testing.T
	in    Input
	d     delivery.Decision
	words map[reason.Word]bool
}

func (c *checker) want(ok bool, rule string) {
	if !ok {
		c.t.Helper()
		c.t.Errorf("broken: %s", rule)
	}
}

func (c *checker) lenient() bool {
	return c.in.Need == delivery.TLSOptional || c.in.Need == delivery.FollowPolicy && c.in.Purpose == delivery.TLSReport
}
func (c *checker) strict() bool { return c.in.Need == delivery.RequireTLS && !c.in.NullSender }

func (c *checker) mode() mtasts.Mode {
	if c.in.Finding.Policy == nil {
		return mtasts.ModeNone
	}
	return c.in.Finding.Policy.Mode
}

// kind: what a failure says of the mail is what the table of reasons says of its word,
// wherever the mail does not demand more than the domain publishes.
func (c *checker) kind(f *delivery.Failure) {
	if e, _ := reason.Of(f.Word); c.in.Need != delivery.RequireTLS || c.in.NullSender {
		c.want(e.Kind == reason.Either || e.Kind == reason.Permanent && f.Permanent || e.Kind == reason.Temporary && !f.Permanent, "what becomes of the mail is what the table says: "+string(f.Word))
	}
}

func (c *checker) decision() {
	if c.in.Finding.Defer && !c.lenient() {
		c.want(c.d.Stop != nil && !c.d.Stop.Permanent && c.d.Stop.Word == reason.STSLookupFailed && len(c.d.Plans) == 0, "STS-6: a failed TXT lookup defers")
		c.want(len(c.d.Reports) == 1 && c.d.Reports[0].Type == tlsrpt.PolicySTS && c.d.Reports[0].Domain == c.in.Domain && len(c.d.Reports[0].Strings) == 0 &&
			c.d.Reports[0].Failed != nil && c.d.Reports[0].Failed.Type == tlsrpt.STSPolicyFetchError, "RPT-22: what waits for the record counts under sts")
		return
	}
	c.want(len(c.d.Plans) == len(c.in.Destination.Hosts), "one plan per host")
	used := 0
	for i := range c.d.Plans {
		p := &c.d.Plans[i]
		c.want(p.Host.Name == c.in.Destination.Hosts[i].Name, "plans stand in the order of the hosts")
		c.want(len(p.Basis) > 0, "every plan has a basis")
		for _, f := range p.Basis {
			c.want(c.words[f.Word], "the words of the basis are of the closed set: "+string(f.Word))
		}
		if p.Skip == nil {
			used++
			c.used(p)
		} else {
			c.skipped(p)
			c.kind(p.Skip)
		}
		if p.Host.Fail == nil && !c.in.Domain.IsZero() {
			c.reports(p)
		}
	}
	c.want((used == 0) == (c.d.Stop != nil), "the delivery stops exactly if no host is used")
	c.want(c.d.Ignored == nil || c.lenient(), "only TLSOptional ignores")
	if s := c.d.Stop; s != nil {
		c.stop(s)
		c.kind(s)
	}
}

func (c *checker) stop(s *delivery.Failure) {
	c.want(c.words[s.Word] && s.Text != "", "a stop has a word and a text")
	if c.strict() {
		return
	}
	unreachable := true
	for _, h := range c.in.Destination.Hosts {
		unreachable = unreachable && h.Fail != nil && h.Fail.Permanent
	}
	c.want(s.Permanent == unreachable, "POL-6: except under RequireTLS no policy failure is permanent")
}

func (c *checker) skipped(p *delivery.Plan) {
	c.want(c.words[p.Skip.Word] && p.Skip.Text != "", "every skip has a cause and a text")
	empty := p.TLS == 0 && p.Offer == 0 && !p.SmallHello && p.PKIX == 0 && p.DANE == 0 && p.TLSA == nil && p.SNI.IsZero() && !p.PlaintextFallback && p.RequireTLSVerb == 0
	c.want(empty, "a skipped host has nothing else in its plan")
	if p.Host.Fail != nil {
		c.want(p.Reports == nil, "a host without address is no session")
		return
	}
	if c.in.Domain.IsZero() {
		return
	}
	c.want(len(p.Reports) > 0, "POL-8: every skip has a report entry")
	c.want(!c.lenient() || c.in.Minimum == delivery.MinDANE, "TLSOptional never skips, but for the operator's minimum")
	c.want(c.strict() || !p.Skip.Permanent, "POL-6: a skip is temporary")
	c.want(!p.Skip.Permanent || p.Skip.Word != reason.STSMXMismatch || c.in.Finding.Fresh, "RFC 8461 §5.1: permanent only after a check")
	if !c.strict() {
		c.want(slices.ContainsFunc(p.Reports, func(r delivery.Policy) bool { return r.Failed != nil && r.Failed.Word == p.Skip.Word }),
			"what made us skip is reported under the same word")
	}
}

func (c *checker) used(p *delivery.Plan) {
	name := p.Host.Name.Name
	usable := p.Host.DANE.State == delivery.DANEUsable && c.in.Destination.MXSecure
	matched := c.in.Finding.Policy != nil && c.in.Finding.Policy.Matches(name)
	enforced := c.mode() == mtasts.ModeEnforce && !c.in.Domain.IsZero()
	verified := p.PKIX == delivery.CheckRequire || p.DANE == delivery.CheckRequire
	c.want(!verified || p.TLS == delivery.TLSRequired, "verification needs TLS")
	c.want((p.Offer == delivery.OfferAny) == (p.TLS == delivery.TLSOpportunistic), "POL-10: required TLS is sound, any TLS beats plaintext")
	c.want(p.SmallHello, "POL-10: a hello that is not understood is tried smaller")
	c.want(!p.PlaintextFallback || p.TLS == delivery.TLSOpportunistic, "POL-8: no fallback where anything is required")
	c.want(p.TLS == delivery.TLSRequired || c.in.Purpose != delivery.DMARCReport && !c.in.NoPlaintext, "POL-3: no plaintext for DMARC reports, nor where forbidden")
	c.want(p.PKIX == delivery.CheckNone || p.PKIXName == name, "PKIX checks the MX host's name")
	c.want((p.DANE == delivery.CheckNone) == (len(p.TLSA) == 0) && (p.DANE == delivery.CheckNone) == (len(p.DANENames) == 0), "DANE has records and names")
	c.want((p.DANE != delivery.CheckNone) == usable, "DANE is checked where there are usable records behind a Secure MX answer")
	if !c.lenient() {
		c.want(!usable || p.DANE == delivery.CheckRequire, "POL-1: DANE counts")
		c.want(!enforced || matched && p.PKIX == delivery.CheckRequire, "POL-1, POL-2: an enforced policy counts")
		c.want(!c.in.Destination.MXSecure || p.Host.DANE.State != delivery.DANEFailed, "DANE-4: not used while TLSA lookups fail")
		c.want(!c.in.Destination.MXSecure || p.Host.DANE.State != delivery.DANEUnusable || p.TLS == delivery.TLSRequired, "DANE-4: unusable records require TLS")
	}
	c.want(c.mode() != mtasts.ModeTesting || c.in.Domain.IsZero() || p.PKIX != delivery.CheckNone, "POL-2: testing verifies")
	c.want(c.in.Minimum < delivery.MinTLS && !c.in.NoPlaintext || p.TLS == delivery.TLSRequired, "POL-9: minimum tls")
	c.want(c.in.Minimum < delivery.MinVerified || verified, "POL-9: minimum verified")
	c.want(c.in.Minimum < delivery.MinDANE || p.DANE == delivery.CheckRequire, "POL-9: minimum dane")
	if c.strict() {
		c.want(verified && p.RequireTLSVerb == delivery.CheckRequire && p.TLS == delivery.TLSRequired, "POL-4: REQUIRETLS is verified")
		c.want(c.in.Destination.MXSecure || enforced && matched, "POL-4: REQUIRETLS needs a trustworthy name")
	} else {
		c.want((p.RequireTLSVerb == delivery.CheckReport) == (c.in.Need == delivery.RequireTLS), "POL-4: a null sender uses REQUIRETLS where offered")
	}
}

// fails: the finding holds a failure that is reported. A record that cannot be used is
// as good as none (STS-12).
func fails(f delivery.Finding) bool {
	return f.Failure != nil && f.Failure.Word != reason.STSNoRecord && f.Failure.Word != reason.STSMultipleRecords && f.Failure.Word != reason.STSRecordSyntax
}

// reports: POL-7.
func (c *checker) reports(p *delivery.Plan) {
	f := c.in.Finding
	var tlsa, sts, none int
	for _, r := range p.Reports {
		c.want(!r.Domain.IsZero(), "a reported policy has a domain")
		if r.Failed != nil {
			c.want(c.words[r.Failed.Word] && r.Failed.Type != "" && r.Failed.Text != "", "a reported failure has type, word and text: "+string(r.Failed.Word))
		}
		switch r.Type {
		case tlsrpt.PolicyTLSA:
			tlsa++
			c.want(r.Domain == p.Host.Name.Name, "POL-7: a tlsa policy is reported under its base")
			c.want(p.Skip != nil || r.Failed != nil || p.DANE != delivery.CheckNone, "a session that counts by DANE checks it")
		case tlsrpt.PolicySTS:
			sts++
			c.want(r.Domain == domain, "POL-7: sts is reported under the recipient domain")
			c.want(p.Skip != nil || r.Needs != delivery.NeedPKIX || p.PKIX != delivery.CheckNone, "a session that counts by MTA-STS checks PKIX")
			mismatch := c.mode() != mtasts.ModeNone && !f.Policy.Matches(p.Host.Name.Name)
			failed := fails(f)
			c.want((r.Failed != nil) == (mismatch || failed), "POL-7: sts fails for a mismatch or a finding's failure")
		case tlsrpt.PolicyNone:
			none++
			c.want(r.Failed == nil && r.Needs == delivery.NeedTLS, "no-policy-found asks for TLS alone")
		}
	}
	applies := c.in.Destination.MXSecure && p.Host.DANE.State != delivery.DANENone || c.in.Minimum == delivery.MinDANE
	c.want((tlsa == 1) == applies && tlsa < 2, "POL-7: tlsa is reported where DANE applies")
	applies = c.mode() != mtasts.ModeNone || fails(f)
	c.want((sts == 1) == applies && sts < 2, "POL-7: sts is reported where MTA-STS applies or fails")
	c.want((none == 1) == (tlsa+sts == 0) && none < 2, "POL-7: no-policy-found stands alone")
}

// stronger: no plan of e is weaker than its like in the decision.
func (c *checker) stronger(why string, e delivery.Decision) {
	if len(e.Plans) != len(c.d.Plans) {
		c.want(e.Stop != nil, why+" changes the number of plans")
		return
	}
	for i, p := range c.d.Plans {
		q := e.Plans[i]
		ok := q.Skip != nil || p.Skip == nil && q.TLS >= p.TLS && q.Offer <= p.Offer && q.PKIX >= p.PKIX && q.DANE >= p.DANE && (p.PlaintextFallback || !q.PlaintextFallback)
		c.want(ok, why+" weakens a plan")
	}
}

// TestAddrSecurity: the DNSSEC state of addresses was weighed when TLSA records
// were looked for (DANE-3) and counts no second time.
func TestAddrSecurity(t *testing.T) {
	t.Parallel()
	for _, state := range states {
		for in := range inputs([][]delivery.Host{{host(inside, state, dns.Secure)}}, findings(true), booleans) {
			want := Decide(in)
			for _, sec := range addresses {
				in.Destination.Hosts = []delivery.Host{host(inside, state, sec)}
				if got := Decide(in); !samePlans(got.Plans, want.Plans) {
					t.Fatalf("%s: %+v, not %+v", describe(in), got.Plans, want.Plans)
				}
			}
		}
	}
}

// TestStop: what stands in the destination stops the delivery as it is.
func TestStop(t *testing.T) {
	t.Parallel()
	f := &delivery.Failure{Word: "null-mx", Permanent: true, Text: "no mail"}
	for in := range senders() {
		in.Destination.Fail = f
		if d := Decide(in); d.Stop != f || d.Plans != nil {
			t.Errorf("%s: %+v", describe(in), d)
		}
		in.Destination.Fail = nil
		if d := Decide(in); d.Stop == nil || d.Stop.Word != reason.NoHosts {
			t.Errorf("%s: no hosts: %+v", describe(in), d)
		}
	}
}

// TestInputUntouched: Decide must not write into what others share.
func TestInputUntouched(t *testing.T) {
	t.Parallel()
	make := func() Input {
		return Input{Domain: domain, Finding: finding(mtasts.ModeEnforce, true, reason.STSFetch), Need: delivery.TLSOptional,
			Destination: delivery.Destination{MXSecure: true, HasMX: true, Hosts: hosts(true)}}
	}
	in := make()
	d := Decide(in)
	if !reflect.DeepEqual(in, make()) {
		t.Error("the input was changed")
	}
	// POL-5: per cause, 4 states of the addresses each.
	if want := map[reason.Word]int{"dns-bogus": 8, reason.TLSAUnusable: 8, reason.STSMXMismatch: 16}; !reflect.DeepEqual(d.Ignored, want) {
		t.Errorf("ignored %v, want %v", d.Ignored, want)
	}
}
