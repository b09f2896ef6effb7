package prooftest

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Fault is something that is wrong, or merely odd, with a signed zone or its delegation. Where it
// is planted in the zone is drawn by Zone.Seed.
type Fault string

// The faults of a set of records, of a denial, of the keys, and of the delegation.
const (
	SigMissing       Fault = "sig-missing"
	SigWrong         Fault = "sig-wrong"
	SigExpired       Fault = "sig-expired"
	SigEarly         Fault = "sig-early"
	SigOtherSigner   Fault = "sig-other-signer"
	SigFewerLabels   Fault = "sig-fewer-labels" // that of a wildcard, rightly made
	SigMoreWrong     Fault = "sig-more-wrong"   // a wrong one beside the right one
	SigMoreUnknown   Fault = "sig-more-unknown" // one of an unknown algorithm beside the right one
	RecordAdded      Fault = "record-added"
	RecordChanged    Fault = "record-changed"
	DenialMissing    Fault = "denial-missing"
	DenialSigMissing Fault = "denial-sig-missing"
	DenialSigWrong   Fault = "denial-sig-wrong"
	DenialExpired    Fault = "denial-expired"
	DenialChanged    Fault = "denial-changed"
	KeySigMissing    Fault = "key-sig-missing"
	KeySigExpired    Fault = "key-sig-expired"
	KeyRevoked       Fault = "key-revoked"
	KeyNoZoneKey     Fault = "key-no-zone-key"
	KeyMore          Fault = "key-more" // a further key of another algorithm, which signs nothing
	DSMoreUnknown    Fault = "ds-more-unknown"
	DSMoreWrong      Fault = "ds-more-wrong" // of a key that is not there
	DSUnknownDigest  Fault = "ds-unknown-digest"
	DSUnknownAlgo    Fault = "ds-unknown-algorithm"
	DSOtherAlgo      Fault = "ds-other-algorithm" // a known one, of which there is no key
)

// Faults are all of them.
func Faults() []Fault {
	return []Fault{
		SigMissing, SigWrong, SigExpired, SigEarly, SigOtherSigner, SigFewerLabels, SigMoreWrong, SigMoreUnknown, RecordAdded, RecordChanged,
		DenialMissing, DenialSigMissing, DenialSigWrong, DenialExpired, DenialChanged, KeySigMissing, KeySigExpired, KeyRevoked, KeyNoZoneKey, KeyMore,
		DSMoreUnknown, DSMoreWrong, DSUnknownDigest, DSUnknownAlgo, DSOtherAlgo,
	}
}

// Signatures out of their dates are so by more than clocks differ: unbound forgives up to a day.
const (
	day     = 24 * time.Hour
	longAgo = 3 * day
)

// keyNumbers is how many keys of one algorithm there are for one purpose.
const keyNumbers = 16

// spoilKeys plants what is wrong with keys and DS records before anything is signed.
func (s *Signed) spoilKeys(keys *Keys) {
	for _, f := range s.Faults {
		ds := *s.DS
		switch f {
		case KeyRevoked:
			s.Key.Flags |= wire.REVOKE
			again := s.Key.ToDS(s.Digest)
			again.Hdr.Ttl = 300
			s.DS = again
		case KeyNoZoneKey:
			s.Key.Flags &^= wire.ZONE
			again := s.Key.ToDS(s.Digest)
			again.Hdr.Ttl = 300
			s.DS = again
		case KeyMore:
			other := uint8(wire.ED25519)
			if s.Algorithm == other {
				other = wire.ECDSAP256SHA256
			}
			if key, _, err := keys.get(other, 2*keyNumbers); err == nil {
				key.Hdr.Name, key.Flags = s.name, 256
				s.Add(&key)
			}
		case DSMoreUnknown:
			ds.Algorithm = 200
			s.more = append(s.more, &ds)
		case DSMoreWrong:
			ds.KeyTag, ds.Digest = ds.KeyTag+1, flipped(ds.Digest)
			s.more = append(s.more, &ds)
		case DSUnknownDigest:
			s.DS.DigestType = 200
		case DSUnknownAlgo:
			s.DS.Algorithm = 200
		case DSOtherAlgo:
			s.DS.Algorithm = wire.ECDSAP384SHA384
			if s.Algorithm == wire.ECDSAP384SHA384 {
				s.DS.Algorithm = wire.ECDSAP256SHA256
			}
		}
	}
}

func flipped(digest string) string {
	b, _ := hex.DecodeString(digest)
	b[0] ^= 0xff
	return hex.EncodeToString(b)
}

// spoil plants the other faults, once all is signed.
func (s *Signed) spoil() error {
	if s.Unsigned {
		return nil
	}
	draw := rand.New(rand.NewPCG(s.Seed, uint64(len(s.Faults))))
	for _, f := range s.Faults {
		var err error
		switch {
		case strings.HasPrefix(string(f), "sig-"), strings.HasPrefix(string(f), "record-"):
			name, t := s.drawn(draw)
			err = s.spoilSet(f, name, t)
		case strings.HasPrefix(string(f), "denial-") && len(s.chain) > 0:
			err = s.spoilDenial(f, draw.IntN(len(s.chain)))
		case f == KeySigMissing:
			s.sigs[s.name][wire.TypeDNSKEY] = nil
		case f == KeySigExpired:
			err = s.redated(s.name, wire.TypeDNSKEY, -longAgo-day, -longAgo)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drawn is one of the zone's signed sets, none of those that every answer is about.
func (s *Signed) drawn(draw *rand.Rand) (string, uint16) {
	type set struct {
		name  string
		rtype uint16
	}
	var all []set
	for name, types := range s.sigs {
		for t := range types {
			if t != wire.TypeDNSKEY && t != wire.TypeNSEC3PARAM && (name != s.name || t != wire.TypeNS && t != wire.TypeSOA) {
				all = append(all, set{name, t})
			}
		}
	}
	slices.SortFunc(all, func(a, b set) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return int(a.rtype) - int(b.rtype)
	})
	one := all[draw.IntN(len(all))]
	return one.name, one.rtype
}

func (s *Signed) redated(name string, t uint16, from, to time.Duration) error {
	sig, err := s.signatureFor(s.nodes[name][t], from, to)
	s.sigs[name][t] = []wire.RR{sig}
	return err
}

func (s *Signed) spoilSet(f Fault, name string, t uint16) error {
	set, sigs := s.nodes[name][t], s.sigs[name][t]
	if len(sigs) == 0 {
		return nil
	}
	sig := wire.Copy(sigs[0]).(*wire.RRSIG)
	switch f {
	case SigMissing:
		s.sigs[name][t] = nil
	case SigWrong:
		s.sigs[name][t] = []wire.RR{wrong(sig)}
	case SigExpired:
		return s.redated(name, t, -longAgo-day, -longAgo)
	case SigEarly:
		return s.redated(name, t, longAgo, longAgo+day)
	case SigOtherSigner:
		sig.SignerName = "elsewhere."
		s.sigs[name][t] = []wire.RR{sig}
	case SigFewerLabels:
		return s.asWildcard(name, t)
	case SigMoreWrong:
		s.sigs[name][t] = append([]wire.RR{wrong(sig)}, sigs...)
	case SigMoreUnknown:
		sig.Algorithm = 200
		s.sigs[name][t] = append([]wire.RR{sig}, sigs...)
	case RecordAdded, RecordChanged:
		changed := altered(set[0])
		if changed == nil {
			return nil
		}
		if f == RecordChanged {
			set = set[1:]
		}
		s.nodes[name][t] = append(slices.Clone(set), changed)
	}
	return nil
}

// asWildcard signs a set as if it had come out of a wildcard.
func (s *Signed) asWildcard(name string, t uint16) error {
	if name == s.name || strings.HasPrefix(name, "*.") {
		return nil
	}
	labels := wire.SplitDomainName(name)
	var set []wire.RR
	for _, rr := range s.nodes[name][t] {
		rr = wire.Copy(rr)
		rr.Header().Name = "*." + strings.Join(labels[1:], ".") + "."
		set = append(set, rr)
	}
	sig, err := s.signature(set)
	sig.Hdr.Name = name
	s.sigs[name][t] = []wire.RR{sig}
	return err
}

func wrong(sig *wire.RRSIG) *wire.RRSIG {
	b, _ := base64.StdEncoding.DecodeString(sig.Signature)
	b[len(b)/2] ^= 0x40
	sig.Signature = base64.StdEncoding.EncodeToString(b)
	return sig
}

// altered is another record of the same name and type; nil: of that type there is none.
func altered(rr wire.RR) wire.RR {
	rr = wire.Copy(rr)
	switch rr := rr.(type) {
	case *wire.A:
		rr.A[len(rr.A)-1] ^= 0x80
	case *wire.MX:
		rr.Preference += 1000
	case *wire.TXT:
		rr.Txt = []string{"changed"}
	case *wire.TLSA:
		rr.MatchingType = 2
		rr.Certificate += rr.Certificate
	default:
		return nil
	}
	return rr
}

func (s *Signed) spoilDenial(f Fault, i int) error {
	l := &s.chain[i]
	switch f {
	case DenialMissing:
		s.chain = slices.Delete(slices.Clone(s.chain), i, i+1)
	case DenialSigMissing:
		l.sigs = nil
	case DenialSigWrong:
		l.sigs = []wire.RR{wrong(wire.Copy(l.sigs[0]).(*wire.RRSIG))}
	case DenialExpired:
		sig, err := s.signatureFor([]wire.RR{l.rr}, -longAgo-day, -longAgo)
		l.sigs = []wire.RR{sig}
		return err
	case DenialChanged:
		l.rr = wire.Copy(l.rr)
		switch rr := l.rr.(type) {
		case *wire.NSEC:
			rr.TypeBitMap = bitsWith(rr.TypeBitMap, wire.TypeHINFO)
		case *wire.NSEC3:
			rr.TypeBitMap = bitsWith(rr.TypeBitMap, wire.TypeHINFO)
		}
	}
	return nil
}

func bitsWith(bits []uint16, t uint16) []uint16 {
	bits = append(slices.Clone(bits), t)
	slices.Sort(bits)
	return slices.Compact(bits)
}

// sameTag is keys of the tag of one: it is a sum of octets, which does not change when those an
// even distance apart change places (RFC 4034 appendix B).
func sameTag(k *wire.DNSKEY, n int) (out []wire.RR) {
	b, _ := base64.StdEncoding.DecodeString(k.PublicKey)
	for i := 0; len(out) < n && i < len(b); i += 2 {
		for j := i + 2; len(out) < n && j+1 < len(b); j += 2 {
			c := []byte(string(b))
			c[i], c[i+1], c[j], c[j+1] = b[j], b[j+1], b[i], b[i+1]
			if string(c) == string(b) {
				continue
			}
			other := wire.Copy(k).(*wire.DNSKEY)
			other.PublicKey = base64.StdEncoding.EncodeToString(c)
			out = append(out, other)
		}
	}
	return out
}
