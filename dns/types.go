package dns

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"waxwing/internal/reason"
)

// Security is the DNSSEC state of an answer, in the terms of RFC 4035 §4.3.
// The zero value is Indeterminate, so that a forgotten state is never trusted.
type Security uint8

// The four states of RFC 4035 §4.3.
const (
	Indeterminate Security = iota // nothing is known: no answer, or the resolver is not trusted
	Insecure                      // a proven or assumed lack of signatures
	Secure                        // validated by a resolver that is trusted (DNS-3)
	Bogus                         // signed, and validation failed
)

// String returns the state as one lower-case word, the same in logs, metrics and reports.
func (s Security) String() string {
	switch s {
	case Insecure:
		return "insecure"
	case Secure:
		return "secure"
	case Bogus:
		return "bogus"
	}
	return "indeterminate"
}

// Answer is what a lookup found. A lookup that got an answer of any kind,
// NXDOMAIN and NODATA included, returns it without an error: the absence of
// records is a fact with a security state of its own (DNS-2).
type Answer[T any] struct {
	Name     Name          // the name that was asked for
	Records  []T           // empty for NXDOMAIN and NODATA
	NXDomain bool          // the name does not exist; false and no Records: NODATA
	Security Security      // of the whole answer, CNAMEs included
	TTL      time.Duration // the smallest TTL of the answer; for a negative one RFC 2308 §5
	Chain    []Name        // the CNAME targets followed, in order; the last is where Records stand
}

// Canonical is the name at which the records stand, after all CNAMEs.
func (a Answer[T]) Canonical() Name {
	if n := len(a.Chain); n > 0 {
		return a.Chain[n-1]
	}
	return a.Name
}

// MX is one mail exchanger. Host is the zero Name for the null MX (RFC 7505),
// which has Null set, and for a record whose target is no usable name.
type MX struct {
	Pref uint16
	Host Name
	Null bool
}

// SRV is one service location (RFC 2782).
type SRV struct {
	Priority, Weight, Port uint16
	Target                 Name
}

// TLSA is one record of RFC 6698 §2.1, as found, not checked.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// CAA is one record of RFC 8659 §4.1, as found, not checked.
type CAA struct {
	Critical   bool
	Tag, Value string // the tag in lower case
}

// String is the record's presentation form.
func (c CAA) String() string {
	flags := 0
	if c.Critical {
		flags = 128
	}
	return fmt.Sprintf("%d %s %q", flags, c.Tag, c.Value)
}

// String is the record's presentation form with lower-case hexadecimal data.
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.MatchingType, t.Data)
}

// Resolver looks names up. Every method returns either an answer with its
// security state or an *Error; a Bogus answer is an *Error whose Security is
// Bogus. Implementations are safe for concurrent use, and honour ctx.
type Resolver interface {
	LookupA(ctx context.Context, name Name) (Answer[netip.Addr], error)
	LookupAAAA(ctx context.Context, name Name) (Answer[netip.Addr], error)
	LookupMX(ctx context.Context, name Name) (Answer[MX], error)
	LookupTXT(ctx context.Context, name Name) (Answer[string], error)
	LookupCNAME(ctx context.Context, name Name) (Answer[Name], error)
	LookupPTR(ctx context.Context, addr netip.Addr) (Answer[Name], error)
	LookupNS(ctx context.Context, name Name) (Answer[Name], error)
	LookupSRV(ctx context.Context, name Name) (Answer[SRV], error)
	LookupTLSA(ctx context.Context, name Name) (Answer[TLSA], error)
	LookupCAA(ctx context.Context, name Name) (Answer[CAA], error)
}

// Error is a lookup that gave no usable answer. It is always temporary: what
// does not exist is an Answer.
type Error struct {
	Name     Name
	Type     string   // "MX", "TLSA", …
	Security Security // Bogus where validation failed, else Indeterminate
	RCode    string   // "SERVFAIL", "REFUSED", …; empty where no reply came
	EDE      []EDE    // extended errors of the reply (RFC 8914)
	Timeout  bool
	Err      error // the cause, may be nil
}

// EDE is an extended DNS error (RFC 8914).
type EDE struct {
	Code uint16
	Text string
}

func (e *Error) Unwrap() error { return e.Err }

// Word is the reason word: dns-bogus, dns-timeout, dns-servfail, dns-refused or dns-error.
func (e *Error) Word() reason.Word {
	switch {
	case e.Security == Bogus:
		return reason.DNSBogus
	case e.Timeout:
		return reason.DNSTimeout
	case e.RCode == "SERVFAIL":
		return reason.DNSServfail
	case e.RCode == "REFUSED":
		return reason.DNSRefused
	}
	return reason.DNSError
}

func (e *Error) Error() string {
	s := fmt.Sprintf("DNS lookup of %s %s: %s", e.Name, e.Type, e.Word())
	for _, ede := range e.EDE {
		s += fmt.Sprintf(" (extended error %d %s)", ede.Code, ede.Text)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
