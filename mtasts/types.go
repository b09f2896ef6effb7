package mtasts

import (
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
)

// Mode is what a policy asks of senders (RFC 8461 §5).
type Mode string

// The modes of RFC 8461 §5.
const (
	ModeNone    Mode = "none"
	ModeTesting Mode = "testing"
	ModeEnforce Mode = "enforce"
)

// Policy is a parsed policy (RFC 8461 §3.2).
type Policy struct {
	Mode       Mode
	MaxAge     time.Duration
	MX         []Pattern
	Extensions []Extension // unknown keys, in order
	Lines      []string    // the lines of the text without their ends, as TLS reports quote them (RFC 8460 §4.4)
}

// Pattern is one "mx" value: a host name, or a wildcard that stands for
// exactly one leftmost label (RFC 8461 §4.1).
type Pattern struct {
	Wildcard bool
	Name     dns.Name // without "*."
}

func (p Pattern) String() string {
	if p.Wildcard {
		return "*." + p.Name.String()
	}
	return p.Name.String()
}

// Extension is a key this package does not know, and its value.
type Extension struct{ Key, Value string }

// Error is why a domain's record or policy could not be had.
type Error struct {
	Word       reason.Word // of STS-4: reason.STSNoRecord to reason.STSPolicySyntax, or reason.STSLookupFailed
	Detail     string      // in words: HTTP status, certificate reason, line of the policy
	HTTPStatus int         // for Fetch and NoPolicy, 0 without an answer
	Err        error       // the cause, may be nil
}

func (e *Error) Error() string {
	s := "MTA-STS: " + string(e.Word)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// AsNone: what the error says of the record leaves the domain without MTA-STS, by RFC
// 8461 §3.1, and no policy of the domain can have failed.
func (e *Error) AsNone() bool {
	return e.Word == reason.STSNoRecord || e.Word == reason.STSMultipleRecords || e.Word == reason.STSRecordSyntax
}
