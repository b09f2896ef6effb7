package proof

import (
	"slices"

	wire "github.com/miekg/dns"
)

// denials are the NSEC and NSEC3 records of a message whose signatures one zone's
// keys have verified.
type denials struct {
	zone  string
	nsec  []*wire.NSEC
	nsec3 []*nsec3
	until []*wire.RRSIG // their signatures
	ttl   uint32
	// beyond: an NSEC3 record has more iterations than are computed (VAL-6).
	beyond bool
	hashed []*hasher
}

// outcome is what denials prove of a name and type.
type outcome uint8

const (
	unproven outcome = iota
	proven
	optedOut // proven but for opt-out: there may be an unsigned delegation (RFC 5155 §9.2)
)

func has(bits []uint16, t uint16) bool { return slices.Contains(bits, t) }

// delegates reports a bitmap of the parent's side of a zone cut, or of a DNAME:
// nothing below such an owner can be denied by it (RFC 6840 §4.1, §4.3).
func delegates(bits []uint16) bool {
	return has(bits, wire.TypeNS) && !has(bits, wire.TypeSOA) || has(bits, wire.TypeDNAME)
}

// lacks reports whether a bitmap at the name itself denies a type.
func lacks(bits []uint16, t uint16, name string) bool {
	if has(bits, t) || has(bits, wire.TypeCNAME) {
		return false
	}
	if t == wire.TypeDS {
		// RFC 4035 §5.2: with SOA it is the child's own record, which says nothing of DS.
		return name == "." || !has(bits, wire.TypeSOA)
	}
	// The parent's record at a cut denies nothing but DS (RFC 6840 §4.1).
	return !has(bits, wire.TypeNS) || has(bits, wire.TypeSOA)
}

// covers reports whether name falls between the owner of n and the next name, and
// n may speak of it.
func covers(n *wire.NSEC, name, zone string) bool {
	owner, next := canon(n.Hdr.Name), canon(n.NextDomain)
	if below(name, owner) && delegates(n.TypeBitMap) {
		return false
	}
	if compare(owner, name) >= 0 || !under(name, zone) || !under(next, zone) {
		return false
	}
	// The last record of a zone points at its apex.
	return compare(name, next) < 0 || next == zone
}

// encloser is the closest name above name that exists by n, which covers it.
func encloser(n *wire.NSEC, name string) string {
	a, b := common(name, canon(n.Hdr.Name)), common(name, canon(n.NextDomain))
	if wire.CountLabel(a) > wire.CountLabel(b) {
		return a
	}
	return b
}

func (d *denials) matching(name string) *wire.NSEC {
	for _, n := range d.nsec {
		if canon(n.Hdr.Name) == name {
			return n
		}
	}
	return nil
}

func (d *denials) covering(name string) *wire.NSEC {
	for _, n := range d.nsec {
		if covers(n, name, d.zone) {
			return n
		}
	}
	return nil
}

// nsecNoName: RFC 4035 §5.4: one record covers the name, one the wildcard that could stand for it.
func (d *denials) nsecNoName(name string) outcome {
	n := d.covering(name)
	if n == nil || below(canon(n.NextDomain), name) { // an empty non-terminal exists
		return unproven
	}
	if d.covering(wildcard(encloser(n, name))) == nil {
		return unproven
	}
	return proven
}

// nsecNoData: the name has no such type, is an empty non-terminal, or a wildcard
// stands for it which has no such type (RFC 4035 §3.1.3.1, §3.1.3.4).
func (d *denials) nsecNoData(name string, t uint16) outcome {
	if n := d.matching(name); n != nil {
		if lacks(n.TypeBitMap, t, name) {
			return proven
		}
		return unproven
	}
	n := d.covering(name)
	if n == nil {
		return unproven
	}
	if below(canon(n.NextDomain), name) {
		return proven
	}
	if w := d.matching(wildcard(encloser(n, name))); w != nil && lacks(w.TypeBitMap, t, "") {
		return proven
	}
	return unproven
}

// nsecNoCloser: no name nearer than ce exists, so that the wildcard at ce stands for name (RFC 4035 §5.3.4).
func (d *denials) nsecNoCloser(name, ce string) outcome {
	for _, n := range d.nsec {
		if covers(n, name, d.zone) && !below(canon(n.NextDomain), name) && encloser(n, name) == ce {
			return proven
		}
	}
	return unproven
}
