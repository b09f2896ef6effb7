package delivery

import (
	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

// TLSLevel is how a session treats STARTTLS.
type TLSLevel uint8

// The levels.
const (
	TLSOpportunistic TLSLevel = iota // use it where offered
	TLSRequired                      // no mail without it
)

// TLSOffer is what a session offers and takes of TLS: versions, cipher suites, keys
// and signatures. The zero value is the stricter one.
type TLSOffer uint8

// The offers (POL-10).
const (
	OfferSound TLSOffer = iota // TLS 1.2 and up, nothing that is broken
	OfferAny                   // all that this program can speak: where plaintext would do, any TLS is better (RFC 7435)
)

var offerWords = [...]string{"sound", "any"}

func (o TLSOffer) String() string { return offerWords[o] }

// Check says what a session does with the result of a verification.
type Check uint8

// The checks. A result is recorded under all three.
const (
	CheckNone   Check = iota // nobody asked
	CheckReport              // the report wants to know, the mail goes anyway (mode testing, TLSOptional)
	CheckRequire
)

// Plan is what to do with one host. A session carries it out and chooses
// nothing; policy.Decide alone makes it.
type Plan struct {
	Host Host
	Skip *Failure // set: the host is not to be used, and everything below but Reports and Basis is empty

	TLS   TLSLevel
	Offer TLSOffer
	// SmallHello allows, after a handshake that failed for what may lie in the size
	// or the novelty of our hello, one more with a small and older one.
	SmallHello bool

	PKIX      Check
	PKIXName  dns.Name // the name the certificate must carry: the MX host
	DANE      Check
	TLSA      []dane.Record
	DANENames []dns.Name // reference names for DANE-TA
	SNI       dns.Name
	// PlaintextFallback allows one retry in plaintext on the same host after a
	// TLS failure (POL-3). It is never decided anywhere else.
	PlaintextFallback bool
	RequireTLSVerb    Check // CheckRequire: the host must offer REQUIRETLS and MAIL carries it; CheckReport: use it where offered (null sender, POL-4)

	// Waived is what a plan that does not follow TLSOptional would require (POL-5); zero
	// where this one does not, or where it would require nothing either.
	Waived Demands

	Reports []Policy // what TLSRPT reports this host's sessions are counted under (POL-7)
	Basis   Basis
}

// Demands are what a plan requires of a session.
type Demands struct{ TLS, PKIX, DANE bool }

// Verify is the plan's verification in one word: none, pkix, dane, dane+pkix.
func (p Plan) Verify() string {
	switch pk, da := p.PKIX == CheckRequire, p.DANE == CheckRequire; {
	case pk && da:
		return "dane+pkix"
	case da:
		return "dane"
	case pk:
		return "pkix"
	}
	return "none"
}

// Demanding reports a plan that is not satisfied with just any session.
func (p *Plan) Demanding() bool {
	return p.TLS == TLSRequired || p.PKIX == CheckRequire || p.DANE == CheckRequire || p.RequireTLSVerb == CheckRequire
}

// Policy is one TLSRPT policy that sessions with a host count under, with
// what makes a session fail under it.
type Policy struct {
	Type    tlsrpt.PolicyType
	Domain  dns.Name // tlsa: the TLSA base domain; sts and no-policy-found: the recipient domain
	Strings []string // RFC 8460 §4.4 policy-string
	MX      []string // RFC 8460 §4.4 mx-host
	// Failed is a failure that stands before any session: a finding's fault, a
	// skipped host. Every session under this policy then counts as failed with
	// it; a skip counts as one session that should have been.
	Failed *TLSFailure
	// Needs is what a session must meet to count as a success under this policy.
	Needs Need
}

// Need is what a TLSRPT policy asks of a session.
type Need uint8

// The needs, by policy.
const (
	NeedTLS  Need = iota // TLS, no matter whose certificate: no-policy-found, all TLSA unusable
	NeedPKIX             // sts
	NeedDANE             // tlsa
)

// Basis is why a plan is as it is: facts in the order in which they were
// weighed. It is stored with the attempt and shown by explain, queue and lab.
type Basis []Fact

// Fact is one reason of a decision, as data.
type Fact struct {
	Word reason.Word `json:"word"`           // closed set, see package policy
	Text string      `json:"text,omitempty"` // names and values that go with the word
}

func (b Basis) String() string {
	s := ""
	for i, f := range b {
		if i > 0 {
			s += ", "
		}
		s += string(f.Word)
		if f.Text != "" {
			s += " (" + f.Text + ")"
		}
	}
	return s
}

// Decision is what policy.Decide makes: a plan per host, in the order of the
// destination's hosts, or a failure that stops the delivery before any host.
type Decision struct {
	Plans []Plan
	// Stop: nothing is to be dialled (null MX, no hosts, STS lookup deferred,
	// every host skipped). Nil if a plan without Skip exists. Plans may hold
	// skipped hosts beside it, whose Reports are recorded.
	Stop *Failure
	// Reports are the TLSRPT policies under which an attempt counts that Stop ended
	// before any host (RPT-22).
	Reports []Policy
	// SetAside is what an operator's exception has set aside (STS-13).
	SetAside []Fact
	// Ignored counts findings that TLSOptional set aside, by cause (POL-5).
	Ignored map[reason.Word]int
}
