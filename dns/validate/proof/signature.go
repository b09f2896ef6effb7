package proof

import (
	"fmt"
	"slices"
	"time"

	wire "github.com/miekg/dns"
)

// key is a zone's key, ready to verify with.
type key struct {
	tag       uint16
	algorithm uint8
	public    []byte
	rr        *wire.DNSKEY
}

// checked is what came of the signatures of a set.
type checked struct {
	ok    bool
	sig   *wire.RRSIG // that is valid
	code  uint16
	text  string
	limit bool
}

// verify looks for one signature of set by one of the zone's keys (RFC 4035 §5.3).
func (p *Prover) verify(set *rrset, zone string, keys []key) checked {
	worst := checked{code: CodeNoSignature} // its text is made at the end: nearly always a signature is found
	attempts := 0
	for _, sig := range set.sigs {
		if canon(sig.SignerName) != zone {
			continue
		}
		if code, text := p.unfit(set, sig); code != CodeNone {
			worst = worst.or(code, text)
			continue
		}
		perTag := 0
		for i := range keys {
			k := &keys[i]
			if k.tag != sig.KeyTag || k.algorithm != sig.Algorithm {
				continue
			}
			if perTag++; perTag > p.Budget.limits.KeysPerTag {
				break
			}
			if attempts++; attempts > p.Budget.limits.PerSet {
				p.Budget.hit = LimitVerifications
				return checked{limit: true}
			}
			ok, limit := p.attempt(set, sig, k)
			if limit {
				return checked{limit: true}
			}
			if ok {
				return checked{ok: true, sig: sig}
			}
		}
		if perTag > 0 {
			worst = worst.or(CodeBogus, fmt.Sprintf("the signature of %s %s by key %d of %s is wrong", set.name, wire.Type(set.rtype), sig.KeyTag, zone))
		} else if p.Algorithms[sig.Algorithm] != nil {
			worst = worst.or(CodeNoKey, fmt.Sprintf("%s has no key %d, with which %s %s is signed", zone, sig.KeyTag, set.name, wire.Type(set.rtype)))
		}
	}
	if worst.code == CodeNoSignature {
		worst.text = fmt.Sprintf("no signature of %s %s by %s", set.name, wire.Type(set.rtype), zone)
	}
	return worst
}

// or keeps the reason that says most: a signature out of its dates before a wrong
// one, that before a missing key, that before none at all.
func (c checked) or(code uint16, text string) checked {
	order := []uint16{CodeNoSignature, CodeNoKey, CodeBogus, CodeNotYetValid, CodeExpired}
	if slices.Index(order, code) > slices.Index(order, c.code) {
		return checked{code: code, text: text}
	}
	return c
}

// unfit is why a signature cannot count, before any arithmetic (RFC 4035 §5.3.1).
func (p *Prover) unfit(set *rrset, sig *wire.RRSIG) (uint16, string) {
	labels := wire.CountLabel(set.name)
	if firstLabel(set.name) == "*" {
		labels--
	}
	code, what := CodeNone, ""
	now := uint32(p.Now.Unix())
	switch {
	case int(sig.Labels) > labels:
		code, what = CodeBogus, "counts more labels than the name has"
	case int32(sig.Expiration-sig.Inception) < 0:
		code, what = CodeBogus, "ends before it begins"
	case int32(now-sig.Inception) < 0: // RFC 1982
		code, what = CodeNotYetValid, "is not valid before "+serialTime(sig.Inception, p.Now).Format(time.RFC3339)
	case int32(sig.Expiration-now) < 0:
		code, what = CodeExpired, "has expired at "+serialTime(sig.Expiration, p.Now).Format(time.RFC3339)
	default:
		return CodeNone, ""
	}
	return code, fmt.Sprintf("the signature of %s %s %s", set.name, wire.Type(set.rtype), what)
}

// serialTime is the time that a 32-bit count of seconds means, nearest to now (RFC 4034 §3.1.5).
func serialTime(t uint32, now time.Time) time.Time {
	return now.Add(time.Duration(int32(t-uint32(now.Unix()))) * time.Second).UTC().Truncate(time.Second)
}

// tried is one attempt at a signature: the proof of an answer goes through its sets
// again with each message that it has needed.
type tried struct {
	sig *wire.RRSIG
	key *wire.DNSKEY
}

// attempt verifies a signature by a key, once; limit: the budget does not allow it.
func (p *Prover) attempt(set *rrset, sig *wire.RRSIG, k *key) (ok, limit bool) {
	t := tried{sig, k.rr}
	if ok, known := p.tried[t]; known {
		return ok, false
	}
	check := p.Algorithms[sig.Algorithm]
	data, err := set.signed(p.buffer[:0], sig)
	if check == nil || err != nil {
		return false, false
	}
	p.buffer = data
	signature, cost := k.signature(sig), k.cost()
	sum, known := p.remembered(k, data, signature)
	if known {
		cost = 0
	}
	if !p.Budget.verification(cost + time.Duration(len(data))*hashing) {
		return false, true
	}
	if ok = known || check(k.public, data, signature); !ok {
		p.Budget.failures--
	} else if !known && p.Memory != nil {
		p.Memory.Remember(sum)
	}
	if p.tried == nil {
		p.tried = make(map[tried]bool)
	}
	p.tried[t] = ok
	return ok, false
}

// hashing is about what an octet costs that is signed.
const hashing = 4 * time.Nanosecond

// signature is the octets of a signature, none where it is longer than the key makes them.
func (k *key) signature(sig *wire.RRSIG) []byte {
	if len(sig.Signature) > 2*len(k.public)+256 {
		return nil
	}
	return decode(sig.Signature)
}

// usable are the keys of a DNSKEY set with which a zone's records may be verified:
// zone keys that are not revoked, of an algorithm that is known (RFC 4034 §2.1, RFC 5011 §2.1).
func (p *Prover) usable(rrs []wire.RR) []key {
	var out []key
	for _, rr := range rrs {
		k, ok := rr.(*wire.DNSKEY)
		if !ok || k.Protocol != 3 || k.Flags&wire.ZONE == 0 || k.Flags&wire.REVOKE != 0 || p.Algorithms[k.Algorithm] == nil {
			continue
		}
		out = append(out, key{tag: k.KeyTag(), algorithm: k.Algorithm, public: decode(k.PublicKey), rr: k})
	}
	return out
}
