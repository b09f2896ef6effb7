package proof

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// FuzzProve: no message makes the prover panic, run on, or trust without an anchor's key (VAL-16).
func FuzzProve(f *testing.F) {
	seed := new(wire.Msg)
	seed.SetQuestion("a.example.", wire.TypeA)
	for _, line := range []string{
		"a.example. 300 IN A 192.0.2.1", "a.example. 300 IN RRSIG A 13 2 300 20300101000000 20200101000000 1 example. AAAA", "b.example. 300 IN CNAME a.example.",
		"c.example. 300 IN DNAME example.", "example. 300 IN DNSKEY 257 3 13 AAAA", "example. 300 IN DS 1 13 2 aabb", "example. 300 IN NSEC \\000.example. A RRSIG NSEC",
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 300 IN NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY",
	} {
		rr, err := wire.NewRR(line)
		if err != nil {
			f.Fatal(err)
		}
		seed.Answer, seed.Ns = append(seed.Answer, rr), append(seed.Ns, rr)
		b, err := seed.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b, "a.example.", wire.TypeA)
		f.Add(b, b, "b.example.", wire.TypeDS)
	}
	anchor := &wire.DS{Hdr: wire.RR_Header{Name: ".", Class: wire.ClassINET}, KeyTag: 1, Algorithm: 13, DigestType: 2, Digest: "aabb"}
	f.Fuzz(func(t *testing.T, a, b []byte, name string, qtype uint16) {
		m, other := new(wire.Msg), new(wire.Msg)
		if m.Unpack(a) != nil || other.Unpack(b) != nil {
			return
		}
		if _, ok := wire.IsDomainName(name); !ok {
			return
		}
		p := &Prover{Anchors: []Anchor{{Zone: ".", DS: []*wire.DS{anchor}}}, Algorithms: Standard(), Now: time.Unix(1.8e9, 0), Budget: NewBudget(Limits{}), Known: Nothing{}, Messages: map[Question]*wire.Msg{}}
		for range 200 {
			v, needs := p.Prove(Ask(name, qtype), m)
			if len(needs) == 0 {
				if v.State == 2 {
					t.Fatal("secure, and nobody has the anchor's key")
				}
				return
			}
			for _, q := range needs {
				p.Messages[q] = other
			}
		}
		t.Fatal("the prover does not come to an end")
	})
}

// FuzzCompare: canonical order is an order, and that of RFC 4034 §6.1.
func FuzzCompare(f *testing.F) {
	sorted := []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", "\\001.z.example.", "*.z.example.", "\\200.z.example."}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compare(canon(a), canon(b)); (got < 0) != (i < j) || (got == 0) != (i == j) {
				f.Fatalf("compare(%q, %q) = %d", a, b, got)
			}
		}
		f.Add(a, "b.example.", "c.\\255.")
	}
	f.Add("a\\.example.", "example.", "x\\\\.example.") // a dot of a label, and one after a label that ends with a backslash
	f.Fuzz(func(t *testing.T, a, b, c string) {
		names := []string{canon(a), canon(b), canon(c)}
		for _, n := range names {
			if _, ok := octets(n); !ok {
				return
			}
		}
		if compare(names[0], names[1])*compare(names[1], names[0]) > 0 {
			t.Fatal("not antisymmetric")
		}
		for _, x := range names {
			for _, y := range names {
				if under(x, y) != wire.IsSubDomain(y, x) {
					t.Fatalf("under(%q, %q) is %v", x, y, under(x, y))
				}
			}
		}
		slices.SortFunc(names, compare)
		if compare(names[0], names[2]) > 0 {
			t.Fatal("not transitive")
		}
	})
}

// FuzzCanonical: the canonical form of records that can be signed is that which the wire library signs, and does not change by itself.
func FuzzCanonical(f *testing.F) {
	for _, line := range []string{"A.example. 300 IN MX 10 MX.Example.", "a. 0 IN TXT \"\" \"x\"", "*.example. 1 IN SRV 1 2 3 T.example."} {
		rr, _ := wire.NewRR(line)
		b := make([]byte, 512)
		n, _ := wire.PackRR(rr, b, 0, nil, false)
		f.Add(b[:n], uint8(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, labels uint8) {
		rr, _, err := wire.UnpackRR(b, 0)
		if err != nil || rr == nil {
			return
		}
		sig := &wire.RRSIG{TypeCovered: rr.Header().Rrtype, Labels: labels, SignerName: "example.", Hdr: wire.RR_Header{Class: 1}}
		one, err := SignedData([]wire.RR{rr}, sig)
		if err != nil {
			return
		}
		two, err := SignedData([]wire.RR{lowered(rr), rr}, sig)
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%x and %x, %v", one, two, err)
		}
	})
}

// FuzzNSEC3: no record makes a denial of anything panic, and a hash is covered by at most one of two ranges.
func FuzzNSEC3(f *testing.F) {
	f.Add("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "2T7B4G4VSA5SMI47K61MV5BV1A22BOJR", "aabbccdd", uint8(1), "a.b.example.")
	f.Fuzz(func(t *testing.T, owner, next, salt string, flags uint8, name string) {
		rr := &wire.NSEC3{Hdr: wire.RR_Header{Name: owner + ".example."}, Hash: 1, Flags: flags, Iterations: 1, Salt: salt, NextDomain: next}
		n, ok := parseNSEC3(rr, "example.")
		if !ok {
			return
		}
		back := *n
		back.owner, back.next = n.next, n.owner
		d := &denials{zone: "example.", nsec3: []*nsec3{n}}
		b := NewBudget(Limits{})
		d.noName(b, canon(name))
		d.noData(b, canon(name), wire.TypeDS)
		if h, ok := hashNSEC3(name, n.salt, 1); ok && n.owner != n.next && n.covers(h) && back.covers(h) {
			t.Fatal("covered by both ranges of a ring")
		}
	})
}

// TestSections: a set of records is found among few others and among many, with all its records.
func TestSections(t *testing.T) {
	for _, n := range []int{1, few, few + 1, 300} {
		var rrs []wire.RR
		for i := range 2 * n {
			rrs = append(rrs, &wire.A{Hdr: wire.RR_Header{Name: fmt.Sprintf("n%d.example.", i%n), Rrtype: wire.TypeA, Class: wire.ClassINET}, A: []byte{192, 0, 2, byte(i)}})
		}
		s := read(rrs)
		for i := range n {
			name := fmt.Sprintf("n%d.example.", i)
			if set := s.find(name, wire.TypeA); set == nil || s.sets[i] != set || len(set.rrs) != 2 || set.rrs[0] != rrs[i] || set.rrs[1] != rrs[n+i] {
				t.Errorf("%d sets: %s is %+v", n, name, set)
			}
			if s.find(name, wire.TypeAAAA) != nil || s.find("m"+name, wire.TypeA) != nil {
				t.Errorf("%d sets: one is found that is not there", n)
			}
		}
		if len(s.sets) != n {
			t.Errorf("%d sets of %d", len(s.sets), n)
		}
	}
}
