// Package proof decides what DNSSEC proves of an answer. It is pure: what it is
// given is messages, trust anchors, a time and a budget; what it returns is a
// Proof, or the DS and DNSKEY messages without which it cannot go on (VAL-16).
//
// It covers RFC 4033 to 4035 with the clarifications of RFC 6840, NSEC3 with
// opt-out (RFC 5155), the bound on its iterations (RFC 9276), wildcards (RFC
// 4592), DNAME (RFC 6672), negative trust anchors (RFC 7646) and the codes of
// RFC 8914. Where it differs on purpose, docs/rfc-notes.md says so.
package proof

import (
	"fmt"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// Question is a name, absolute and in canonical form, and a type.
type Question struct {
	Name string
	Type uint16
}

// Ask makes a Question of a name in presentation form, with or without its final dot.
func Ask(name string, qtype uint16) Question { return Question{canon(name), qtype} }

func (q Question) String() string {
	return fmt.Sprintf("%s %s", q.Name, wire.Type(q.Type))
}

// Codes of RFC 8914 that a proof can carry. CodeNone: there is nothing to say.
const (
	CodeNone          = uint16(0)
	CodeAlgorithm     = wire.ExtendedErrorCodeUnsupportedDNSKEYAlgorithm
	CodeDigest        = wire.ExtendedErrorCodeUnsupportedDSDigestType
	CodeIndeterminate = wire.ExtendedErrorCodeDNSSECIndeterminate
	CodeBogus         = wire.ExtendedErrorCodeDNSBogus
	CodeExpired       = wire.ExtendedErrorCodeSignatureExpired
	CodeNotYetValid   = wire.ExtendedErrorCodeSignatureNotYetValid
	CodeNoKey         = wire.ExtendedErrorCodeDNSKEYMissing
	CodeNoSignature   = wire.ExtendedErrorCodeRRSIGsMissing
	CodeNoZoneKey     = wire.ExtendedErrorCodeNoZoneKeyBitSet
	CodeNoDenial      = wire.ExtendedErrorCodeNSECMissing
	CodeIterations    = uint16(27)
)

// Limit is the word for a bound of VAL-7 at which the work on a lookup ended.
type Limit string

// The bounds of VAL-7, as words.
const (
	LimitNone          Limit = ""
	LimitVerifications Limit = "too-many-signatures"
	LimitArithmetic    Limit = "too-much-arithmetic"
	LimitHashes        Limit = "too-many-nsec3-hashes"
	LimitZones         Limit = "too-many-zones"
	LimitAliases       Limit = "too-many-aliases"
)

// Finding is a state with its reason: what was found, at which zone.
type Finding struct {
	State dns.Security
	Code  uint16 // extended error (RFC 8914), CodeNone where there is nothing to say
	Zone  string // where it was found
	Text  string // in words
	Limit Limit  // the bound at which the work ended; the state is then Indeterminate
}

// Link is one step of an answer: an alias, the records, or the proof that there are none.
type Link struct {
	Name   string
	Type   uint16 // the type found: CNAME, DNAME, the type asked for; for a denial that too
	Denied bool   // it is proven, or claimed, that there is no such record
	Finding
	Signature *wire.RRSIG // that was found valid; nil: none
}

// Proof is what is proven of an answer.
type Proof struct {
	Finding
	Links    []Link // each step; the state of the whole is that of the weakest
	NXDomain bool   // the last name does not exist
	// Next is the target of the last alias, where the message says nothing of it: it has to be asked for.
	Next string
	// Until is when the first signature that the proof rests on ends; zero: none does.
	Until time.Time
	// TTL bounds how long the answer may be kept (RFC 4035 §5.3.3).
	TTL time.Duration
}

// Limits bound the work on one lookup (VAL-6, VAL-7). Zero fields stand for the defaults.
type Limits struct {
	Verifications, PerSet, KeysPerTag, Hashes, Zones, Cuts, Aliases int
	Failures                                                        int           // signatures tried that are wrong
	Arithmetic                                                      time.Duration // estimated time of the processor for signatures
	Iterations                                                      int           // NSEC3 iterations beyond which a zone counts as insecure
}

// DefaultLimits are those of VAL-6 and VAL-7.
func DefaultLimits() Limits {
	return Limits{Verifications: 64, Failures: 16, Arithmetic: 8 * time.Millisecond, PerSet: 8, KeysPerTag: 4, Hashes: 32, Zones: 16, Cuts: 40, Aliases: 12, Iterations: 50}
}

// Budget counts the work of one lookup down, over all its steps. It is not safe for concurrent use.
type Budget struct {
	limits                                                Limits
	verifications, failures, hashes, zones, cuts, aliases int
	arithmetic                                            time.Duration
	hit                                                   Limit
}

// NewBudget is a whole budget.
func NewBudget(l Limits) *Budget {
	d := DefaultLimits()
	pick := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	pick(&l.Verifications, d.Verifications)
	pick(&l.Failures, d.Failures)
	pick(&l.PerSet, d.PerSet)
	pick(&l.KeysPerTag, d.KeysPerTag)
	pick(&l.Hashes, d.Hashes)
	pick(&l.Zones, d.Zones)
	pick(&l.Cuts, d.Cuts)
	pick(&l.Aliases, d.Aliases)
	pick(&l.Iterations, d.Iterations)
	if l.Arithmetic <= 0 {
		l.Arithmetic = d.Arithmetic
	}
	return &Budget{limits: l, verifications: l.Verifications, failures: l.Failures, arithmetic: l.Arithmetic, hashes: l.Hashes, zones: l.Zones, cuts: l.Cuts, aliases: l.Aliases}
}

// Again is a budget for another try of the same lookup: what is left of the
// arithmetic, and the rest anew.
func (b *Budget) Again() *Budget {
	next := NewBudget(b.limits)
	next.arithmetic = b.arithmetic
	return next
}

// verification takes one attempt out of the budget; false: it must not be made.
func (b *Budget) verification(cost time.Duration) bool {
	if !b.take(&b.verifications, LimitVerifications) {
		return false
	}
	if b.failures <= 0 || b.arithmetic < cost {
		b.hit = LimitArithmetic
		if b.failures <= 0 {
			b.hit = LimitVerifications
		}
		return false
	}
	b.arithmetic -= cost
	return true
}

// Exceeded is the bound that was reached, if one was.
func (b *Budget) Exceeded() Limit { return b.hit }

// Spent is how many signatures were verified and NSEC3 hashes computed, and what the
// signatures are estimated to have cost.
func (b *Budget) Spent() (verifications, hashes int, arithmetic time.Duration) {
	return b.limits.Verifications - b.verifications, b.limits.Hashes - b.hashes, b.limits.Arithmetic - b.arithmetic
}

func (b *Budget) take(left *int, l Limit) bool {
	if *left <= 0 {
		if b.hit == LimitNone {
			b.hit = l
		}
		return false
	}
	*left--
	return true
}

// worse orders the states of links: the weakest decides over the whole.
func worse(a, b dns.Security) bool { return weakness(a) > weakness(b) }

func weakness(s dns.Security) int {
	switch s {
	case dns.Secure:
		return 0
	case dns.Insecure:
		return 1
	case dns.Indeterminate:
		return 2
	}
	return 3
}
