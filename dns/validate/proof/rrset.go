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

// signed is what a signature of the set covers.
func (s *rrset) signed(sig *wire.RRSIG) ([]byte, error) {
	if s.datas == nil && s.err == nil {
		s.datas, s.err = canonical(s.rrs)
	}
	if s.err != nil {
		return nil, s.err
	}
	return signedData(s.name, s.datas, sig)
}

// section is the sets of a section, in their order.
type section struct {
	sets []*rrset
	at   map[Question]*rrset
}

// maxRecords bounds what is looked at of a section; honest messages have fewer.
const maxRecords = 1000

// distinct is how many records there are, each counted once.
func (s *rrset) distinct() int {
	_, _ = s.signed(&wire.RRSIG{})
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
	s := section{at: make(map[Question]*rrset)}
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
	key := Question{name, rtype}
	set := s.at[key]
	if set == nil {
		set = &rrset{name: name, rtype: rtype}
		s.at[key] = set
		s.sets = append(s.sets, set)
	}
	return set
}

// find is the set of that name and type; nil: there is none with records.
func (s *section) find(name string, rtype uint16) *rrset {
	set := s.at[Question{name, rtype}]
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
