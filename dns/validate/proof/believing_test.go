package proof

import (
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate/prooftest"
)

// believing takes signatures and digests for right that are wrong half of the time otherwise: a fuzzer makes none
// that are right, and would see nothing of what comes after them.
func believing() (Algorithms, Digests) {
	all := Algorithms{}
	for n := range Standard() {
		all[n] = func(_, _, sig []byte) bool { return len(sig) > 0 && sig[0] != 0 }
	}
	return all, Digests{wire.SHA256: func([]byte) []byte { return []byte{0xaa} }, wire.SHA384: func([]byte) []byte { return []byte{0xaa} }}
}

// believable is a world's answers, packed, with DS records that believing holds for right: to a question, and to all
// that its proof needs.
func believable(f *testing.F, zone prooftest.Zone, name string, qtype uint16) (answer, rest []byte) {
	f.Helper()
	zone.Name = "example.test."
	zone.Records = []string{"@ MX 10 mx", "mx A 192.0.2.1", "alias CNAME mx", "moved DNAME other.test.", "*.wild A 192.0.2.2", "a.b.ent A 192.0.2.3", "plain NS ns.plain"}
	now := time.Unix(1.8e9, 0)
	w, err := prooftest.New(new(prooftest.Keys), now, prooftest.Zone{Name: ".", Records: []string{"test. NS ns.test."}}, prooftest.Zone{Name: "test.", NSEC3: true, OptOut: true, Records: []string{"example NS ns.example"}}, zone)
	if err != nil {
		f.Fatal(err)
	}
	pack := func(m *wire.Msg) []byte {
		for _, rr := range m.Answer {
			if ds, ok := rr.(*wire.DS); ok {
				ds.Digest = "aa"
			}
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	all := w.Answer(".", wire.TypeDNSKEY)
	for _, q := range []Question{{"test.", wire.TypeDS}, {"test.", wire.TypeDNSKEY}, {"example.test.", wire.TypeDS}, {"example.test.", wire.TypeDNSKEY}, {name, wire.TypeDS}} {
		m := w.Answer(q.Name, q.Type)
		all.Answer, all.Ns = append(all.Answer, m.Answer...), append(all.Ns, m.Ns...)
	}
	return pack(w.Answer(name, qtype)), pack(all)
}

// FuzzBelieving: messages and keys of any shape, with signatures that are believed: the proof comes to an end within its
// budget, to the same finding each time, with what was remembered and what was not, and what is Secure is so link by link (VAL-7, VAL-16).
func FuzzBelieving(f *testing.F) {
	for _, z := range []prooftest.Zone{{}, {NSEC3: true}, {NSEC3: true, OptOut: true, Salt: "aabb", Iterations: 3}} {
		for _, name := range []string{"example.test.", "mx.example.test.", "alias.example.test.", "x.moved.example.test.", "x.wild.example.test.", "b.ent.example.test.", "none.example.test.", "plain.example.test."} {
			for _, t := range []uint16{wire.TypeA, wire.TypeDS, wire.TypeANY} {
				answer, rest := believable(f, z, name, t)
				f.Add(answer, rest, name, t)
			}
		}
	}
	anchor := &wire.DS{Hdr: wire.RR_Header{Name: ".", Class: wire.ClassINET}, Algorithm: wire.ECDSAP256SHA256, DigestType: wire.SHA256, Digest: "aa"}
	f.Fuzz(func(t *testing.T, a, b []byte, name string, qtype uint16) {
		m, rest := new(wire.Msg), new(wire.Msg)
		if m.Unpack(a) != nil || rest.Unpack(b) != nil {
			return
		}
		if _, ok := wire.IsDomainName(name); !ok {
			return
		}
		var ds []*wire.DS // of every key that may be the root's
		for _, rr := range rest.Answer {
			if k, ok := rr.(*wire.DNSKEY); ok && len(ds) < 20 {
				one := *anchor
				one.KeyTag, one.Algorithm = k.KeyTag(), k.Algorithm
				ds = append(ds, &one)
			}
		}
		mem := &sums{}
		first, limit := believe(t, ds, mem, m, rest, Ask(name, qtype))
		for range 2 {
			// What is remembered takes nothing out of the budget: beyond it more may be proven the next time.
			if again, _ := believe(t, ds, mem, m, rest, Ask(name, qtype)); limit == LimitNone && (again.Finding != first.Finding || again.NXDomain != first.NXDomain || len(again.Links) != len(first.Links)) {
				t.Fatalf("%+v, and then %+v", first.Finding, again.Finding)
			}
		}
		weakest := dns.Secure
		for _, l := range first.Links {
			if worse(l.State, weakest) {
				weakest = l.State
			}
		}
		if first.State == dns.Secure && (len(first.Links) == 0 || weakest != dns.Secure) {
			t.Fatalf("secure by %+v", first.Links)
		}
	})
}

// sums is a Memory.
type sums struct{ all []Sum }

func (m *sums) Valid(s Sum) bool { return slices.Contains(m.all, s) }
func (m *sums) Remember(s Sum)   { m.all = append(m.all, s) }

// believe drives a prover to its end, with one answer to all that it needs.
func believe(t *testing.T, anchors []*wire.DS, mem Memory, m, rest *wire.Msg, q Question) (Proof, Limit) {
	t.Helper()
	algorithms, digests := believing()
	p := &Prover{Anchors: []Anchor{{Zone: ".", DS: anchors}}, Algorithms: algorithms, Digests: digests, Now: time.Unix(1.8e9, 0), Budget: NewBudget(Limits{}), Known: Nothing{}, Memory: mem, Messages: map[Question]*wire.Msg{}}
	for range 200 {
		v, needs := p.Prove(q, m)
		if len(needs) == 0 {
			if n, h, spent := p.Budget.Spent(); n > DefaultLimits().Verifications || h > DefaultLimits().Hashes || spent > DefaultLimits().Arithmetic {
				t.Fatalf("%d signatures, %d hashes, %s", n, h, spent)
			}
			return v, p.Budget.Exceeded()
		}
		for _, q := range needs {
			p.Messages[q] = rest
		}
	}
	t.Fatal("the prover does not come to an end")
	return Proof{}, LimitNone
}
