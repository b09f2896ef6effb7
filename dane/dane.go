package dane

import (
	"crypto/x509"
	"errors"
	"time"

	"waxwing/dns"
)

// The reasons of an Error; the set is closed.
const (
	NoMatch        = "dane-no-match"         // no record matches a presented certificate
	TAExpired      = "dane-ta-expired"       // a trust anchor matched, but a certificate of the chain is out of its dates
	TANameMismatch = "dane-ta-name-mismatch" // a trust anchor matched, but the certificate carries none of the reference names
	TAChain        = "dane-ta-chain"         // a trust anchor matched, but no valid chain leads to it
)

// Error is a chain that does not meet the TLSA records.
type Error struct {
	Reason string // one of the reasons above
	Text   string // for people, bounded
	Err    error  // the cause, may be nil
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// Verification is a chain that meets the records.
type Verification struct {
	Record Record // the record that matched
	Depth  int    // of the certificate it matched: 0 the leaf, 1 its issuer, …
}

// Usable keeps the records that SMTP can use (DANE-1) and counts the others.
func Usable(rrs []dns.TLSA) (usable []Record, unusable int) { return nil, len(rrs) }

// Verify checks the presented chain, leaf first, against usable records. names
// are the reference names for DANE-TA. The error is an *Error.
func Verify(records []Record, names []dns.Name, chain []*x509.Certificate, now time.Time) (*Verification, error) {
	return nil, &Error{Reason: NoMatch, Err: errors.New("not implemented")}
}

// Generate makes the TLSA record that matches cert.
func Generate(cert *x509.Certificate, usage, selector, matching uint8) dns.TLSA { return dns.TLSA{} }
