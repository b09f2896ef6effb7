package proof

import (
	"fmt"
	"slices"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// Anchor is what a zone's keys are believed by: DS or DNSKEY records of its own (VAL-3).
type Anchor struct {
	Zone string
	DS   []*wire.DS
	Keys []*wire.DNSKEY
}

// Zone is what is known of a zone's keys.
type Zone struct {
	Name string
	Finding
	Signature *wire.RRSIG  // over the keys
	Secured   []*wire.DS   // the DS records by which the keys are believed
	Entry     *wire.DNSKEY // the key of theirs that signed the keys
	Until     time.Time    // first end of a signature; zero: none
	TTL       time.Duration
	keys      []key
	optOut    bool           // it is unsigned, if there is such a zone at all: the one above opts out for it
	Records   []*wire.DNSKEY // the whole validated set
}

// Cut is what is known of a name with regard to zone cuts, by the DS records that
// its parent zone has or denies.
type Cut struct {
	Name   string
	Parent string
	Kind   CutKind
	Finding
	DS        []*wire.DS
	Signature *wire.RRSIG
	Until     time.Time
	TTL       time.Duration
	optOut    bool // there may be an unsigned delegation
}

// CutKind says what is at a name.
type CutKind uint8

// The kinds of Cut.
const (
	CutUnknown  CutKind = iota // the State of the Cut says why
	CutSigned                  // a signed delegation
	CutUnsigned                // a delegation that is proven to be unsigned, or signed only by what must not be relied on
	CutNone                    // no zone begins here
	CutMissing                 // the name does not exist, and so nothing below it
)

// zone proves the keys of the zone in which name lies, as far down as name itself;
// needs are the questions whose answers it lacks for that. direct: name is believed to
// be a zone, so that all steps to it can be asked for at once.
func (p *Prover) zone(name string, direct bool) (*Zone, []Question) {
	anchor := p.anchorFor(name)
	if negative := p.negativeFor(name); negative != "" && (anchor == nil || !below(anchor.Zone, negative)) {
		return &Zone{Name: negative, Finding: Finding{State: dns.Insecure, Zone: negative, Text: "there is a negative trust anchor for " + negative}}, nil
	}
	if anchor == nil {
		return &Zone{Name: name, Finding: Finding{State: dns.Indeterminate, Code: CodeIndeterminate, Zone: name, Text: "no trust anchor is at or above " + name}}, nil
	}
	if anchor.revoked() {
		return &Zone{Name: anchor.Zone, Finding: Finding{State: dns.Insecure, Zone: anchor.Zone, Text: "all trust anchors of " + anchor.Zone + " are revoked"}}, nil
	}
	steps := path(anchor.Zone, name)
	at, needs := p.keysOf(anchor.Zone, nil)
	if at != nil && at.State != dns.Secure {
		return at, nil
	}
	if at == nil {
		return nil, append(needs, p.ahead(steps, direct)...)
	}
	for i, step := range steps {
		cut := p.cut(step, at)
		if cut == nil {
			needs := p.ahead(steps[i:], direct)
			if len(needs) == 0 { // it cannot be; and if it could, nothing would be proven
				return &Zone{Name: step, Finding: Finding{State: dns.Indeterminate, Code: CodeIndeterminate, Zone: step, Text: "nothing is known of " + step}}, nil
			}
			return nil, needs
		}
		switch cut.Kind {
		case CutNone:
			continue
		case CutMissing:
			return at, nil
		case CutSigned:
			next, _ := p.keysOf(step, cut)
			if next == nil {
				return nil, append([]Question{{step, wire.TypeDNSKEY}}, p.ahead(steps[i+1:], direct)...)
			}
			if next.State != dns.Secure {
				return next, nil
			}
			at = next
			continue
		}
		return &Zone{Name: step, Finding: cut.Finding, optOut: cut.optOut, Until: cut.Until, TTL: cut.TTL}, nil
	}
	return at, nil
}

// speculative is how many steps below what is known are asked for at once, where it
// is not known at which of them a zone begins.
const speculative = 2

func (p *Prover) ahead(steps []string, direct bool) []Question {
	var out []Question
	for i, step := range steps {
		q := Question{step, wire.TypeDS}
		if p.knownCut(step) == nil && p.Messages[q] == nil {
			out = append(out, q)
		}
		if direct && i == len(steps)-1 {
			p.knownZone(step)
			out = append(out, Question{step, wire.TypeDNSKEY})
		}
		if !direct && len(out) >= speculative {
			break
		}
	}
	return p.missing(out)
}

// knownZone and knownCut ask Known once for each name: who is told that it does not know must
// not hear otherwise later in the same proof.
func (p *Prover) knownZone(name string) *Zone {
	if p.zones[name] == nil && p.first(Question{name, wire.TypeDNSKEY}) {
		if z, ok := p.Known.Zone(name); ok {
			p.zones[name] = z
		}
	}
	return p.zones[name]
}

func (p *Prover) knownCut(name string) *Cut {
	if p.cuts[name] == nil && p.first(Question{name, wire.TypeDS}) {
		if c, ok := p.Known.Cut(name); ok {
			p.cuts[name] = c
		}
	}
	return p.cuts[name]
}

func (p *Prover) first(q Question) bool {
	if p.asked[q] {
		return false
	}
	if p.asked == nil {
		p.asked = make(map[Question]bool)
	}
	p.asked[q] = true
	return true
}

// missing are the questions that are not answered yet, each once.
func (p *Prover) missing(qs []Question) []Question {
	var out []Question
	for _, q := range qs {
		known := p.Messages[q] != nil || q.Type == wire.TypeDNSKEY && p.zones[q.Name] != nil || q.Type == wire.TypeDS && p.cuts[q.Name] != nil
		if !known && !slices.Contains(out, q) {
			out = append(out, q)
		}
	}
	return out
}

func (p *Prover) anchorFor(name string) *Anchor {
	var best *Anchor
	for i := range p.Anchors {
		a := &p.Anchors[i]
		if under(name, a.Zone) && (best == nil || best.revoked() && !a.revoked() || best.revoked() == a.revoked() && below(a.Zone, best.Zone)) {
			best = a
		}
	}
	return best
}

// revoked: nothing is left of an anchor. It counts as if there had been none, so that the one above
// decides, and without one the zone is unsigned (RFC 5011 §5).
func (a *Anchor) revoked() bool { return len(a.DS) == 0 && len(a.Keys) == 0 }

func (p *Prover) negativeFor(name string) string {
	for _, n := range p.Negative {
		if under(name, n) {
			return n
		}
	}
	return ""
}

// keysOf proves the keys of a zone by the DS records of cut; for nil by its anchor.
func (p *Prover) keysOf(name string, cut *Cut) (*Zone, []Question) {
	if z := p.knownZone(name); z != nil {
		return z, nil
	}
	q := Question{name, wire.TypeDNSKEY}
	msg := p.Messages[q]
	if msg == nil {
		return nil, []Question{q}
	}
	z := &Zone{Name: name}
	if !p.Budget.take(&p.Budget.zones, LimitZones) {
		z.Finding = Finding{State: dns.Indeterminate, Zone: name, Limit: LimitZones, Text: "the chain of trust has too many zones"}
	} else {
		p.proveKeys(z, cut, msg)
	}
	p.keepZone(z)
	return z, nil
}

func (p *Prover) keepZone(z *Zone) {
	p.zones[z.Name] = z
	if p.Budget.hit == LimitNone {
		p.Known.PutZone(z)
	}
}

// proveKeys finds a key that a DS record or an anchor is of, and whose signature of
// the DNSKEY set is valid (RFC 4035 §5.2, RFC 6840 §5.11: one way is enough).
func (p *Prover) proveKeys(z *Zone, cut *Cut, msg *wire.Msg) {
	sec := p.answer(msg)
	set := sec.find(z.Name, wire.TypeDNSKEY)
	if set == nil {
		z.Finding = Finding{dns.Bogus, CodeNoKey, z.Name, z.Name + " has no DNSKEY records, and should", LimitNone}
		return
	}
	var anchors []*wire.DS
	var trusted []*wire.DNSKEY
	if cut != nil {
		anchors = cut.DS
		z.until(cut.Until)
		z.TTL = cut.TTL
	} else {
		a := p.anchorFor(z.Name)
		anchors, trusted = a.DS, a.Keys
		z.TTL = maxTTL
	}
	z.Secured = anchors
	entries := p.entries(set, anchors, trusted)
	if len(entries) == 0 && cut == nil && !p.relied(anchors, trusted) {
		z.Finding = Finding{dns.Insecure, CodeAlgorithm, z.Name, "the trust anchors of " + z.Name + " have only algorithms or digests that are not known or must not be relied on", LimitNone}
		return
	}
	if len(entries) == 0 {
		z.Finding = Finding{dns.Bogus, CodeNoKey, z.Name, z.Name + " has no key of which its DS records are", LimitNone}
		if noZoneKey(set.rrs) {
			z.Code = CodeNoZoneKey
		}
		return
	}
	got := p.verify(set, z.Name, entries)
	if !got.ok {
		z.Finding = p.failed(got, z.Name)
		return
	}
	z.Finding = Finding{State: dns.Secure, Zone: z.Name}
	z.Signature = got.sig
	z.until(p.end(got.sig))
	z.TTL = min(z.TTL, seconds(set.ttl(got.sig)))
	z.keys = p.usable(set.rrs)
	for _, e := range entries {
		if e.tag == got.sig.KeyTag && e.algorithm == got.sig.Algorithm {
			z.Entry = e.rr
		}
	}
	for _, rr := range set.rrs {
		if k, ok := rr.(*wire.DNSKEY); ok {
			z.Records = append(z.Records, k)
		}
	}
}

// relied reports an anchor that can be used at all.
func (p *Prover) relied(anchors []*wire.DS, trusted []*wire.DNSKEY) bool {
	return slices.ContainsFunc(anchors, func(ds *wire.DS) bool { return p.Algorithms[ds.Algorithm] != nil && p.Digests[ds.DigestType] != nil }) ||
		slices.ContainsFunc(trusted, func(k *wire.DNSKEY) bool { return p.Algorithms[k.Algorithm] != nil })
}

func noZoneKey(rrs []wire.RR) bool {
	for _, rr := range rrs {
		if k, ok := rr.(*wire.DNSKEY); ok && k.Flags&wire.ZONE != 0 {
			return false
		}
	}
	return true
}

// maxDS bounds the comparisons of DS records with keys.
const maxDS = 64

// entries are the keys of a set of which a DS record or an anchor is. Where there are
// stronger digests, no weaker one counts (RFC 4509 §3): SHA-1 counts never.
func (p *Prover) entries(set *rrset, anchors []*wire.DS, trusted []*wire.DNSKEY) []key {
	var out []key
	left := maxDS
	for _, k := range p.usable(set.rrs) {
		is := func(ds *wire.DS) bool {
			if ds.KeyTag != k.tag || ds.Algorithm != k.algorithm {
				return false
			}
			left--
			return left >= 0 && p.Digests.matches(ds, k.rr)
		}
		same := func(t *wire.DNSKEY) bool {
			return t.Algorithm == k.algorithm && t.Flags == k.rr.Flags && string(decode(t.PublicKey)) == string(k.public)
		}
		if slices.ContainsFunc(anchors, is) || slices.ContainsFunc(trusted, same) {
			out = append(out, k)
		}
	}
	return out
}

func (z *Zone) until(t time.Time) { z.Until = earlier(z.Until, t) }

// earlier is the earlier of two times, of which a zero one does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (p *Prover) end(sig *wire.RRSIG) time.Time { return serialTime(sig.Expiration, p.Now) }

// maxTTL bounds what is kept.
const maxTTL = 24 * time.Hour

func seconds(ttl uint32) time.Duration { return min(time.Duration(ttl)*time.Second, maxTTL) }

// failed is the finding of signatures that did not come right.
func (p *Prover) failed(c checked, zone string) Finding {
	if c.limit {
		return Finding{State: dns.Indeterminate, Zone: zone, Limit: p.Budget.hit, Text: "the lookup needs more work than one may: " + string(p.Budget.hit)}
	}
	return Finding{State: dns.Bogus, Code: c.code, Zone: zone, Text: c.text}
}

// cut proves what is at name, which lies in or at the lower border of the zone at;
// nil: the answer for DS is not there yet.
func (p *Prover) cut(name string, at *Zone) *Cut {
	if c := p.knownCut(name); c != nil {
		return c
	}
	msg := p.Messages[Question{name, wire.TypeDS}]
	if msg == nil {
		return nil
	}
	c := &Cut{Name: name, Parent: at.Name, Until: at.Until, TTL: at.TTL}
	if p.Budget.take(&p.Budget.cuts, LimitZones) {
		p.proveCut(c, at, msg)
	} else {
		c.Finding = p.failed(checked{limit: true}, at.Name)
	}
	p.cuts[name] = c
	if p.Budget.hit == LimitNone {
		p.Known.PutCut(c)
	}
	return c
}

func (p *Prover) proveCut(c *Cut, at *Zone, msg *wire.Msg) {
	answer := p.answer(msg)
	if set := answer.find(c.Name, wire.TypeDS); set != nil {
		got := p.verify(set, at.Name, at.keys)
		if got.ok && int(got.sig.Labels) != wire.CountLabel(c.Name) {
			got = checked{code: CodeBogus, text: "the DS records of " + c.Name + " are of a wildcard"}
		}
		if !got.ok {
			c.Finding = p.failed(got, at.Name)
			return
		}
		c.Until, c.TTL = earlier(c.Until, p.end(got.sig)), min(c.TTL, seconds(set.ttl(got.sig)))
		c.Signature = got.sig
		p.signedCut(c, set)
		return
	}
	if p.aliasAt(c, at, answer) {
		return
	}
	p.deniedCut(c, at, msg)
}

// signedCut: where no DS record can be used, the zone counts as unsigned (RFC 4035 §5.2, VAL-4).
func (p *Prover) signedCut(c *Cut, set *rrset) {
	algorithm := false
	for _, rr := range set.rrs {
		ds, ok := rr.(*wire.DS)
		if !ok {
			continue
		}
		known := p.Algorithms[ds.Algorithm] != nil
		algorithm = algorithm || known
		if known && p.Digests[ds.DigestType] != nil {
			c.DS = append(c.DS, ds)
		}
	}
	c.Zone = c.Name
	if len(c.DS) > 0 {
		c.Kind, c.State = CutSigned, dns.Secure
		return
	}
	c.Kind, c.State, c.Code = CutUnsigned, dns.Insecure, CodeAlgorithm
	c.Text = c.Name + " is signed only with algorithms that are not known or must not be relied on"
	if algorithm {
		c.Code = CodeDigest
		c.Text = "the DS records of " + c.Name + " have only digests that are not known or must not be relied on"
	}
}

// aliasAt: an alias at the name, or a DNAME above it, signed by the zone: no zone begins there.
func (p *Prover) aliasAt(c *Cut, at *Zone, answer *section) bool {
	for _, set := range answer.sets {
		alias := set.rtype == wire.TypeCNAME && set.name == c.Name || set.rtype == wire.TypeDNAME && below(c.Name, set.name)
		if !alias || len(set.rrs) == 0 {
			continue
		}
		if got := p.verify(set, at.Name, at.keys); got.ok {
			c.Kind, c.Finding = CutNone, Finding{State: dns.Secure, Zone: at.Name}
			c.Until, c.TTL = earlier(c.Until, p.end(got.sig)), min(c.TTL, seconds(set.ttl(got.sig)))
			return true
		}
	}
	return false
}

// deniedCut: what the denial of DS says: an unsigned delegation, or no delegation (RFC 4035 §5.2, RFC 5155 §8.9).
func (p *Prover) deniedCut(c *Cut, at *Zone, msg *wire.Msg) {
	d, bad := p.denials(msg, at)
	c.Until, c.TTL = earlier(c.Until, p.endOf(d)), min(c.TTL, seconds(d.ttl))
	switch {
	case d.noData(p.Budget, c.Name, wire.TypeDS) == proven:
		c.Kind, c.Finding = CutNone, Finding{State: dns.Secure, Zone: at.Name}
		if d.delegated(p.Budget, c.Name) {
			c.Kind, c.Finding = CutUnsigned, Finding{State: dns.Insecure, Zone: c.Name, Text: c.Name + " is not signed: " + at.Name + " proves that it has no DS record"}
		}
	case d.noName(p.Budget, c.Name) == proven:
		c.Kind, c.Finding = CutMissing, Finding{State: dns.Secure, Zone: at.Name}
	case d.noData(p.Budget, c.Name, wire.TypeDS) == optedOut, d.noName(p.Budget, c.Name) == optedOut:
		c.Kind, c.Finding = CutUnsigned, Finding{State: dns.Insecure, Zone: c.Name, Text: c.Name + " is not signed: " + at.Name + " opts out for it"}
		c.optOut = true
	case d.beyond:
		c.Kind, c.Finding = CutUnsigned, p.tooManyIterations(at.Name)
	case p.Budget.hit != LimitNone:
		c.Finding = p.failed(checked{limit: true}, at.Name)
	case bad.code != CodeNone && bad.code != CodeNoSignature:
		c.Finding = p.failed(bad, at.Name)
	default:
		c.Finding = Finding{dns.Bogus, CodeNoDenial, at.Name, at.Name + " neither has a DS record of " + c.Name + " nor proves that there is none", LimitNone}
	}
}

func (p *Prover) tooManyIterations(zone string) Finding {
	return Finding{State: dns.Insecure, Code: CodeIterations, Zone: zone, Text: fmt.Sprintf("%s has NSEC3 records of more than %d iterations", zone, p.Budget.limits.Iterations)}
}

// denials are those of a message that the zone's keys verify; bad is why others were left out.
func (p *Prover) denials(msg *wire.Msg, z *Zone) (*denials, checked) {
	d := &denials{zone: z.Name, ttl: 1<<31 - 1}
	var bad checked
	sec := p.authority(msg)
	for _, set := range sec.sets {
		if set.rtype != wire.TypeNSEC && set.rtype != wire.TypeNSEC3 || len(set.rrs) == 0 {
			continue
		}
		got := p.verify(set, z.Name, z.keys)
		// A denial must not come out of a wildcard.
		own := wire.CountLabel(set.name)
		if firstLabel(set.name) == "*" {
			own--
		}
		if got.ok && int(got.sig.Labels) != own {
			got = checked{code: CodeBogus, text: "a denial by " + z.Name + " is of a wildcard"}
		}
		if !got.ok {
			if bad.code == CodeNone {
				bad = got
			}
			continue
		}
		d.until, d.ttl = append(d.until, got.sig), min(d.ttl, set.ttl(got.sig))
		p.add(d, set)
	}
	return d, bad
}

func (p *Prover) add(d *denials, set *rrset) {
	for _, rr := range set.rrs {
		switch rr := rr.(type) {
		case *wire.NSEC:
			d.nsec = append(d.nsec, rr)
		case *wire.NSEC3:
			n, ok := parseNSEC3(rr, d.zone)
			if ok && n.iterations > p.Budget.limits.Iterations {
				d.beyond = true
			} else if ok {
				d.nsec3 = append(d.nsec3, n)
			}
		}
	}
}

func (p *Prover) endOf(d *denials) time.Time {
	var t time.Time
	for _, sig := range d.until {
		t = earlier(t, p.end(sig))
	}
	return t
}
