package proof_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// prove drives a prover over a world; asked is how many questions that took, the first included.
func prove(t testing.TB, w *prooftest.World, name string, qtype uint16) (proof.Proof, int) {
	t.Helper()
	return proveKnowing(t, w, proof.Nothing{}, name, qtype)
}

func proveKnowing(t testing.TB, w *prooftest.World, known proof.Known, name string, qtype uint16) (proof.Proof, int) {
	t.Helper()
	p := &proof.Prover{
		Anchors:    []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}},
		Algorithms: proof.Standard(), Now: now, Budget: proof.NewBudget(proof.Limits{}), Known: known,
		Messages: map[proof.Question]*wire.Msg{},
	}
	msg, asked := w.Answer(name, qtype), 1
	for range 60 {
		v, needs := p.Prove(proof.Ask(name, qtype), msg)
		if len(needs) == 0 {
			return v, asked
		}
		for _, q := range needs {
			p.Messages[q] = w.Answer(q.Name, q.Type)
			asked++
		}
	}
	t.Fatalf("%s %d: the prover does not come to an end", name, qtype)
	return proof.Proof{}, 0
}

func world(t testing.TB, zones ...prooftest.Zone) *prooftest.World {
	t.Helper()
	w, err := prooftest.New(new(prooftest.Keys), now, zones...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// records of a zone that has one of everything.
var everything = []string{
	"@ MX 10 mx", "@ TXT \"v=spf1 -all\"", "mx A 192.0.2.1", "_25._tcp.mx TLSA 3 1 1 " + digest,
	"alias CNAME mx", "alias2 CNAME alias", "gone CNAME nothing", "out CNAME www.other.test.", "*.wild A 192.0.2.2", "*.wild MX 10 mx", "wildalias CNAME x.wild",
	"*.cw CNAME mx", "a.b.c.ent A 192.0.2.3", "moved DNAME other.test.", "exact.wild TXT here", "UPPER A 192.0.2.4", "insecure NS ns.insecure", "ns.insecure A 192.0.2.5", "toinsecure CNAME www.insecure",
}

const digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func internet(zone prooftest.Zone) []prooftest.Zone {
	zone.Name = "example.test."
	if zone.Records == nil {
		zone.Records = everything
	}
	return []prooftest.Zone{
		{Name: ".", Records: []string{"test. NS ns.test.", "ns.test. A 192.0.2.9"}},
		{Name: "test.", NSEC3: true, OptOut: true, Records: []string{"example NS ns.example", "ns.example A 192.0.2.8", "other NS ns.other", "ns.other A 192.0.2.7", "plain NS ns.plain", "ns.plain A 192.0.2.6"}},
		zone,
		{Name: "other.test.", Records: []string{"www A 192.0.2.20", "www TXT other"}},
		{Name: "insecure.example.test.", Unsigned: true, Records: []string{"www A 192.0.2.21"}},
		{Name: "plain.test.", Unsigned: true, Records: []string{"www A 192.0.2.22", "back CNAME mx.example.test."}},
	}
}

// kept is a Known that keeps everything.
type kept struct {
	zones map[string]*proof.Zone
	cuts  map[string]*proof.Cut
}

func (k *kept) Zone(n string) (*proof.Zone, bool) { z, ok := k.zones[n]; return z, ok }
func (k *kept) Cut(n string) (*proof.Cut, bool)   { c, ok := k.cuts[n]; return c, ok }
func (k *kept) PutZone(z *proof.Zone)             { k.zones[z.Name] = z }
func (k *kept) PutCut(c *proof.Cut)               { k.cuts[c.Name] = c }

// VAL-5, VAL-8: what is known of the zones above changes no state; unsigned answers below zones that
// are known were once taken as Secure.
func TestKnown(t *testing.T) {
	t.Parallel()
	w := world(t, internet(prooftest.Zone{})...)
	stripped := *w
	stripped.Mangle = strip(wire.TypeRRSIG)
	for _, first := range questions(false) {
		k := &kept{map[string]*proof.Zone{}, map[string]*proof.Cut{}}
		proveKnowing(t, w, k, first.name, first.qtype)
		for _, q := range questions(false) {
			if q.name == first.name && q.qtype == first.qtype {
				continue
			}
			known := &kept{maps.Clone(k.zones), maps.Clone(k.cuts)}
			if v, _ := proveKnowing(t, w, known, q.name, q.qtype); v.State != q.state {
				t.Errorf("%s %s after %s: %s %s, want %s", q.name, wire.Type(q.qtype), first.name, v.State, v.Text, q.state)
			}
			known = &kept{maps.Clone(k.zones), maps.Clone(k.cuts)}
			if v, _ := proveKnowing(t, &stripped, known, q.name, q.qtype); v.State == dns.Secure && wire.IsSubDomain("example.test.", q.name) && q.qtype != wire.TypeDS && q.qtype != wire.TypeDNSKEY {
				t.Errorf("%s %s after %s: secure without signatures", q.name, wire.Type(q.qtype), first.name)
			}
		}
	}
}

type question struct {
	name  string
	qtype uint16
	state dns.Security
	nx    bool
}

// questions have the state that they should have in a zone that is right.
func questions(optOut bool) []question {
	nx := dns.Secure
	if optOut {
		nx = dns.Insecure
	}
	return []question{
		{".", wire.TypeSOA, dns.Secure, false}, {".", wire.TypeDNSKEY, dns.Secure, false}, {".", wire.TypeMX, dns.Secure, false},
		{"test.", wire.TypeDS, dns.Secure, false}, {"test.", wire.TypeSOA, dns.Secure, false}, {"nosuch.", wire.TypeA, dns.Secure, true},
		{"example.test.", wire.TypeMX, dns.Secure, false}, {"example.test.", wire.TypeDS, dns.Secure, false}, {"example.test.", wire.TypeCAA, dns.Secure, false},
		{"mx.example.test.", wire.TypeA, dns.Secure, false}, {"mx.example.test.", wire.TypeAAAA, dns.Secure, false}, {"mx.example.test.", wire.TypeDS, dns.Secure, false},
		{"_25._tcp.mx.example.test.", wire.TypeTLSA, dns.Secure, false}, {"_26._tcp.mx.example.test.", wire.TypeTLSA, nx, true}, {"_tcp.mx.example.test.", wire.TypeTLSA, dns.Secure, false},
		{"alias.example.test.", wire.TypeA, dns.Secure, false}, {"alias2.example.test.", wire.TypeA, dns.Secure, false}, {"alias2.example.test.", wire.TypeTXT, dns.Secure, false},
		{"alias2.example.test.", wire.TypeCNAME, dns.Secure, false}, {"gone.example.test.", wire.TypeA, nx, true}, {"out.example.test.", wire.TypeA, dns.Secure, false},
		{"x.wild.example.test.", wire.TypeA, nx, false}, {"x.y.wild.example.test.", wire.TypeMX, nx, false}, {"x.wild.example.test.", wire.TypeTXT, nx, false},
		{"wildalias.example.test.", wire.TypeA, nx, false}, {"q.cw.example.test.", wire.TypeA, nx, false}, {"q.cw.example.test.", wire.TypeTXT, nx, false},
		{"exact.wild.example.test.", wire.TypeA, dns.Secure, false}, {"exact.wild.example.test.", wire.TypeTXT, dns.Secure, false}, {"below.exact.wild.example.test.", wire.TypeA, nx, true},
		{"b.c.ent.example.test.", wire.TypeA, dns.Secure, false}, {"c.ent.example.test.", wire.TypeA, dns.Secure, false}, {"z.c.ent.example.test.", wire.TypeA, nx, true},
		{"www.moved.example.test.", wire.TypeA, dns.Secure, false}, {"none.moved.example.test.", wire.TypeA, dns.Secure, true}, {"moved.example.test.", wire.TypeA, dns.Secure, false},
		{"upper.example.test.", wire.TypeA, dns.Secure, false}, {"UPPER.example.TEST.", wire.TypeA, dns.Secure, false}, {"nosuch.example.test.", wire.TypeMX, nx, true},
		{"www.insecure.example.test.", wire.TypeA, dns.Insecure, false}, {"no.insecure.example.test.", wire.TypeA, dns.Insecure, true}, {"www.insecure.example.test.", wire.TypeTXT, dns.Insecure, false},
		{"toinsecure.example.test.", wire.TypeA, dns.Insecure, false}, {"insecure.example.test.", wire.TypeDS, nx, false},
		{"www.plain.test.", wire.TypeA, dns.Insecure, false}, {"back.plain.test.", wire.TypeA, dns.Insecure, false}, {"plain.test.", wire.TypeDS, dns.Insecure, false},
	}
}

// VAL-4, VAL-5: zones that are right, with every algorithm and way of denial.
func TestRightZones(t *testing.T) {
	t.Parallel()
	zones := map[string]prooftest.Zone{
		"nsec": {}, "rsa256": {Algorithm: wire.RSASHA256}, "rsa512": {Algorithm: wire.RSASHA512, Digest: wire.SHA384}, "p384": {Algorithm: wire.ECDSAP384SHA384},
		"ed25519": {Algorithm: wire.ED25519, NSEC3: true}, "ed448": {Algorithm: wire.ED448, NSEC3: true}, "nsec3": {NSEC3: true}, "salted": {NSEC3: true, Salt: "aabbccdd", Iterations: 12}, "optout": {NSEC3: true, OptOut: true},
	}
	for name, z := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world(t, internet(z)...)
			for _, q := range questions(z.OptOut) {
				v, asked := prove(t, w, q.name, q.qtype)
				if v.State != q.state || v.NXDomain != q.nx {
					t.Errorf("%s %s: %s (nx %v) %s, want %s (nx %v)", q.name, wire.Type(q.qtype), v.State, v.NXDomain, v.Text, q.state, q.nx)
				}
				if asked > 14 {
					t.Errorf("%s %s: %d questions", q.name, wire.Type(q.qtype), asked)
				}
			}
		})
	}
}

// VAL-5, VAL-6, VAL-10, VAL-16: a fault gives its code, and never Secure.
func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		zone  prooftest.Zone
		state dns.Security
		code  uint16
	}{
		{"expired", prooftest.Zone{Inception: -48 * time.Hour, Expiration: -time.Hour}, dns.Bogus, proof.CodeExpired},
		{"not yet valid", prooftest.Zone{Inception: time.Hour, Expiration: 48 * time.Hour}, dns.Bogus, proof.CodeNotYetValid},
		{"wrong DS", prooftest.Zone{WrongDS: true}, dns.Bogus, proof.CodeNoKey},
		{"island", prooftest.Zone{NoDS: true}, dns.Insecure, proof.CodeNone},
		{"unsigned", prooftest.Zone{Unsigned: true}, dns.Insecure, proof.CodeNone},
		{"SHA-1 digest", prooftest.Zone{Digest: wire.SHA1}, dns.Insecure, proof.CodeDigest},
		{"iterations", prooftest.Zone{NSEC3: true, Iterations: 60}, dns.Secure, proof.CodeNone},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := world(t, internet(c.zone)...)
			for _, q := range questions(false)[6:10] {
				if q.qtype == wire.TypeDS {
					continue
				}
				v, _ := prove(t, w, q.name, q.qtype)
				want, code := c.state, c.code
				if c.name == "iterations" && q.qtype == wire.TypeCAA {
					want, code = dns.Insecure, proof.CodeIterations
				}
				if v.State != want || v.Code != code {
					t.Errorf("%s %s: %s, code %d (%s), want %s, %d", q.name, wire.Type(q.qtype), v.State, v.Code, v.Text, want, code)
				}
			}
		})
	}
}

// strip takes records out of an answer for example.test and below.
func strip(types ...uint16) func(wire.Question, *wire.Msg) {
	return func(q wire.Question, m *wire.Msg) {
		if !wire.IsSubDomain("example.test.", q.Name) || q.Qtype == wire.TypeDS || q.Qtype == wire.TypeDNSKEY {
			return
		}
		keep := func(in []wire.RR) []wire.RR {
			var out []wire.RR
			for _, rr := range in {
				drop := false
				for _, t := range types {
					drop = drop || rr.Header().Rrtype == t
				}
				if !drop {
					out = append(out, rr)
				}
			}
			return out
		}
		m.Answer, m.Ns = keep(m.Answer), keep(m.Ns)
	}
}

// VAL-5: what is stripped, changed or moved from elsewhere is never believed.
func TestMangled(t *testing.T) {
	t.Parallel()
	changes := map[string]func(wire.Question, *wire.Msg){
		"no signatures": strip(wire.TypeRRSIG),
		"no denial":     strip(wire.TypeNSEC, wire.TypeNSEC3),
		"records changed": func(q wire.Question, m *wire.Msg) {
			for i, rr := range m.Answer {
				if a, ok := rr.(*wire.A); ok && wire.IsSubDomain("example.test.", a.Hdr.Name) {
					c := wire.Copy(a).(*wire.A)
					c.A[len(c.A)-1] ^= 1
					m.Answer[i] = c
				}
			}
		},
		"a record more": func(q wire.Question, m *wire.Msg) {
			if q.Qtype == wire.TypeA && wire.IsSubDomain("example.test.", q.Name) && len(m.Answer) > 0 && m.Answer[0].Header().Rrtype == wire.TypeA {
				extra, _ := wire.NewRR(m.Answer[0].Header().Name + " 300 IN A 203.0.113.1")
				m.Answer = append(m.Answer, extra)
			}
		},
		"denied": func(q wire.Question, m *wire.Msg) {
			if q.Qtype == wire.TypeTLSA && wire.IsSubDomain("example.test.", q.Name) {
				m.Answer, m.Rcode = nil, wire.RcodeNameError
			}
		},
	}
	for _, nsec3 := range []bool{false, true} {
		base := world(t, internet(prooftest.Zone{NSEC3: nsec3})...)
		for name, change := range changes {
			t.Run(fmt.Sprint(name, nsec3), func(t *testing.T) {
				w := *base
				w.Mangle = change
				bogus := 0
				for _, q := range questions(false) {
					v, _ := prove(t, &w, q.name, q.qtype)
					same := base.Answer(q.name, q.qtype).String() == mangled(&w, base, q)
					if v.State == dns.Secure && !same && q.state == dns.Secure && name != "no denial" {
						t.Errorf("%s %s: secure, and its answer was mangled", q.name, wire.Type(q.qtype))
					}
					if v.State == dns.Bogus {
						bogus++
					} else if v.State != q.state {
						t.Errorf("%s %s: %s %s, before %s", q.name, wire.Type(q.qtype), v.State, v.Text, q.state)
					}
				}
				if bogus == 0 {
					t.Error("nothing was found bogus")
				}
			})
		}
	}
}

func mangled(w, base *prooftest.World, q question) string {
	m := w.Answer(q.name, q.qtype)
	m.Id = base.Answer(q.name, q.qtype).Id
	return m.String()
}

// VAL-4: the example of RFC 8080 §6.2, which others signed by Ed448.
func TestEd448OfOthers(t *testing.T) {
	t.Parallel()
	var rrs []wire.RR
	for _, line := range []string{
		"example.com. 3600 IN DNSKEY 257 3 16 3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA",
		"example.com. 3600 IN MX 10 mail.example.com.",
		"example.com. 3600 IN RRSIG MX 16 2 3600 1440021600 1438207200 9713 example.com. 3cPAHkmlnxcDHMyg7vFC34l0blBhuG1qpwLmjInI8w1CMB29FkEAIJUA0amxWndkmnBZ6SKiwZSAxGILn/NBtOXft0+Gj7FSvOKxE/07+4RQvE581N3Aj/JtIyaiYVdnYtyMWbSNyGEY2213WKsJlwEA",
	} {
		rr, err := wire.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	key, sig := rrs[0].(*wire.DNSKEY), rrs[2].(*wire.RRSIG)
	data, err := proof.SignedData(rrs[1:2], sig)
	if err != nil {
		t.Fatal(err)
	}
	decode := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	verify := proof.Standard()[wire.ED448]
	if key.KeyTag() != 9713 || !verify(decode(key.PublicKey), data, decode(sig.Signature)) {
		t.Errorf("key %d has not signed it", key.KeyTag())
	}
	data[0] ^= 1
	if verify(decode(key.PublicKey), data, decode(sig.Signature)) {
		t.Error("it has signed everything")
	}
}

// remembering is a Memory that counts.
type remembering struct {
	sums        map[proof.Sum]bool
	found, made int
}

func (m *remembering) Valid(s proof.Sum) bool {
	if m.sums[s] {
		m.found++
	}
	return m.sums[s]
}

func (m *remembering) Remember(s proof.Sum) {
	m.sums[s] = true
	m.made++
}

// VAL-8: a signature that is remembered is not verified again, and makes nothing valid that is not: neither
// records that were changed, nor dates that are over, nor a signature by a key that is no more.
func TestMemory(t *testing.T) {
	t.Parallel()
	keys := new(prooftest.Keys)
	w := world(t, internet(prooftest.Zone{})...)
	m := &remembering{sums: map[proof.Sum]bool{}}
	at := now
	look := func(w *prooftest.World) proof.Proof {
		t.Helper()
		p := &proof.Prover{Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Now: at, Budget: proof.NewBudget(proof.Limits{}), Known: proof.Nothing{}, Memory: m, Messages: map[proof.Question]*wire.Msg{}}
		msg := w.Answer("mx.example.test.", wire.TypeA)
		for range 60 {
			v, needs := p.Prove(proof.Ask("mx.example.test", wire.TypeA), msg)
			if len(needs) == 0 {
				return v
			}
			for _, q := range needs {
				p.Messages[q] = w.Answer(q.Name, q.Type)
			}
		}
		t.Fatal("no end")
		return proof.Proof{}
	}
	if v := look(w); v.State != dns.Secure || m.found != 0 || m.made == 0 {
		t.Fatalf("first: %s, %d found, %d made", v.State, m.found, m.made)
	}
	made := m.made
	if v := look(w); v.State != dns.Secure || m.found != made || m.made != made {
		t.Errorf("again: %s, %d found, %d made, of %d", v.State, m.found, m.made, made)
	}
	changed := *w
	changed.Mangle = func(q wire.Question, msg *wire.Msg) {
		for _, rr := range msg.Answer {
			if a, ok := rr.(*wire.A); ok {
				a.A[len(a.A)-1] ^= 1
			}
		}
	}
	if v := look(&changed); v.State != dns.Bogus {
		t.Errorf("changed: %s", v.State)
	}
	at = now.Add(25 * time.Hour)
	if v := look(w); v.State != dns.Bogus || v.Code != proof.CodeExpired {
		t.Errorf("expired: %s, code %d", v.State, v.Code)
	}
	at = now
	// The same records under other keys, with the signatures that they had.
	other, err := prooftest.New(keys, now, internet(prooftest.Zone{})...)
	if err != nil {
		t.Fatal(err)
	}
	old := w.Answer("mx.example.test.", wire.TypeA)
	other.Mangle = func(q wire.Question, msg *wire.Msg) {
		if q.Qtype == wire.TypeA {
			msg.Answer = old.Answer
		}
	}
	if v := look(other); v.State != dns.Bogus {
		t.Errorf("by a key that is no more: %s %s", v.State, v.Text)
	}
}
