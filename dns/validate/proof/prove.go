package proof

import (
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// Known is what was proven before. Its methods must not change what they are given.
type Known interface {
	Zone(name string) (*Zone, bool)
	Cut(name string) (*Cut, bool)
	PutZone(*Zone)
	PutCut(*Cut)
}

// Nothing is a Known that is empty and stays so.
type Nothing struct{}

// Zone knows none.
func (Nothing) Zone(string) (*Zone, bool) { return nil, false }

// Cut knows none.
func (Nothing) Cut(string) (*Cut, bool) { return nil, false }

// PutZone keeps nothing.
func (Nothing) PutZone(*Zone) {}

// PutCut keeps nothing.
func (Nothing) PutCut(*Cut) {}

// Prover proves one lookup. All its fields must be set where they do not say otherwise; it is not safe for concurrent use.
type Prover struct {
	Anchors    []Anchor
	Negative   []string   // negative trust anchors that count now (VAL-13)
	Algorithms Algorithms // nil: Standard
	Digests    Digests    // nil: StandardDigests
	Now        time.Time
	Budget     *Budget
	Known      Known
	Memory     Memory // nil: every signature is verified
	// Messages are the answers to the needs so far: who drives the prover adds to them.
	Messages map[Question]*wire.Msg

	asked    map[Question]bool // what Known was asked for
	zones    map[string]*Zone
	cuts     map[string]*Cut
	tried    map[tried]bool
	sections map[*[]wire.RR]*section
	buffer   []byte // for what a signature covers, used again for each
}

// Prove says what msg proves of q. With needs the proof is of no use yet: Prove is
// to be called again when the answers to them are in Messages.
func (p *Prover) Prove(q Question, msg *wire.Msg) (Proof, []Question) {
	if p.zones == nil {
		p.zones, p.cuts = make(map[string]*Zone), make(map[string]*Cut)
	}
	if p.Algorithms == nil {
		p.Algorithms = Standard()
	}
	if p.Digests == nil {
		p.Digests = StandardDigests()
	}
	w := &walk{p: p, q: q, msg: msg, answer: p.answer(msg), at: q.Name}
	w.v.TTL = maxTTL
	for !w.step() {
	}
	if !w.v.Until.IsZero() { // RFC 4035 §5.3.3: no answer is kept for longer than what proves it is valid
		w.v.TTL = max(0, min(w.v.TTL, w.v.Until.Sub(p.Now)))
	}
	if len(w.v.Links) == 0 { // only a link says more than that nothing is known
		w.v.Finding = Finding{State: dns.Indeterminate, Code: CodeIndeterminate, Zone: q.Name, Text: "nothing is proven of " + q.String()}
	}
	return w.v, p.missing(w.needs)
}

// Chain is what was found out of zones and cuts on the way, for showing.
func (p *Prover) Chain() ([]*Zone, []*Cut) {
	var zs []*Zone
	var cs []*Cut
	for _, z := range p.zones {
		zs = append(zs, z)
	}
	for _, c := range p.cuts {
		cs = append(cs, c)
	}
	slices.SortFunc(zs, func(a, b *Zone) int { return compare(a.Name, b.Name) })
	slices.SortFunc(cs, func(a, b *Cut) int { return compare(a.Name, b.Name) })
	return zs, cs
}

// walk goes through an answer from the name asked for to its end.
type walk struct {
	p      *Prover
	q      Question
	msg    *wire.Msg
	answer *section
	at     string
	v      Proof
	needs  []Question
}

// step takes one link of the answer; true: that was the last.
func (w *walk) step() bool {
	if set := w.answer.find(w.at, w.q.Type); set != nil {
		if _, dname := w.alias(); w.q.Type == wire.TypeCNAME && len(set.sigs) == 0 && dname != nil {
			set = dname // whose word the CNAME is
		}
		w.positive(set)
		return true
	}
	if w.q.Type == wire.TypeANY {
		return w.any()
	}
	target, set := w.alias()
	if set == nil {
		return w.absent()
	}
	w.positive(set)
	if len(w.v.Links) > 0 && w.v.Links[len(w.v.Links)-1].Limit != LimitNone {
		return true
	}
	if !w.p.Budget.take(&w.p.Budget.aliases, LimitAliases) {
		w.link(Link{Name: w.at, Type: wire.TypeCNAME, Finding: w.p.failed(checked{limit: true}, w.at)})
		return true
	}
	w.at = target
	return false
}

// any: each set at the name has to be right (RFC 4035 §3.2.3).
func (w *walk) any() bool {
	found := false
	for _, set := range w.answer.sets {
		if set.name == w.at && len(set.rrs) > 0 {
			w.positive(set)
			found = true
		}
	}
	return found || w.absent()
}

// alias is the CNAME or DNAME that leads on from w.at. A CNAME that was made of a
// DNAME is not signed; the DNAME is (RFC 6672 §5.3.1). A DNAME without such a CNAME
// does not count: who reads the records follows CNAMEs alone, and must come to the
// same end.
func (w *walk) alias() (string, *rrset) {
	cname := w.answer.find(w.at, wire.TypeCNAME)
	if cname != nil && len(cname.sigs) > 0 {
		return canon(cname.rrs[0].(*wire.CNAME).Target), cname
	}
	for up := w.at; cname != nil && up != "."; {
		up = parent(up)
		set := w.answer.find(up, wire.TypeDNAME)
		if set == nil {
			continue
		}
		target, ok := substitute(w.at, up, canon(set.rrs[0].(*wire.DNAME).Target))
		if ok && len(cname.rrs) == 1 && canon(cname.rrs[0].(*wire.CNAME).Target) == target {
			return target, set
		}
	}
	if cname != nil {
		return canon(cname.rrs[0].(*wire.CNAME).Target), cname
	}
	return "", nil
}

// substitute is RFC 6672 §2.2; false: the name would be too long.
func substitute(name, owner, target string) (string, bool) {
	head := strings.TrimSuffix(name, owner)
	if owner == "." {
		head = name
	}
	if target == "." {
		target = ""
	}
	out := head + target
	if _, ok := wire.IsDomainName(out); !ok {
		return "", false
	}
	return canon(out), true
}

// positive adds the link of a set of records.
func (w *walk) positive(set *rrset) {
	l := Link{Name: set.name, Type: set.rtype}
	z, got, needs := w.provenBy(set)
	if len(needs) > 0 {
		w.needs = append(w.needs, needs...)
		return
	}
	l.Finding = z.Finding
	if got.ok {
		l.Signature = got.sig
		w.v.Until = earlier(earlier(w.v.Until, z.Until), w.p.end(got.sig))
		w.v.TTL = min(w.v.TTL, seconds(set.ttl(got.sig)))
		w.expanded(&l, set, z, got.sig)
	} else if z.State == dns.Secure {
		l.Finding = w.p.failed(got, z.Name)
	}
	if (set.rtype == wire.TypeCNAME || set.rtype == wire.TypeDNAME) && l.State == dns.Secure && set.distinct() > 1 {
		l.Finding = Finding{dns.Bogus, CodeBogus, z.Name, "there are several " + wire.Type(set.rtype).String() + " records at " + set.name, LimitNone}
	}
	w.link(l)
}

// provenBy finds the zone whose keys prove a set: that which claims to have signed
// it, or, if that comes to nothing, the one in which its name lies.
func (w *walk) provenBy(set *rrset) (*Zone, checked, []Question) {
	var needs []Question
	for _, signer := range set.signers() {
		z, more := w.p.zone(signer, true)
		if needs = append(needs, more...); len(more) > 0 {
			continue
		}
		if z.State == dns.Insecure {
			return z, checked{}, nil
		}
		if z.State != dns.Secure {
			continue
		}
		if got := w.p.verify(set, z.Name, z.keys); got.ok || got.limit {
			return z, got, nil
		}
	}
	if len(needs) > 0 {
		return nil, checked{}, needs
	}
	z, more := w.p.zone(home(set.name, set.rtype), false)
	if len(more) > 0 {
		return nil, checked{}, more
	}
	if z.State != dns.Secure {
		return z, checked{}, nil
	}
	return z, w.p.verify(set, z.Name, z.keys), nil
}

// home is the name whose zone has the records of that name and type: DS records are the parent's.
func home(name string, rtype uint16) string {
	if rtype == wire.TypeDS {
		return parent(name)
	}
	return name
}

// expanded: a set that comes out of a wildcard needs the proof that nothing nearer
// exists (RFC 4035 §5.3.4). A DNAME comes out of none (RFC 6672 §3.3).
func (w *walk) expanded(l *Link, set *rrset, z *Zone, sig *wire.RRSIG) {
	labels := wire.CountLabel(set.name)
	if firstLabel(set.name) == "*" {
		labels--
	}
	if int(sig.Labels) >= labels {
		return
	}
	if set.rtype == wire.TypeDNAME {
		// RFC 6672 §5.3.5: what it leads to is not determined.
		l.Finding = Finding{dns.Bogus, CodeBogus, z.Name, "the DNAME record at " + set.name + " is of a wildcard", LimitNone}
		return
	}
	d, _ := w.p.denials(w.msg, z)
	o := d.noCloser(w.p.Budget, set.name, suffix(set.name, int(sig.Labels)))
	w.v.TTL = min(w.v.TTL, seconds(d.ttl))
	w.v.Until = earlier(w.v.Until, w.p.endOf(d))
	w.deny(&l.Finding, o, d, z, checked{code: CodeNoDenial, text: z.Name + " does not prove that a wildcard may stand for " + set.name})
}

// deny turns the outcome of a denial into a finding.
func (w *walk) deny(f *Finding, o outcome, d *denials, z *Zone, otherwise checked) {
	switch {
	case o == proven:
		*f = Finding{State: dns.Secure, Zone: z.Name}
	case o == optedOut:
		*f = Finding{State: dns.Insecure, Zone: z.Name, Text: z.Name + " opts out: there may be an unsigned delegation"}
	case d.beyond:
		*f = w.p.tooManyIterations(z.Name)
	default:
		otherwise.limit = w.p.Budget.hit != LimitNone
		*f = w.p.failed(otherwise, z.Name)
	}
}

// absent adds the link of a denial; or, after an alias of whose target the message
// says nothing, where to ask on.
func (w *walk) absent() bool {
	w.v.NXDomain = w.msg.Rcode == wire.RcodeNameError
	auth := w.p.authority(w.msg)
	if len(w.v.Links) > 0 && !w.v.NXDomain && !speaks(auth) {
		w.v.Next = w.at
		return true
	}
	if len(w.needs) > 0 && len(w.v.Links) == 0 {
		// The alias before is not proven yet; its target can wait.
		return true
	}
	l := Link{Name: w.at, Type: w.q.Type, Denied: true}
	l.Finding = Finding{State: dns.Indeterminate}
	z, needs := w.denier(auth)
	if len(needs) > 0 {
		w.needs = append(w.needs, needs...)
		return true
	}
	l.Finding = z.Finding
	if z.State == dns.Secure {
		w.denied(&l, z)
	}
	if l.State != dns.Bogus && l.State != dns.Indeterminate {
		w.link(l)
		return true
	}
	// Another zone than the one that claims to speak may be the right one.
	own, needs := w.p.zone(home(w.at, w.q.Type), false)
	if len(needs) > 0 {
		w.needs = append(w.needs, needs...)
		return true
	}
	if own.Name != z.Name && own.State == dns.Secure {
		w.denied(&l, own)
	} else if own.State != dns.Secure && !(own.optOut && w.spokenBy(auth, z)) {
		l.Finding = own.Finding
	}
	w.link(l)
	return true
}

// speaks reports whether an authority section denies something.
func speaks(auth *section) bool {
	return slices.ContainsFunc(auth.sets, func(s *rrset) bool {
		return s.rtype == wire.TypeSOA || s.rtype == wire.TypeNSEC || s.rtype == wire.TypeNSEC3
	})
}

// denier is the zone that claims to deny: the nearest that signed SOA, NSEC or NSEC3
// records at or above the name; without one that in which the name lies.
func (w *walk) denier(auth *section) (*Zone, []Question) {
	best := ""
	for _, set := range auth.sets {
		if set.rtype != wire.TypeSOA && set.rtype != wire.TypeNSEC && set.rtype != wire.TypeNSEC3 {
			continue
		}
		for _, signer := range set.signers() {
			at := home(w.at, w.q.Type)
			may := under(at, signer)
			if a := w.p.anchorFor(at); a != nil && below(a.Zone, signer) {
				may = false // a trust anchor nearer to the name says that it is in another zone
			}
			if may && (best == "" || below(signer, best)) {
				best = signer
			}
		}
	}
	if best == "" {
		return w.p.zone(home(w.at, w.q.Type), false)
	}
	return w.p.zone(best, true)
}

// spokenBy reports whether it is z itself that denies: then what z leaves unproven is no fault of
// an unsigned zone that there may be below it.
func (w *walk) spokenBy(auth *section, z *Zone) bool {
	return z.State == dns.Secure && auth.find(z.Name, wire.TypeSOA) != nil
}

func (w *walk) denied(l *Link, z *Zone) {
	d, bad := w.p.denials(w.msg, z)
	o := unproven
	if w.v.NXDomain {
		o = d.noName(w.p.Budget, w.at)
	} else {
		o = d.noData(w.p.Budget, w.at, w.q.Type)
	}
	if bad.code == CodeNone || bad.code == CodeNoSignature {
		bad = checked{code: CodeNoDenial, text: z.Name + " does not prove that " + w.at + " has no " + wire.Type(w.q.Type).String() + " record"}
	}
	w.deny(&l.Finding, o, d, z, bad)
	w.v.Until = earlier(earlier(w.v.Until, z.Until), w.p.endOf(d))
	w.v.TTL = min(w.v.TTL, seconds(d.ttl))
	if len(d.until) > 0 {
		l.Signature = d.until[0]
	}
}

// link adds a step; the state of the whole is that of its weakest.
func (w *walk) link(l Link) {
	w.v.Links = append(w.v.Links, l)
	if worse(l.State, w.v.State) || len(w.v.Links) == 1 {
		w.v.Finding = l.Finding
	}
}
