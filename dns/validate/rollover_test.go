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

// FuzzObserve: no answers, of any shape and with any keys, make what is kept of them grow without bound, have a key
// believed before its time, or bring one back that was revoked (VAL-3).
func FuzzObserve(f *testing.F) {
	key := func(n int, flags uint16) *wire.DNSKEY {
		return &wire.DNSKEY{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 172800}, Flags: flags, Protocol: 3, Algorithm: wire.ED25519, PublicKey: fmt.Sprintf("AAA%d", n)}
	}
	pack := func(keys ...*wire.DNSKEY) []byte {
		m := new(wire.Msg)
		for _, k := range keys {
			m.Answer = append(m.Answer, k, &wire.RRSIG{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeRRSIG, Class: wire.ClassINET, Ttl: 172800}, TypeCovered: wire.TypeDNSKEY, Algorithm: wire.ED25519,
				OrigTtl: 172800, KeyTag: k.KeyTag(), SignerName: ".", Inception: uint32(now.Unix()) - 3600, Expiration: uint32(now.Unix()) + 90*86400, Signature: "AQID"})
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(pack(key(1, 257)), pack(key(1, 257), key(2, 257)), pack(key(2, 257)), uint16(20))
	f.Add(pack(key(1, 257), key(2, 257)), pack(key(1, 257), key(2, 257)), pack(key(1, 385), key(2, 257)), uint16(40))
	f.Add(pack(key(1, 257)), pack(key(1, 385)), pack(key(1, 257)), uint16(400))
	believing := validate.Algorithm{Algorithms: proof.Algorithms{wire.ED25519: func(_, _, sig []byte) bool { return len(sig) > 0 && sig[0] != 0 }}}
	base := proof.Anchor{Zone: ".", Keys: []*wire.DNSKEY{key(1, 257)}}
	f.Fuzz(func(t *testing.T, a, b, c []byte, days uint16) {
		at, state := now, validate.Tracked{Zone: "."}
		for _, octets := range [][]byte{a, b, c, c, b} {
			before := state
			m := new(wire.Msg)
			if m.Unpack(octets) != nil {
				m = nil
			}
			state = state.Observe(m, base, at, believing)
			if wait := state.Next.Sub(at); len(state.Keys) > 16 || wait < time.Hour || wait > 15*24*time.Hour {
				t.Fatalf("%d keys, asked again after %s", len(state.Keys), wait)
			}
			compareStates(t, before, state, base, at)
			at = at.Add(time.Duration(days%500) * 24 * time.Hour)
		}
	})
}

// compareStates: what RFC 5011 §4 allows of a look.
func compareStates(t *testing.T, before, after validate.Tracked, base proof.Anchor, at time.Time) {
	t.Helper()
	was := map[string]validate.TrackedKey{}
	for _, k := range before.Keys {
		was[k.Key.PublicKey+fmt.Sprint(k.Key.Flags, k.Key.Algorithm)] = k
	}
	for _, k := range after.Keys {
		old, known := was[k.Key.PublicKey+fmt.Sprint(k.Key.Flags, k.Key.Algorithm)]
		own := k.Key.PublicKey == base.Keys[0].PublicKey
		switch {
		case k.State == validate.KeyValid && !own && (!known || old.State == validate.KeyPending && at.Sub(old.Since) < 30*24*time.Hour):
			t.Fatalf("%+v is believed after %s", k, at.Sub(old.Since))
		case known && (old.State == validate.KeyRevoked || old.State == validate.KeyRemoved) && k.State != validate.KeyRevoked && k.State != validate.KeyRemoved:
			t.Fatalf("a key that was revoked is %s", k.State)
		}
	}
}
