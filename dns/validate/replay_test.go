package validate_test

import (
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 the scenarios of unbound are signed with it
	"crypto/sha1"
	"encoding/asn1"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/proof"
)

// replay is a scenario of unbound's tests: what authoritative servers answer, what is
// asked, and what must come of it.
type replay struct {
	anchors []string // DS and DNSKEY records
	tracked []string // an AUTOTRUST_FILE
	option  map[string]string
	now     time.Time
	dated   bool // now is the scenario's own
	entries []replayed
	steps   []step
}

// replayed is an answer that a server gives to a question.
type replayed struct {
	from, to int // steps
	match    []string
	flags    []string
	question proof.Question
	answer   []wire.RR
	ns       []wire.RR
}

func (e *replayed) has(flag string) bool   { return slices.Contains(e.flags, flag) }
func (e *replayed) matches(on string) bool { return slices.Contains(e.match, on) }
func (e *replayed) during(at int) bool     { return e.from <= at && at <= e.to }
func (e *replayed) failed() bool {
	return e.has("REFUSED") || e.has("SERVFAIL") || e.has("FORMERR") || e.has("NOTIMPL")
}
func only(rrs []wire.RR, types ...uint16) bool {
	return !slices.ContainsFunc(rrs, func(rr wire.RR) bool {
		t := rr.Header().Rrtype
		if sig, ok := rr.(*wire.RRSIG); ok {
			t = sig.TypeCovered
		}
		return !slices.Contains(types, t)
	})
}

// referral: name servers in place of an answer.
func (e *replayed) referral() bool {
	if len(e.answer) > 0 || e.has("NXDOMAIN") || len(e.ns) == 0 {
		return false
	}
	return slices.ContainsFunc(e.ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeNS }) &&
		!slices.ContainsFunc(e.ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeSOA })
}

// step is a step of a scenario.
type step struct {
	number int
	kind   string
	rest   []string
	entry  replayed
	file   []string // of CHECK_AUTOTRUST
}

// readReplay reads a scenario.
func readReplay(path string) (*replay, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &replay{option: map[string]string{}}
	p := &replayReader{replay: r, lines: strings.Split(string(b), "\n")}
	if err := p.read(); err != nil {
		return nil, fmt.Errorf("line %d: %w", p.at, err)
	}
	if r.now.IsZero() {
		r.now = r.signedAt()
	}
	return r, nil
}

// signedAt is a time at which signatures are valid, where the scenario says that none counts.
func (r *replay) signedAt() (at time.Time) {
	for _, e := range r.entries {
		for _, rr := range slices.Concat(e.answer, e.ns) {
			if sig, ok := rr.(*wire.RRSIG); ok && at.IsZero() {
				at = time.Unix(int64(sig.Expiration)-3600, 0)
			}
		}
	}
	return at
}

type replayReader struct {
	*replay
	lines    []string
	at       int
	from, to int
}

// next is the next line that says something, without what follows a semicolon.
func (p *replayReader) next() ([]string, string, bool) {
	for p.at < len(p.lines) {
		line, _, _ := strings.Cut(p.lines[p.at], ";")
		p.at++
		if f := strings.Fields(line); len(f) > 0 {
			return f, line, true
		}
	}
	return nil, "", false
}

func (p *replayReader) read() error {
	for {
		f, line, ok := p.next()
		if !ok {
			return nil
		}
		if err := p.line(f, line); err != nil {
			return err
		}
	}
}

func (p *replayReader) line(f []string, line string) (err error) {
	key, value, isOption := strings.Cut(strings.TrimSpace(line), ":")
	switch {
	case f[0] == "RANGE_BEGIN":
		p.from, _ = strconv.Atoi(f[1])
		p.to, _ = strconv.Atoi(f[2])
	case f[0] == "ENTRY_BEGIN":
		e, err := p.entry()
		p.entries = append(p.entries, e)
		return err
	case f[0] == "STEP":
		return p.step(f)
	case f[0] == "AUTOTRUST_FILE":
		p.tracked = p.until("AUTOTRUST_END")
	case isOption && key == "trust-anchor":
		// Comments are part of no anchor; a quoted one has none.
		p.anchors = append(p.anchors, strings.Trim(strings.TrimSpace(value), `"`))
	case isOption && key == "val-override-date":
		if p.now, err = time.Parse("20060102150405", strings.Trim(strings.TrimSpace(value), `"`)); err != nil {
			p.now = time.Time{}
		}
		p.dated = err == nil
	case isOption:
		p.option[key] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return nil
}

func (p *replayReader) until(end string) (lines []string) {
	for p.at < len(p.lines) {
		line := p.lines[p.at]
		p.at++
		if strings.TrimSpace(line) == end {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

func (p *replayReader) step(f []string) error {
	s := step{kind: f[2], rest: f[3:]}
	s.number, _ = strconv.Atoi(f[1])
	switch s.kind {
	case "QUERY", "CHECK_ANSWER":
		f, _, ok := p.next()
		if ok && f[0] == "ENTRY_BEGIN" {
			e, err := p.entry()
			if err != nil {
				return err
			}
			s.entry = e
		}
	case "CHECK_AUTOTRUST":
		if _, _, ok := p.next(); ok {
			s.file = p.until("FILE_END")
		}
	}
	p.steps = append(p.steps, s)
	return nil
}

func (p *replayReader) entry() (replayed, error) {
	e := replayed{from: p.from, to: p.to}
	section := ""
	text := map[string]string{}
	for {
		f, line, ok := p.next()
		if !ok || f[0] == "ENTRY_END" {
			break
		}
		switch {
		case f[0] == "MATCH":
			e.match = append(e.match, f[1:]...)
		case f[0] == "REPLY":
			e.flags = append(e.flags, f[1:]...)
		case f[0] == "SECTION":
			section = f[1]
		case f[0] == "ADJUST", section == "":
		case section == "QUESTION":
			e.question = proof.Ask(wire.Fqdn(f[0]), wire.StringToType[f[len(f)-1]])
		default:
			text[section] += strings.TrimLeft(line, " \t") + "\n"
		}
	}
	var err error
	if e.answer, err = records(text["ANSWER"]); err == nil {
		e.ns, err = records(text["AUTHORITY"])
	}
	if extra, bad := records(text["ADDITIONAL"]); bad == nil {
		e.collate(extra)
	}
	return e, err
}

// collate puts signatures beside the sets that they cover, wherever in the message they stood: recursive
// resolvers do so.
func (e *replayed) collate(extra []wire.RR) {
	for _, rr := range extra {
		sig, ok := rr.(*wire.RRSIG)
		if !ok {
			continue
		}
		for _, section := range []*[]wire.RR{&e.answer, &e.ns} {
			covers := func(rr wire.RR) bool {
				return rr.Header().Rrtype == sig.TypeCovered && wire.CanonicalName(rr.Header().Name) == wire.CanonicalName(sig.Hdr.Name)
			}
			if slices.ContainsFunc(*section, covers) {
				*section = append(*section, sig)
			}
		}
	}
}

func records(text string) ([]wire.RR, error) {
	var out []wire.RR
	zp := wire.NewZoneParser(strings.NewReader(text), ".", "")
	zp.SetDefaultTTL(3600)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		switch rr := rr.(type) { // types stand in any order in text, and in one alone in messages
		case *wire.NSEC:
			slices.Sort(rr.TypeBitMap)
		case *wire.NSEC3:
			slices.Sort(rr.TypeBitMap)
		}
		out = append(out, rr)
	}
	return out, zp.Err()
}

// answers is what a recursive resolver says that does not validate and whose servers are those of
// the scenario.
func (r *replay) answers(at int, q proof.Question) *wire.Msg {
	m := new(wire.Msg)
	m.SetQuestion(q.Name, q.Type)
	m.Response, m.RecursionAvailable = true, true
	m.Rcode = wire.RcodeServerFailure
	name := q.Name
	if q.Type == wire.TypeDS {
		m.Rcode = wire.RcodeSuccess
	}
	for range 20 {
		e := r.find(at, proof.Question{Name: name, Type: q.Type})
		if e == nil {
			break
		}
		if m.Rcode = wire.RcodeSuccess; e.has("NXDOMAIN") {
			m.Rcode = wire.RcodeNameError
		} else if e.has("YXDOMAIN") {
			m.Rcode = wire.RcodeYXDomain
		}
		next := r.take(m, e, name, q.Type)
		m.Ns = append(m.Ns, e.ns...)
		if next == "" || r.find(at, proof.Question{Name: next, Type: q.Type}) == nil {
			m.Answer = appendNew(m.Answer, e.answer)
			break
		}
		name = next
	}
	return m
}

func appendNew(to, more []wire.RR) []wire.RR {
	for _, rr := range more {
		if !slices.Contains(to, rr) {
			to = append(to, rr)
		}
	}
	return to
}

// take copies what an entry says of name, and returns the target of an alias.
func (r *replay) take(m *wire.Msg, e *replayed, name string, qtype uint16) (next string) {
	for range 12 {
		moved := ""
		for _, rr := range e.answer {
			h := rr.Header()
			t := h.Rrtype
			if sig, ok := rr.(*wire.RRSIG); ok {
				t = sig.TypeCovered
			}
			owner := wire.CanonicalName(h.Name)
			above := t == wire.TypeDNAME && owner != name && wire.IsSubDomain(owner, name)
			if owner != name && !above {
				continue
			}
			m.Answer = appendNew(m.Answer, []wire.RR{rr})
			if c, ok := rr.(*wire.CNAME); ok && qtype != wire.TypeCNAME && qtype != wire.TypeANY {
				moved = wire.CanonicalName(c.Target)
			}
		}
		if moved == "" || moved == next {
			return next
		}
		name, next = moved, moved
		// Within the zone, the message goes on by itself.
		if !slices.ContainsFunc(e.answer, func(rr wire.RR) bool { return wire.CanonicalName(rr.Header().Name) == name }) {
			return next
		}
	}
	return next
}

// find is the entry that answers a question best: one that is no referral, now or, as out of a
// resolver's cache, before.
func (r *replay) find(at int, q proof.Question) *replayed {
	if e := r.findIn(q, func(e *replayed) bool { return e.during(at) }); e != nil {
		return e
	}
	if e := r.findIn(q, func(e *replayed) bool { return e.from <= at }); e != nil {
		return e
	}
	if q.Type == wire.TypeDS {
		return nil
	}
	return r.cached(at, q)
}

func (r *replay) findIn(q proof.Question, now func(*replayed) bool) *replayed {
	for i := range r.entries {
		e := &r.entries[i]
		if !now(e) || e.failed() || e.referral() {
			continue
		}
		if e.matches("qtype") && e.question.Type != q.Type || e.matches("qname") && e.question.Name != q.Name {
			continue
		}
		if e.matches("subdomain") && !wire.IsSubDomain(e.question.Name, q.Name) {
			continue
		}
		return e
	}
	if q.Type == wire.TypeDS {
		return r.delegation(now, q.Name)
	}
	return nil
}

// delegation is the answer for DS that a referral holds.
func (r *replay) delegation(now func(*replayed) bool, name string) *replayed {
	for i := range r.entries {
		e := &r.entries[i]
		if !now(e) || !e.referral() || !slices.ContainsFunc(e.ns, func(rr wire.RR) bool {
			return rr.Header().Rrtype == wire.TypeNS && wire.CanonicalName(rr.Header().Name) == name
		}) {
			continue
		}
		out := &replayed{question: proof.Question{Name: name, Type: wire.TypeDS}}
		for _, rr := range e.ns {
			switch {
			case only([]wire.RR{rr}, wire.TypeDS):
				out.answer = append(out.answer, rr)
			case only([]wire.RR{rr}, wire.TypeNSEC, wire.TypeNSEC3):
				out.ns = append(out.ns, rr)
			}
		}
		if len(out.answer)+len(out.ns) > 0 {
			return out
		}
	}
	return r.denied(now, name)
}

// denied is the denial of DS that stands beside another answer.
func (r *replay) denied(now func(*replayed) bool, name string) *replayed {
	for i := range r.entries {
		e := &r.entries[i]
		if now(e) && slices.ContainsFunc(e.ns, func(rr wire.RR) bool {
			n, ok := rr.(*wire.NSEC)
			_, hashed := rr.(*wire.NSEC3)
			return hashed || ok && wire.CanonicalName(n.Hdr.Name) == name
		}) {
			return &replayed{question: proof.Question{Name: name, Type: wire.TypeDS}, ns: e.ns}
		}
	}
	return nil
}

// oldAlgorithms are those that count, and those that the scenarios are signed with: what they try
// is the logic (VAL-17).
func oldAlgorithms() (proof.Algorithms, proof.Digests) {
	algorithms, digests := proof.Standard(), proof.StandardDigests()
	sha := func(key, data, sig []byte) bool {
		h := sha1.Sum(data)
		return proof.VerifyRSA(crypto.SHA1, key, h[:], sig)
	}
	maps.Copy(algorithms, proof.Algorithms{wire.RSASHA1: sha, wire.RSASHA1NSEC3SHA1: sha, wire.DSA: verifyDSA, wire.DSANSEC3SHA1: verifyDSA})
	digests[wire.SHA1] = func(b []byte) []byte { h := sha1.Sum(b); return h[:] }
	return algorithms, digests
}

// verifyDSA is RFC 2536.
func verifyDSA(key, data, sig []byte) bool {
	var r, s *big.Int
	var der struct{ R, S *big.Int }
	if len(sig) == 41 {
		r, s = new(big.Int).SetBytes(sig[1:21]), new(big.Int).SetBytes(sig[21:])
	} else if _, err := asn1.Unmarshal(sig, &der); err == nil { // as ldns once wrote them
		r, s = der.R, der.S
	}
	if len(key) < 21 || r == nil {
		return false
	}
	size := 64 + 8*int(key[0])
	if len(key) != 21+3*size {
		return false
	}
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	pub := &dsa.PublicKey{Parameters: dsa.Parameters{Q: number(key[1:21]), P: number(key[21 : 21+size]), G: number(key[21+size : 21+2*size])}, Y: number(key[21+2*size:])}
	h := sha1.Sum(data)
	return dsa.Verify(pub, h[:], r, s)
}

func scenarioFiles(t *testing.T, glob string) []string {
	t.Helper()
	dir, err := os.ReadDir("testdata/unbound")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range dir {
		if strings.HasPrefix(f.Name(), glob) && strings.HasSuffix(f.Name(), ".rpl") {
			out = append(out, strings.TrimSuffix(f.Name(), ".rpl"))
		}
	}
	return out
}
