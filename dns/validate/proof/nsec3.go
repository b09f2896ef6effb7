package proof

import (
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
	"slices"
	"strings"

	wire "github.com/miekg/dns"
)

// nsec3 is an NSEC3 record whose hashes are decoded.
type nsec3 struct {
	owner, next string // octets of the hashes
	bits        []uint16
	optOut      bool
	iterations  int
	salt        string // octets
}

var base32hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// parseNSEC3 reads a record of zone; false: it must be passed over (RFC 5155 §8.1,
// §8.2: unknown hash or flags).
func parseNSEC3(rr *wire.NSEC3, zone string) (*nsec3, bool) {
	owner := canon(rr.Hdr.Name)
	if rr.Hash != wire.SHA1 || rr.Flags&^1 != 0 || parent(owner) != zone || owner == zone {
		return nil, false
	}
	own, ok := unbase32(firstLabel(owner))
	next, ok2 := unbase32(rr.NextDomain)
	salt, err := hex.DecodeString(strings.TrimPrefix(rr.Salt, "-"))
	if !ok || !ok2 || err != nil {
		return nil, false
	}
	return &nsec3{own, next, rr.TypeBitMap, rr.Flags&1 != 0, int(rr.Iterations), string(salt)}, true
}

// unbase32 is the octets of a hash, which is written in letters of either case; false: it is none.
func unbase32(s string) (string, bool) {
	var text [32]byte // of the 20 octets of SHA-1
	var sum [sha1.Size]byte
	if len(s) != len(text) {
		return "", false
	}
	for i := range text {
		text[i] = s[i]
		if s[i] >= 'a' && s[i] <= 'z' {
			text[i] -= 'a' - 'A'
		}
	}
	n, err := base32hex.Decode(sum[:], text[:])
	return string(sum[:]), err == nil && n == len(sum)
}

// covers reports whether a hash falls between owner and next; the last record's next is the first's owner.
func (n *nsec3) covers(h string) bool {
	if n.owner < n.next {
		return n.owner < h && h < n.next
	}
	return h > n.owner || h < n.next
}

// hashNSEC3 is RFC 5155 §5.
func hashNSEC3(name, salt string, iterations int) (string, bool) {
	b, err := appendName(nil, name)
	if err != nil {
		return "", false
	}
	sum := sha1.Sum(append(b, salt...))
	for range iterations {
		sum = sha1.Sum(append(append(make([]byte, 0, 276), sum[:]...), salt...))
	}
	return string(sum[:]), true
}

// hashed is a name and its hash.
type hashed struct{ name, sum string }

// hasher hashes names for one set of parameters, each once, as long as the budget lasts.
type hasher struct {
	records []*nsec3 // with these parameters
	budget  *Budget
	known   []hashed // not many: each was taken out of the budget
}

// hashers are one for each set of parameters in the message: a zone that changes its
// salt may show two (RFC 5155 §8.2: those of one proof are alike).
func (d *denials) hashers(b *Budget) []*hasher {
	if d.hashed != nil {
		return d.hashed
	}
	if len(d.nsec3) > 0 && !slices.ContainsFunc(d.nsec3, func(n *nsec3) bool { return !n.alike(d.nsec3[0]) }) {
		d.hashed = []*hasher{{budget: b, records: d.nsec3}} // as nearly always
		return d.hashed
	}
	type params struct {
		salt       string
		iterations int
	}
	by := map[params]*hasher{}
	for _, n := range d.nsec3 {
		k := params{n.salt, n.iterations}
		if by[k] == nil {
			by[k] = &hasher{budget: b}
			d.hashed = append(d.hashed, by[k])
		}
		by[k].records = append(by[k].records, n)
	}
	return d.hashed
}

// alike reports whether names are hashed for n as for o.
func (n *nsec3) alike(o *nsec3) bool { return n.iterations == o.iterations && n.salt == o.salt }

func (h *hasher) hash(name string) (string, bool) {
	for _, k := range h.known {
		if k.name == name {
			return k.sum, true
		}
	}
	if !h.budget.take(&h.budget.hashes, LimitHashes) {
		return "", false
	}
	v, ok := hashNSEC3(name, h.records[0].salt, h.records[0].iterations)
	if ok {
		h.known = append(h.known, hashed{name, v})
	}
	return v, ok
}

func (h *hasher) matching(name string) *nsec3 {
	if sum, ok := h.hash(name); ok {
		for _, n := range h.records {
			if n.owner == sum {
				return n
			}
		}
	}
	return nil
}

func (h *hasher) covering(name string) *nsec3 {
	if sum, ok := h.hash(name); ok {
		for _, n := range h.records {
			if n.covers(sum) {
				return n
			}
		}
	}
	return nil
}

// encloser proves the closest encloser of name (RFC 5155 §8.3): the nearest name
// above it that exists, and the record that covers the next name towards it.
func (h *hasher) encloser(name, zone string) (ce string, next *nsec3) {
	for at := name; at != zone && under(at, zone); at = parent(at) {
		up := parent(at)
		m := h.matching(up)
		if m == nil {
			continue
		}
		if delegates(m.bits) {
			return "", nil
		}
		return up, h.covering(at)
	}
	return "", nil
}

// noName: RFC 5155 §8.4.
func (h *hasher) noName(name, zone string) outcome {
	ce, next := h.encloser(name, zone)
	if next == nil || h.covering(wildcard(ce)) == nil {
		return unproven
	}
	return optOutcome(next.optOut)
}

func optOutcome(optOut bool) outcome {
	if optOut {
		return optedOut
	}
	return proven
}

// noData: RFC 5155 §8.5 to §8.7.
func (h *hasher) noData(name string, t uint16, zone string) outcome {
	if m := h.matching(name); m != nil {
		if lacks(m.bits, t, name) {
			return proven
		}
		return unproven
	}
	ce, next := h.encloser(name, zone)
	if next == nil {
		return unproven
	}
	if w := h.matching(wildcard(ce)); w != nil {
		if lacks(w.bits, t, "") {
			return optOutcome(next.optOut)
		}
		return unproven
	}
	// Opt-out: the delegation is not signed (§8.6), or the name is an empty
	// non-terminal above such ones, which has no record of its own (erratum 3441).
	if next.optOut {
		return optedOut
	}
	return unproven
}

// noCloser: RFC 5155 §8.8.
func (h *hasher) noCloser(name, ce string) outcome {
	next := h.covering(suffix(name, wire.CountLabel(ce)+1))
	if next == nil {
		return unproven
	}
	return optOutcome(next.optOut)
}

// noName, noData and noCloser try NSEC, then each set of NSEC3 parameters.
func (d *denials) noName(b *Budget, name string) outcome {
	return d.best(b, d.nsecNoName(name), func(h *hasher) outcome { return h.noName(name, d.zone) })
}

func (d *denials) noData(b *Budget, name string, t uint16) outcome {
	return d.best(b, d.nsecNoData(name, t), func(h *hasher) outcome { return h.noData(name, t, d.zone) })
}

func (d *denials) noCloser(b *Budget, name, ce string) outcome {
	return d.best(b, d.nsecNoCloser(name, ce), func(h *hasher) outcome { return h.noCloser(name, ce) })
}

func (d *denials) best(b *Budget, first outcome, try func(*hasher) outcome) outcome {
	best := first
	for _, h := range d.hashers(b) {
		if best == proven {
			break
		}
		if o := try(h); o != unproven {
			best = o
		}
	}
	return best
}

// delegated reports whether the record at name itself says that a zone begins there.
func (d *denials) delegated(b *Budget, name string) bool {
	if n := d.matching(name); n != nil {
		return has(n.TypeBitMap, wire.TypeNS)
	}
	for _, h := range d.hashers(b) {
		if m := h.matching(name); m != nil {
			return has(m.bits, wire.TypeNS)
		}
	}
	return false
}
