package proof

import (
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
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
	own, err := base32hex.DecodeString(strings.ToUpper(firstLabel(owner)))
	next, err2 := base32hex.DecodeString(strings.ToUpper(rr.NextDomain))
	salt, err3 := hex.DecodeString(strings.TrimPrefix(rr.Salt, "-"))
	if err != nil || err2 != nil || err3 != nil || len(own) != sha1.Size || len(next) != sha1.Size {
		return nil, false
	}
	return &nsec3{string(own), string(next), rr.TypeBitMap, rr.Flags&1 != 0, int(rr.Iterations), string(salt)}, true
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

// hasher hashes names for one set of parameters, each once, as long as the budget lasts.
type hasher struct {
	records []*nsec3 // with these parameters
	budget  *Budget
	known   map[string]string
}

// hashers are one for each set of parameters in the message: a zone that changes its
// salt may show two (RFC 5155 §8.2: those of one proof are alike).
func (d *denials) hashers(b *Budget) []*hasher {
	if d.hashed != nil {
		return d.hashed
	}
	type params struct {
		salt       string
		iterations int
	}
	var order []params
	by := map[params]*hasher{}
	for _, n := range d.nsec3 {
		k := params{n.salt, n.iterations}
		if by[k] == nil {
			by[k] = &hasher{budget: b, known: map[string]string{}}
			order = append(order, k)
		}
		by[k].records = append(by[k].records, n)
	}
	for _, k := range order {
		d.hashed = append(d.hashed, by[k])
	}
	return d.hashed
}

func (h *hasher) hash(name string) (string, bool) {
	if v, ok := h.known[name]; ok {
		return v, true
	}
	if !h.budget.take(&h.budget.hashes, LimitHashes) {
		return "", false
	}
	v, ok := hashNSEC3(name, h.records[0].salt, h.records[0].iterations)
	if ok {
		h.known[name] = v
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
