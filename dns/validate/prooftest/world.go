package prooftest

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// World is the zones of a test, the root among them.
type World struct {
	Zones map[string]*Signed
	// Mangle changes answers before they go out; nil: none.
	Mangle func(q wire.Question, m *wire.Msg)
}

// New puts zones together: DS records of each signed one into its parent, then signs all.
func New(keys *Keys, now time.Time, zones ...Zone) (*World, error) {
	w := &World{Zones: map[string]*Signed{}}
	for i, z := range zones {
		s, err := load(z, keys, i%keyNumbers, now)
		if err != nil {
			return nil, err
		}
		w.Zones[s.name] = s
	}
	for name, s := range w.Zones {
		if up := w.above(name); up != nil && s.DS != nil && !s.NoDS && !up.Unsigned {
			ds := *s.DS
			up.Add(&ds)
			for _, more := range s.more {
				up.Add(more)
			}
		}
	}
	for _, s := range w.Zones {
		if err := s.sign(); err != nil {
			return nil, err
		}
		if err := s.spoil(); err != nil {
			return nil, fmt.Errorf("zone %s: %w", s.name, err)
		}
	}
	return w, nil
}

// Anchor is the DS record of the root.
func (w *World) Anchor() *wire.DS { return w.Zones["."].DS }

func (w *World) above(name string) *Signed {
	if name == "." {
		return nil
	}
	i, end := wire.NextLabel(name, 0)
	if end {
		return w.of(".")
	}
	return w.of(name[i:])
}

// of is the zone in which a name lies.
func (w *World) of(name string) *Signed {
	var best *Signed
	for _, s := range w.Zones {
		if wire.IsSubDomain(s.name, name) && (best == nil || len(s.name) > len(best.name)) {
			best = s
		}
	}
	return best
}

// Names are the names of the zones, the root first.
func (w *World) Names() []string {
	return slices.SortedFunc(maps.Keys(w.Zones), order)
}

// Answer is what a resolver that does not validate says to a question with DO and CD.
func (w *World) Answer(name string, qtype uint16) *wire.Msg {
	q := new(wire.Msg)
	q.SetQuestion(wire.Fqdn(name), qtype)
	q.Id = 1
	m := new(wire.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.SetEdns0(4096, true)
	at := wire.CanonicalName(name)
	for range 20 {
		next, more := w.resolve(m, at, qtype)
		if !more {
			break
		}
		at = next
	}
	if w.Mangle != nil {
		w.Mangle(m.Question[0], m)
	}
	return m
}

// resolve adds what the zone of name says to m; more: it is an alias, and next its target.
func (w *World) resolve(m *wire.Msg, name string, qtype uint16) (next string, more bool) {
	s := w.of(name)
	if qtype == wire.TypeDS && name != "." {
		s = w.above(name)
	}
	if s == nil {
		m.Rcode = wire.RcodeRefused
		return "", false
	}
	for up := name; up != s.name; {
		i, _ := wire.NextLabel(up, 0)
		if up = up[i:]; up == "" {
			up = "."
		}
		if set := s.nodes[up][wire.TypeDNAME]; set != nil {
			target := strings.TrimSuffix(name, up) + set[0].(*wire.DNAME).Target
			m.Answer = append(append(m.Answer, set...), s.sigs[up][wire.TypeDNAME]...)
			m.Answer = append(m.Answer, &wire.CNAME{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeCNAME, Class: wire.ClassINET, Ttl: 300}, Target: target})
			return wire.CanonicalName(target), true
		}
	}
	if types, ok := s.nodes[name]; ok {
		return s.found(m, name, name, types, qtype)
	}
	ce := s.encloser(name)
	wild := "*." + strings.TrimPrefix(ce, ".")
	if types, ok := s.nodes[wild]; ok && !s.exists(name) {
		s.noCloser(m, name, ce)
		return s.found(m, wild, name, types, qtype)
	}
	if s.exists(name) {
		s.negative(m, name, ce, wild)
		return "", false
	}
	m.Rcode = wire.RcodeNameError
	s.negative(m, name, ce, wild)
	return "", false
}

// found answers from the node at owner, for name.
func (s *Signed) found(m *wire.Msg, owner, name string, types map[uint16][]wire.RR, qtype uint16) (string, bool) {
	for _, t := range []uint16{qtype, wire.TypeCNAME} {
		if types[t] == nil {
			continue
		}
		for _, rr := range slices.Concat(types[t], s.sigs[owner][t]) {
			c := wire.Copy(rr)
			c.Header().Name = name
			m.Answer = append(m.Answer, c)
		}
		if t == wire.TypeCNAME && qtype != wire.TypeCNAME {
			return wire.CanonicalName(types[t][0].(*wire.CNAME).Target), true
		}
		return "", false
	}
	s.negative(m, name, s.encloser(name), owner)
	return "", false
}

// exists reports a name with records, or an empty non-terminal.
func (s *Signed) exists(name string) bool { return s.present[name] }

func (s *Signed) encloser(name string) string {
	for up := name; up != s.name; {
		i, _ := wire.NextLabel(up, 0)
		if up = up[i:]; up == "" {
			up = "."
		}
		if s.exists(up) {
			return up
		}
	}
	return s.name
}

// negative adds SOA and all records that deny: those that match or cover the name, the
// next closer name, the closest encloser and the wildcard.
func (s *Signed) negative(m *wire.Msg, name, ce, wild string) {
	m.Ns = append(append(m.Ns, s.nodes[s.name][wire.TypeSOA]...), s.sigs[s.name][wire.TypeSOA]...)
	if s.Unsigned {
		return
	}
	if s.NSEC3 {
		s.deniedBy(m, s.hash(name), false)
		if !s.has(s.hash(name)) {
			s.noCloser(m, name, s.provable(ce))
			s.deniedBy(m, s.hash(s.provable(ce)), false)
			s.deniedBy(m, s.hash(wild), true)
		}
		return
	}
	s.deniedBy(m, name, true)
	s.deniedBy(m, wild, true)
}

// provable is the closest encloser that has an NSEC3 record: opt-out leaves some without (RFC 5155 §7.2.1).
func (s *Signed) provable(ce string) string {
	for ce != s.name && !s.has(s.hash(ce)) {
		i, _ := wire.NextLabel(ce, 0)
		if ce = ce[i:]; ce == "" {
			ce = "."
		}
	}
	return ce
}

func (s *Signed) noCloser(m *wire.Msg, name, ce string) {
	if s.Unsigned {
		return
	}
	if !s.NSEC3 {
		s.deniedBy(m, name, true)
		return
	}
	labels := wire.SplitDomainName(name)
	next := strings.Join(labels[len(labels)-wire.CountLabel(ce)-1:], ".") + "."
	s.deniedBy(m, s.hash(next), true)
}

func (s *Signed) has(hash string) bool {
	i := s.at(hash)
	return i >= 0 && s.chain[i].key == hash
}

// at is the last record of the chain that is not behind key; -1: all are.
func (s *Signed) at(key string) int {
	return sort.Search(len(s.chain), func(i int) bool {
		if s.NSEC3 {
			return s.chain[i].key > key
		}
		return order(s.chain[i].key, key) > 0
	}) - 1
}

// deniedBy adds the record at key, or, where cover is allowed, that which covers it.
func (s *Signed) deniedBy(m *wire.Msg, key string, cover bool) {
	i := s.at(key)
	if !cover && (i < 0 || s.chain[i].key != key) || len(s.chain) == 0 {
		return
	}
	if i < 0 {
		i = len(s.chain) - 1
	}
	if l := s.chain[i]; !slices.Contains(m.Ns, l.rr) {
		m.Ns = append(append(m.Ns, l.rr), l.sigs...)
	}
}
