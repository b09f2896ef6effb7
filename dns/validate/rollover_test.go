package validate_test

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
)

// ring is keys of a root, of which some are published.
type ring struct {
	t    *testing.T
	keys []*wire.DNSKEY
	priv []crypto.Signer
}

func newRing(t *testing.T, n int) *ring {
	t.Helper()
	r := &ring{t: t}
	for range n {
		k := &wire.DNSKEY{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 172800}, Flags: 257, Protocol: 3, Algorithm: wire.ECDSAP256SHA256}
		p, err := k.Generate(256)
		if err != nil {
			t.Fatal(err)
		}
		r.keys, r.priv = append(r.keys, k), append(r.priv, p.(crypto.Signer))
	}
	return r
}

// answer publishes keys, "r" after a number for one with REVOKE, "s" for one that signs.
func (r *ring) answer(now time.Time, what string) *wire.Msg {
	r.t.Helper()
	m := new(wire.Msg)
	m.SetQuestion(".", wire.TypeDNSKEY)
	var signers []int
	var signing []*wire.DNSKEY
	for _, w := range strings.Fields(what) {
		i := int(w[0] - '0')
		k := wire.Copy(r.keys[i]).(*wire.DNSKEY)
		if strings.Contains(w, "r") {
			k.Flags |= wire.REVOKE
		}
		m.Answer = append(m.Answer, k)
		if strings.Contains(w, "s") {
			signers, signing = append(signers, i), append(signing, k)
		}
	}
	set := slices.Clone(m.Answer)
	for n, i := range signers {
		sig := &wire.RRSIG{Hdr: wire.RR_Header{Ttl: 172800}, KeyTag: signing[n].KeyTag(), SignerName: ".", Algorithm: wire.ECDSAP256SHA256,
			Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(20 * 24 * time.Hour).Unix())}
		if err := sig.Sign(r.priv[i], set); err != nil {
			r.t.Fatal(err)
		}
		m.Answer = append(m.Answer, sig)
	}
	return m
}

// VAL-3: a roll-over of the root's key, with its hold-down; what is forged, too early or revoked does not count (RFC 5011).
func TestRollover(t *testing.T) {
	t.Parallel()
	r := newRing(t, 3)
	base := proof.Anchor{Zone: ".", DS: []*wire.DS{r.keys[0].ToDS(wire.SHA256)}}
	at := now
	state := validate.Tracked{Zone: "."}
	steps := []struct {
		days   int
		answer string // empty: none came
		want   string // states by number, "-": not known
	}{
		{0, "0s", "valid - -"},
		{1, "0s 1", "valid pending -"},
		{10, "0s 1s", "valid pending -"},
		{1, "1s 0", "valid pending -"}, // signed by the new key alone: nothing counts
		{1, "", "valid pending -"},
		{20, "0s 1s", "valid valid -"},
		{1, "0s 1s 2", "valid valid pending"},
		{1, "0s 1s", "valid valid -"},   // gone again: forgotten
		{1, "0r 1s", "missing valid -"}, // nobody else can revoke a key
		{1, "1s 2s", "missing valid pending"},
		{1, "0s 1s 2s", "valid valid pending"},
		{1, "0rs 1s 2s", "revoked valid pending"},
		{1, "0s 1s 2s", "revoked valid pending"}, // a revoked key does not come back
		{1, "0s 2s", "revoked valid pending"},    // nor does it sign for others
		{40, "1s 2s", "removed valid valid"},
		{1, "0s 1s 2s", "removed valid valid"},
	}
	for i, s := range steps {
		at = at.Add(time.Duration(s.days) * 24 * time.Hour)
		var msg *wire.Msg
		if s.answer != "" {
			msg = r.answer(at, s.answer)
		}
		state = state.Observe(msg, base, at, validate.Algorithm{})
		if got := states(r, state); got != s.want {
			t.Fatalf("step %d (%s): %s, want %s", i, s.answer, got, s.want)
		}
		if wait := state.Next.Sub(at); wait < time.Hour || wait > 15*24*time.Hour {
			t.Errorf("step %d: asked again after %s", i, wait)
		}
	}
	a := state.Anchor(base, validate.Algorithm{})
	if len(a.DS) != 0 || len(a.Keys) != 2 {
		t.Errorf("believed by %+v", a)
	}
}

func states(r *ring, t validate.Tracked) string {
	out := make([]string, len(r.keys))
	for i, k := range r.keys {
		out[i] = "-"
		for _, have := range t.Keys {
			if have.Key.PublicKey == k.PublicKey {
				out[i] = string(have.State)
			}
		}
	}
	return strings.Join(out, " ")
}

// VAL-3: no number of keys makes what is kept of them grow without bound.
func TestRolloverBounded(t *testing.T) {
	t.Parallel()
	r := newRing(t, 1)
	base := proof.Anchor{Zone: ".", DS: []*wire.DS{r.keys[0].ToDS(wire.SHA256)}}
	state := validate.Tracked{Zone: "."}
	for i := range 5 {
		m := new(wire.Msg)
		m.Answer = append(m.Answer, r.keys[0])
		for j := range 60 {
			k := wire.Copy(r.keys[0]).(*wire.DNSKEY)
			k.PublicKey = fmt.Sprintf("%02d%02d", i, j) + k.PublicKey[4:]
			m.Answer = append(m.Answer, k)
		}
		sig := &wire.RRSIG{Hdr: wire.RR_Header{Ttl: 300}, KeyTag: r.keys[0].KeyTag(), SignerName: ".", Algorithm: wire.ECDSAP256SHA256,
			Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(time.Hour).Unix())}
		if err := sig.Sign(r.priv[0], m.Answer); err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, sig)
		if state = state.Observe(m, base, now, validate.Algorithm{}); len(state.Keys) > 16 || state.Success.IsZero() {
			t.Fatalf("%d keys, seen %s", len(state.Keys), state.Success)
		}
	}
}
