package proof

import (
	"time"

	wire "github.com/miekg/dns"
)

// KeySigned is the signature by which a key of zone, revoked or not, has signed the DNSKEY
// records of msg (RFC 5011 §2.1); nil: it has not.
func KeySigned(msg *wire.Msg, zone string, k *wire.DNSKEY, now time.Time, algorithms Algorithms) *wire.RRSIG {
	p := &Prover{Algorithms: algorithms, Now: now, Budget: NewBudget(Limits{})}
	if p.Algorithms == nil {
		p.Algorithms = Standard()
	}
	set := p.answer(msg).find(zone, wire.TypeDNSKEY)
	if set == nil {
		return nil
	}
	got := p.verify(set, zone, []key{{tag: k.KeyTag(), algorithm: k.Algorithm, public: decode(k.PublicKey), rr: k}})
	if !got.ok {
		return nil
	}
	return got.sig
}

// IsOf reports whether a DS record is of a key, by a digest that counts.
func (d Digests) IsOf(ds *wire.DS, k *wire.DNSKEY) bool { return d.matches(ds, k) }
