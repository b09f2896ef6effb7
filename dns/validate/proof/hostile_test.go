package proof_test

import (
	"fmt"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// keyTrap makes a zone's answers those of "KeyTrap": many keys of one tag, and
// many signatures that each could be by any of them.
func keyTrap(keys, sigs int) func(wire.Question, *wire.Msg) {
	return func(_ wire.Question, m *wire.Msg) {
		var out []wire.RR
		for _, rr := range m.Answer {
			switch rr := rr.(type) {
			case *wire.DNSKEY:
				out = append(out, rr)
				// RFC 4034 appendix B: the tag is a sum, which does not change when octets an even distance apart change places.
				for i := range keys {
					k := wire.Copy(rr).(*wire.DNSKEY)
					b := []byte(k.PublicKey)
					at := (i * 8) % (len(b) - 16) / 8 * 8
					copy(b[at:], rr.PublicKey[at+8:at+16])
					copy(b[at+8:], rr.PublicKey[at:at+8])
					k.PublicKey = string(b)
					out = append(out, k)
				}
			case *wire.RRSIG:
				for i := range sigs {
					s := wire.Copy(rr).(*wire.RRSIG)
					b := []byte(s.Signature)
					b[i%60] = 'A'
					b[(i+7)%60] = 'B'
					s.Signature = string(b)
					out = append(out, s)
				}
				out = append(out, rr)
			default:
				out = append(out, rr)
			}
		}
		m.Answer = out
	}
}

// VAL-7: no zone makes a lookup cost much; the end of the budget has a word, and is never Secure.
func TestHostile(t *testing.T) {
	t.Parallel()
	var maze []string
	for i := range 30 {
		maze = append(maze, fmt.Sprintf("m%d CNAME m%d", i, i+1))
	}
	var wide []string
	deep := ""
	for i := range 40 {
		deep += fmt.Sprintf("l%d.", i)
	}
	wide = append(wide, deep+"top A 192.0.2.1")
	cases := []struct {
		name   string
		zone   prooftest.Zone
		mangle func(wire.Question, *wire.Msg)
		ask    string
		limit  proof.Limit
	}{
		{"key trap", prooftest.Zone{}, keyTrap(60, 60), "mx.example.test.", proof.LimitVerifications},
		{"alias maze", prooftest.Zone{Records: maze}, nil, "m0.example.test.", proof.LimitAliases},
		{"nsec3 bomb", prooftest.Zone{NSEC3: true, Iterations: 50, Records: wide}, nil, "x." + deep[:100] + "example.test.", ""},
		{"nsec3 of a deep name", prooftest.Zone{NSEC3: true, Iterations: 50}, nil, deep + "example.test.", proof.LimitHashes},
		{"many labels without signatures", prooftest.Zone{Records: wide}, strip(wire.TypeRRSIG), deep + "top.example.test.", proof.LimitZones},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := world(t, internet(c.zone)...)
			w.Mangle = c.mangle
			begin := time.Now()
			v, _ := prove(t, w, c.ask, wire.TypeA)
			if c.limit != "" && (v.Limit != c.limit || v.State != dns.Indeterminate) {
				t.Errorf("%s, limit %q (%s), want %q", v.State, v.Limit, v.Text, c.limit)
			}
			if spent := time.Since(begin); spent > 2*time.Second {
				t.Errorf("it took %s", spent)
			}
		})
	}
}

// VAL-13: below a negative trust anchor nothing is signed; above it all is as before.
func TestNegativeAnchor(t *testing.T) {
	t.Parallel()
	w := world(t, internet(prooftest.Zone{WrongDS: true})...)
	msg := w.Answer("mx.example.test.", wire.TypeA)
	p := &proof.Prover{
		Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Negative: []string{"example.test."},
		Algorithms: proof.Standard(), Now: now, Budget: proof.NewBudget(proof.Limits{}), Known: proof.Nothing{},
	}
	if v, needs := p.Prove(proof.Ask("mx.example.test", wire.TypeA), msg); len(needs) > 0 || v.State != dns.Insecure {
		t.Errorf("%s, %v", v.State, needs)
	}
}

// VAL-3: without a trust anchor nothing is known.
func TestNoAnchor(t *testing.T) {
	t.Parallel()
	w := world(t, internet(prooftest.Zone{})...)
	p := &proof.Prover{Anchors: []proof.Anchor{{Zone: "other.test.", DS: []*wire.DS{w.Anchor()}}}, Algorithms: proof.Standard(), Now: now, Budget: proof.NewBudget(proof.Limits{}), Known: proof.Nothing{}}
	v, _ := p.Prove(proof.Ask("mx.example.test", wire.TypeA), w.Answer("mx.example.test.", wire.TypeA))
	if v.State != dns.Indeterminate {
		t.Errorf("%s", v.State)
	}
}

// VAL-3: an anchor of which nothing is left counts as none: the one above decides, and without one the zone is unsigned (RFC 5011 §5).
func TestRevokedAnchor(t *testing.T) {
	t.Parallel()
	w := world(t, internet(prooftest.Zone{})...)
	root, gone := proof.Anchor{Zone: ".", DS: []*wire.DS{w.Anchor()}}, proof.Anchor{Zone: "example.test."}
	wrong := *w.Anchor()
	wrong.Hdr.Name, wrong.KeyTag = "example.test.", wrong.KeyTag+1
	for name, c := range map[string]struct {
		anchors []proof.Anchor
		want    dns.Security
	}{
		"with the root's": {[]proof.Anchor{gone, root}, dns.Secure}, "in another order": {[]proof.Anchor{root, gone}, dns.Secure}, "alone": {[]proof.Anchor{gone}, dns.Insecure},
		"one that is not revoked decides": {[]proof.Anchor{root, {Zone: "example.test.", DS: []*wire.DS{&wrong}}}, dns.Bogus},
	} {
		p := &proof.Prover{Anchors: c.anchors, Now: now, Budget: proof.NewBudget(proof.Limits{}), Known: proof.Nothing{}, Messages: map[proof.Question]*wire.Msg{}}
		msg := w.Answer("mx.example.test.", wire.TypeA)
		for range 20 {
			v, needs := p.Prove(proof.Ask("mx.example.test", wire.TypeA), msg)
			for _, q := range needs {
				p.Messages[q] = w.Answer(q.Name, q.Type)
			}
			if len(needs) == 0 {
				if v.State != c.want {
					t.Errorf("%s: %s %s, want %s", name, v.State, v.Text, c.want)
				}
				break
			}
		}
	}
}
