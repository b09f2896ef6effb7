package validate

import (
	"slices"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/proof"
)

// KeyState is what a trust anchor has come to (RFC 5011 §4.2).
type KeyState string

// The states of a key. One that is pending for too short a time and goes again is forgotten.
const (
	KeyPending KeyState = "pending" // seen, and signed for by a key that is valid; not believed yet
	KeyValid   KeyState = "valid"
	KeyMissing KeyState = "missing" // valid, and not published now
	KeyRevoked KeyState = "revoked"
	KeyRemoved KeyState = "removed" // revoked for long; it never counts again
)

// TrackedKey is a trust anchor over time.
type TrackedKey struct {
	Key   *wire.DNSKEY // without its REVOKE flag
	State KeyState
	Since time.Time
}

// Tracked is what is known of the trust anchors of a zone. Its zero value with Zone knows nothing.
type Tracked struct {
	Zone    string
	Keys    []TrackedKey
	Queried time.Time // last asked for
	Success time.Time // last seen, with a signature of a key that is valid
	Next    time.Time // to be asked for
}

// The times of RFC 5011 §2.3 and §2.4.1.
const (
	holdDown    = 30 * 24 * time.Hour
	probeAtMost = 15 * 24 * time.Hour
	probeLeast  = time.Hour
	retryAtMost = 24 * time.Hour
	// maxTracked bounds the keys of a zone that are followed.
	maxTracked = 16
)

// Algorithm is how keys are verified; the zero value is what counts.
type Algorithm struct {
	Algorithms proof.Algorithms
	Digests    proof.Digests
}

// Observe is what follows from an answer for the zone's DNSKEY records; for nil, from none
// (RFC 5011 §2 to §4). base is what is believed from the start. It is pure.
func (t Tracked) Observe(msg *wire.Msg, base proof.Anchor, now time.Time, with Algorithm) Tracked {
	if with.Digests == nil {
		with.Digests = proof.StandardDigests()
	}
	if with.Algorithms == nil {
		with.Algorithms = proof.Standard()
	}
	t.Keys = slices.Clone(t.Keys)
	t.Queried = now
	o := &observation{t: &t, msg: msg, now: now, with: with, seen: keysOf(msg, t.Zone, with.Algorithms)}
	o.revoke()
	o.begin(base)
	sig := o.signed()
	if sig == nil {
		t.Next = now.Add(clamp(o.ttl()/10, probeLeast, retryAtMost))
		return t
	}
	t.Success = now
	o.pass()
	interval := min(o.ttl()/2, time.Duration(int32(sig.Expiration-sig.Inception))*time.Second/2)
	t.Next = now.Add(clamp(interval, probeLeast, probeAtMost))
	return t
}

func clamp(d, least, most time.Duration) time.Duration { return max(least, min(most, d)) }

// keysOf are the DNSKEY records of an answer that can be trust anchors: zone keys that are
// secure entry points, of algorithms that count.
func keysOf(msg *wire.Msg, zone string, algorithms proof.Algorithms) (out []*wire.DNSKEY) {
	if msg == nil {
		return nil
	}
	for _, rr := range msg.Answer {
		k, ok := rr.(*wire.DNSKEY)
		if ok && wire.CanonicalName(k.Hdr.Name) == zone && k.Protocol == 3 && k.Flags&wire.ZONE != 0 && k.Flags&wire.SEP != 0 && algorithms[k.Algorithm] != nil && len(out) < 4*maxTracked {
			out = append(out, k)
		}
	}
	return out
}

// observation is one look at a zone's keys.
type observation struct {
	t    *Tracked
	msg  *wire.Msg
	now  time.Time
	with Algorithm
	seen []*wire.DNSKEY
}

// sameKey compares keys, their REVOKE flags apart.
func sameKey(a, b *wire.DNSKEY) bool {
	return a.Algorithm == b.Algorithm && a.PublicKey == b.PublicKey && a.Flags|wire.REVOKE == b.Flags|wire.REVOKE
}

func (o *observation) tracked(k *wire.DNSKEY) *TrackedKey {
	for i := range o.t.Keys {
		if sameKey(o.t.Keys[i].Key, k) {
			return &o.t.Keys[i]
		}
	}
	return nil
}

func (o *observation) put(k *wire.DNSKEY, s KeyState) {
	if len(o.t.Keys) < maxTracked {
		c := wire.Copy(k).(*wire.DNSKEY)
		c.Flags &^= wire.REVOKE
		o.t.Keys = append(o.t.Keys, TrackedKey{c, s, o.now})
	}
}

// revoke: a key that signs its own revocation is believed in that at once, and by nobody else's word (§2.1).
func (o *observation) revoke() {
	for _, k := range o.seen {
		if k.Flags&wire.REVOKE == 0 {
			continue
		}
		known := o.tracked(k)
		if known == nil || known.State == KeyRevoked || known.State == KeyRemoved {
			continue
		}
		if proof.KeySigned(o.msg, o.t.Zone, k, o.now, o.with.Algorithms) != nil {
			known.State, known.Since = KeyRevoked, o.now
		}
	}
}

// begin: keys that are believed from the start, as they are seen.
func (o *observation) begin(base proof.Anchor) {
	for _, k := range o.seen {
		if k.Flags&wire.REVOKE != 0 || o.tracked(k) != nil && o.tracked(k).State != KeyPending {
			continue
		}
		isDS := func(ds *wire.DS) bool { return o.with.Digests.IsOf(ds, k) }
		isKey := func(b *wire.DNSKEY) bool { return sameKey(b, k) }
		if !slices.ContainsFunc(base.DS, isDS) && !slices.ContainsFunc(base.Keys, isKey) {
			continue
		}
		if p := o.tracked(k); p != nil {
			p.State, p.Since = KeyValid, o.now
		} else {
			o.put(k, KeyValid)
		}
	}
}

// signed is the signature of a key that is valid over all of them; nil: there is none, and
// nothing of what was seen counts.
func (o *observation) signed() *wire.RRSIG {
	if o.msg == nil {
		return nil
	}
	for _, k := range o.t.Keys {
		if k.State != KeyValid && k.State != KeyMissing {
			continue
		}
		if sig := proof.KeySigned(o.msg, o.t.Zone, k.Key, o.now, o.with.Algorithms); sig != nil {
			return sig
		}
	}
	return nil
}

// pass moves each key to its next state.
func (o *observation) pass() {
	there := func(k *wire.DNSKEY) bool {
		return slices.ContainsFunc(o.seen, func(s *wire.DNSKEY) bool { return s.Flags&wire.REVOKE == 0 && sameKey(s, k) })
	}
	hold := max(holdDown, o.ttl())
	for i := range o.t.Keys {
		k := &o.t.Keys[i]
		switch seen := there(k.Key); {
		case k.State == KeyPending && seen && o.now.Sub(k.Since) >= hold, k.State == KeyMissing && seen:
			k.State, k.Since = KeyValid, o.now
		case k.State == KeyValid && !seen:
			k.State, k.Since = KeyMissing, o.now
		case k.State == KeyRevoked && o.now.Sub(k.Since) >= holdDown:
			k.State, k.Since = KeyRemoved, o.now
		}
	}
	o.t.Keys = slices.DeleteFunc(o.t.Keys, func(k TrackedKey) bool { return k.State == KeyPending && !there(k.Key) })
	for _, k := range o.seen {
		if k.Flags&wire.REVOKE == 0 && o.tracked(k) == nil {
			o.put(k, KeyPending)
		}
	}
}

// ttl is the original TTL of the keys, an hour where nothing was seen.
func (o *observation) ttl() time.Duration {
	if o.msg != nil {
		for _, rr := range o.msg.Answer {
			if sig, ok := rr.(*wire.RRSIG); ok && sig.TypeCovered == wire.TypeDNSKEY {
				return time.Duration(sig.OrigTtl) * time.Second
			}
		}
	}
	return time.Hour
}

// Anchor is what the zone's keys are believed by now: base without what was revoked, and
// the keys that are valid.
func (t Tracked) Anchor(base proof.Anchor, with Algorithm) proof.Anchor {
	if with.Digests == nil {
		with.Digests = proof.StandardDigests()
	}
	out := proof.Anchor{Zone: base.Zone, DS: slices.Clone(base.DS), Keys: slices.Clone(base.Keys)}
	for _, k := range t.Keys {
		switch k.State {
		case KeyValid, KeyMissing:
			if !slices.ContainsFunc(out.Keys, func(b *wire.DNSKEY) bool { return sameKey(b, k.Key) }) {
				out.Keys = append(out.Keys, k.Key)
			}
		case KeyRevoked, KeyRemoved:
			out.DS = slices.DeleteFunc(out.DS, func(ds *wire.DS) bool { return with.Digests.IsOf(ds, k.Key) })
			out.Keys = slices.DeleteFunc(out.Keys, func(b *wire.DNSKEY) bool { return sameKey(b, k.Key) })
		}
	}
	return out
}
