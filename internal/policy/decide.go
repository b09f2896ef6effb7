package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// Input is everything a decision depends on.
type Input struct {
	Need        delivery.TLSNeed
	Destination delivery.Destination
	Finding     delivery.Finding
	Purpose     delivery.Purpose
	Minimum     delivery.Minimum
	NullSender  bool               // MAIL FROM:<>
	Exception   delivery.Exception // what the operator sets aside for the domain (STS-13)
	NoPlaintext bool               // the server's config forbids plaintext: a minimum of TLS for every domain
	Domain      dns.Name           // the recipient domain, or the name of the operator's host; zero for an address
	Trust       Trust
	Transport   string // with TrustOperator: the transport that names the host, for texts
}

// Decide makes one plan per host, in the order of the destination's hosts, or
// says why nothing is to be dialled. It depends on nothing but in, and does
// not change it.
func Decide(in Input) delivery.Decision {
	if in.Trust == TrustOperator {
		in = operated(in)
	}
	in, aside := except(in)
	r := newRules(in)
	r.aside = aside
	if f := cmp.Or(r.unverified(), in.Destination.Fail); f != nil {
		return delivery.Decision{Stop: f}
	}
	if f := r.deferred(); f != nil {
		return delivery.Decision{Stop: f, SetAside: aside, Reports: []delivery.Policy{r.unknownSTS()}}
	}
	d := delivery.Decision{SetAside: aside, Plans: make([]delivery.Plan, 0, len(in.Destination.Hosts))}
	for _, h := range in.Destination.Hosts {
		d.Plans = append(d.Plans, r.plan(h))
	}
	d.Ignored = r.ignored
	d.Stop = stop(in, d.Plans)
	return d
}

// rules are the input in the terms in which hosts are decided about.
type rules struct {
	in      Input
	domain  dns.Name
	policy  *mtasts.Policy // MTA-STS, if it is in mode enforce or testing
	failure *mtasts.Error  // a fault of the MTA-STS that is reported
	lenient bool           // POL-5: nothing the domain published may stop the mail
	strict  bool           // POL-4: REQUIRETLS is a must
	floor   delivery.Minimum
	ignored map[reason.Word]int
	aside   []delivery.Fact // what an exception has set aside
}

func newRules(in Input) *rules {
	r := &rules{in: in, domain: in.Domain, floor: in.Minimum}
	// RFC 8460 §5.3: reports MUST NOT honor MTA-STS or DANE failures.
	r.lenient = in.Need == delivery.TLSOptional || in.Need == delivery.FollowPolicy && in.Purpose == delivery.TLSReport
	r.strict = in.Need == delivery.RequireTLS && !in.NullSender
	if in.NoPlaintext || in.Purpose == delivery.DMARCReport { // DMR-1: never in plaintext
		r.floor = max(r.floor, delivery.MinTLS)
	}
	if r.domain.IsZero() {
		return r // an address literal publishes nothing
	}
	if p := in.Finding.Policy; p != nil && p.Mode != mtasts.ModeNone {
		r.policy = p
	}
	if f := in.Finding.Failure; f != nil && !f.AsNone() {
		r.failure = f
	}
	return r
}

// deferred: nobody can say now whether the domain has MTA-STS (STS-6).
func (r *rules) deferred() *delivery.Failure {
	if !r.in.Finding.Defer || r.domain.IsZero() {
		return nil
	}
	if r.lenient {
		r.ignore(reason.STSLookupFailed)
		return nil
	}
	text := fmt.Sprintf("whether %s has MTA-STS cannot be found out now", r.domain)
	if r.failure != nil {
		text += ": " + r.failure.Error()
	}
	return &delivery.Failure{Word: reason.STSLookupFailed, Enhanced: codeDNS, Text: text}
}

func (r *rules) ignore(w reason.Word) {
	if r.ignored == nil {
		r.ignored = map[reason.Word]int{}
	}
	r.ignored[w]++
}

// subject is one host with what applies to it.
type subject struct {
	delivery.Host
	dane    delivery.DANE // zero where DANE does not apply (DANE-6)
	matched bool          // the MTA-STS policy names the host
}

func (r *rules) subject(h delivery.Host) subject {
	s := subject{Host: h}
	if r.in.Destination.MXSecure && !r.domain.IsZero() {
		s.dane = h.DANE
	}
	s.matched = r.policy != nil && r.policy.Matches(h.Name.Name)
	return s
}

func (r *rules) enforced() bool { return r.policy != nil && r.policy.Mode == mtasts.ModeEnforce }

// violates: an enforced policy does not name the host (POL-2).
func (r *rules) violates(s subject) bool { return r.enforced() && !s.matched }

// trusted: the host's name is one that the domain's owner vouches for (POL-4).
func (r *rules) trusted(s subject) bool {
	return !r.domain.IsZero() && (r.in.Destination.MXSecure || r.enforced() && s.matched)
}

func (r *rules) plan(h delivery.Host) delivery.Plan {
	p := delivery.Plan{Host: h}
	if h.Fail != nil {
		// Nothing to connect to is no TLS session that failed (RFC 8460 §4.3.4).
		p.Skip = h.Fail
		if r.in.Trust == TrustOperator {
			p.Basis = append(p.Basis, r.hostFact(&h))
		}
		p.Basis = append(p.Basis, delivery.Fact{Word: h.Fail.Word, Text: h.Fail.Text})
		return p
	}
	s := r.subject(h)
	p.Reports = r.reports(s)
	p.Basis = r.basis(s)
	if p.Skip = r.skip(s); p.Skip != nil {
		p.Basis = append(p.Basis, delivery.Fact{Word: reason.Skipped, Text: string(p.Skip.Word)})
		return p
	}
	r.fill(&p, s)
	if r.lenient {
		p.Waived = r.waived(s)
	}
	conclude(&p)
	return p
}

// skip says whether the host must not be used. The operator's minimum binds
// even TLSOptional (POL-9); what the domain published does not.
func (r *rules) skip(s subject) *delivery.Failure {
	switch {
	case r.floor == delivery.MinDANE && s.dane.State != delivery.DANEUsable:
		return r.noDANE(s)
	case r.floor >= delivery.MinVerified && s.Name.IsZero():
		return &delivery.Failure{Word: reason.NoName, Permanent: r.strict, Text: "the operator's minimum asks for a verified certificate, and an address literal has no name to verify"}
	}
	failed := s.dane.State == delivery.DANEFailed
	if r.lenient {
		if failed || s.dane.State == delivery.DANEUnusable {
			r.ignore(s.daneReason())
		}
		if r.violates(s) {
			r.ignore(reason.STSMXMismatch)
		}
		return nil
	}
	switch {
	case failed: // RFC 7672 §2.1.2
		return &delivery.Failure{Word: s.daneReason(), Text: s.daneText()}
	case r.violates(s):
		// RFC 8461 §5.1: no permanent failure before a check for a new policy.
		return &delivery.Failure{Word: reason.STSMXMismatch, Permanent: r.strict && r.in.Finding.Fresh, Text: r.mismatch(s)}
	case r.strict && !r.trusted(s):
		return &delivery.Failure{Word: reason.RequireTLSUntrustedName, Permanent: r.settled(), Text: r.untrusted(s)}
	}
	return nil
}

// noDANE is the skip of a host that has no usable TLSA records where the
// operator wants DANE (RFC 7672 §6).
func (r *rules) noDANE(s subject) *delivery.Failure {
	switch s.dane.State {
	case delivery.DANEFailed:
		return &delivery.Failure{Word: s.daneReason(), Text: s.daneText()}
	case delivery.DANEUnusable:
		return &delivery.Failure{Word: s.daneReason(), Permanent: r.strict, Text: s.daneText()}
	}
	return &delivery.Failure{Word: reason.DANERequired, Permanent: r.strict, Text: daneRequiredText(s)}
}

// settled: what is known of the domain's MTA-STS will be the same at the next
// attempt, as far as this one knows: its record was looked up, and no fetch
// failed for now or was put off (RFC 8461 §5.1).
func (r *rules) settled() bool {
	f := r.in.Finding
	if f.Defer || f.BackOff || f.Policy != nil && !f.Fresh {
		return false
	}
	return r.failure == nil || r.failure.Word != reason.STSFetch && r.failure.Word != reason.STSLookupFailed
}

// fill makes the plan of a host that is used.
func (r *rules) fill(p *delivery.Plan, s subject) {
	usable := s.dane.State == delivery.DANEUsable
	p.SNI = s.Name.Name
	if !s.dane.Base.IsZero() {
		p.SNI = s.dane.Base
	}
	if usable {
		p.DANE, p.TLSA, p.DANENames = r.check(), s.dane.Records, s.dane.References
	}
	p.PKIX = r.pkix(usable)
	if p.PKIX != delivery.CheckNone {
		p.PKIXName = s.Name.Name
	}
	unauthenticated := s.dane.State == delivery.DANEUnusable && !r.lenient // DANE-4
	if p.DANE == delivery.CheckRequire || p.PKIX == delivery.CheckRequire || unauthenticated || r.strict || r.floor >= delivery.MinTLS {
		p.TLS = delivery.TLSRequired
	}
	p.PlaintextFallback = p.TLS == delivery.TLSOpportunistic
	offer(p)
	switch {
	case r.strict:
		p.RequireTLSVerb = delivery.CheckRequire
	case r.in.Need == delivery.RequireTLS:
		p.RequireTLSVerb = delivery.CheckReport
	}
}

// offer sets what a session may offer and take of TLS (POL-10). Where mail would go
// in plaintext, any TLS is better; where TLS is required, only what proves something.
func offer(p *delivery.Plan) {
	p.Offer, p.SmallHello = delivery.OfferAny, true
	if p.TLS == delivery.TLSRequired {
		p.Offer = delivery.OfferSound
	}
}

// check is how a verification that the domain published is treated.
func (r *rules) check() delivery.Check {
	if r.lenient && r.floor < delivery.MinVerified {
		return delivery.CheckReport
	}
	return delivery.CheckRequire
}

// pkix is the part of the certificate's check against the authorities. Where
// DANE verifies the host, only an enforced MTA-STS asks for it too (POL-1).
func (r *rules) pkix(daneUsable bool) delivery.Check {
	switch {
	case !daneUsable && (r.strict || r.floor >= delivery.MinVerified):
		return delivery.CheckRequire
	case r.enforced() && !r.lenient:
		return delivery.CheckRequire
	case r.policy != nil:
		return delivery.CheckReport
	}
	return delivery.CheckNone
}

// stop is why nothing is dialled, if every host is skipped. It is the same for
// every order of equal hosts.
func stop(in Input, plans []delivery.Plan) *delivery.Failure {
	if len(plans) == 0 {
		return &delivery.Failure{Word: reason.NoHosts, Enhanced: codeDNS, Text: "no host is known that takes mail for the domain"}
	}
	for i := range plans {
		if plans[i].Skip == nil {
			return nil
		}
	}
	sorted := slices.Clone(plans)
	slices.SortStableFunc(sorted, func(a, b delivery.Plan) int {
		if d := int(a.Host.Preference) - int(b.Host.Preference); d != 0 {
			return d
		}
		return strings.Compare(a.Host.Name.ASCII(), b.Host.Name.ASCII())
	})
	var tried []Tried
	var first *delivery.Plan // the best skip that may not last, else the best
	for i := range sorted {
		p := &sorted[i]
		tried = append(tried, triedHost(in, delivery.Visit{Plan: *p}))
		if first == nil || first.Skip.Permanent && !p.Skip.Permanent {
			first = p
		}
	}
	if f := GiveUp(in, sorted, nil); f != nil {
		return f
	}
	return &delivery.Failure{
		Word: oneCause(tried, reason.SeveralCauses), Permanent: first.Skip.Permanent, Enhanced: enhanced(*first),
		Text: summary("no host can be used", tried),
	}
}
