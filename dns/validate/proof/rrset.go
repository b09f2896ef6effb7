package proof

import (
	"slices"

	wire "github.com/miekg/dns"
)

// rrset is the records of one name and type in a section, with their signatures.
type rrset struct {
	name  string
	rtype uint16
	rrs   []wire.RR
	sigs  []*wire.RRSIG

	datas [][]byte // the records' data in canonical form, once it was needed
	err   error    // why there is no such form
}

// signed appends to out what a signature of the set covers.
func (s *rrset) signed(out []byte, sig *wire.RRSIG) ([]byte, error) {
	s.canonical()
	if s.err != nil {
		return nil, s.err
	}
	return signedData(out, s.name, s.datas, sig)
}

// canonical sets datas or err.
func (s *rrset) canonical() {
	if s.datas == nil && s.err == nil {
		s.datas, s.err = canonical(s.rrs)
	}
}

// section is the sets of a section, in their order.
type section struct {
	sets  []*rrset
	at    map[Question]*rrset // nil: there are so few that they are looked through
	block []rrset             // where the next sets stand: they are allocated several at once
}

// few is how many sets are looked through faster than a map of them is made.
const few = 8

// maxRecords bounds what is looked at of a section; honest messages have fewer.
const maxRecords = 1000

// distinct is how many records there are, each counted once.
func (s *rrset) distinct() int {
	s.canonical()
	if s.err != nil {
		return len(s.rrs)
	}
	return len(s.datas)
}

// answer and authority are the sections of a message, each read once.
func (p *Prover) answer(m *wire.Msg) *section { return p.section(&m.Answer) }

func (p *Prover) authority(m *wire.Msg) *section { return p.section(&m.Ns) }

func (p *Prover) section(rrs *[]wire.RR) *section {
	if s := p.sections[rrs]; s != nil {
		return s
	}
	if p.sections == nil {
		p.sections = make(map[*[]wire.RR]*section)
	}
	s := read(*rrs)
	p.sections[rrs] = &s
	return &s
}

// read sorts the records of a section into sets. What is not of class IN is left out.
func read(rrs []wire.RR) section {
	var s section
	for _, rr := range rrs[:min(len(rrs), maxRecords)] {
		if rr == nil || rr.Header().Class != wire.ClassINET {
			continue
		}
		name := canon(rr.Header().Name)
		if sig, ok := rr.(*wire.RRSIG); ok {
			set := s.set(name, sig.TypeCovered)
			set.sigs = append(set.sigs, sig)
			continue
		}
		set := s.set(name, rr.Header().Rrtype)
		set.rrs = append(set.rrs, rr)
	}
	return s
}

func (s *section) set(name string, rtype uint16) *rrset {
	if set := s.look(name, rtype); set != nil {
		return set
	}
	if len(s.block) == 0 {
		s.block = make([]rrset, min(max(len(s.sets), 2), 64))
	}
	set := &s.block[0]
	s.block = s.block[1:]
	set.name, set.rtype = name, rtype
	if s.sets = append(s.sets, set); len(s.sets) == few+1 {
		s.at = make(map[Question]*rrset)
		for _, set := range s.sets {
			s.at[Question{set.name, set.rtype}] = set
		}
	} else if s.at != nil {
		s.at[Question{name, rtype}] = set
	}
	return set
}

// look is the set of that name and type, with records or without; nil: there is none.
func (s *section) look(name string, rtype uint16) *rrset {
	if s.at != nil {
		return s.at[Question{name, rtype}]
	}
	for _, set := range s.sets {
		if set.rtype == rtype && set.name == name {
			return set
		}
	}
	return nil
}

// find is the set of that name and type; nil: there is none with records.
func (s *section) find(name string, rtype uint16) *rrset {
	set := s.look(name, rtype)
	if set == nil || len(set.rrs) == 0 {
		return nil
	}
	return set
}

// signers are the names that claim to have signed the set and may have: at or above
// it, the nearest first, at most three. A DS set is the parent's (RFC 4035 §2.4).
func (s *rrset) signers() []string {
	var out []string
	for _, sig := range s.sigs {
		signer := canon(sig.SignerName)
		if !s.maySign(signer) || slices.Contains(out, signer) {
			continue
		}
		out = append(out, signer)
	}
	slices.SortFunc(out, func(a, b string) int { return wire.CountLabel(b) - wire.CountLabel(a) })
	return out[:min(len(out), 3)]
}

func (s *rrset) maySign(signer string) bool {
	if s.rtype == wire.TypeDS && s.name != "." {
		return below(s.name, signer)
	}
	return under(s.name, signer)
}

// ttl is the smallest of the set, bounded by what its signature says.
func (s *rrset) ttl(sig *wire.RRSIG) uint32 {
	ttl := uint32(1<<31 - 1)
	for _, rr := range s.rrs {
		t := rr.Header().Ttl
		if t > 1<<31-1 { // RFC 2181 §8
			t = 0
		}
		ttl = min(ttl, t)
	}
	if sig != nil {
		ttl = min(ttl, sig.OrigTtl, sig.Hdr.Ttl)
	}
	return ttl
}
