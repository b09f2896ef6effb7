// Package sasl holds the SASL mechanisms of mail, both sides: PLAIN (RFC 4616),
// LOGIN (as widely deployed), EXTERNAL (RFC 4422 Appendix A, server only), CRAM-MD5
// (RFC 2195, client only), SCRAM-SHA-1 and
// SCRAM-SHA-256 with and without channel binding (RFC 5802, RFC 7677;
// tls-exporter of RFC 9266, tls-server-end-point of RFC 5929).
//
// It knows neither SMTP nor accounts: challenges and responses are plain bytes
// (base64 is the protocol's matter, RFC 4954 §4), and who may log in is a
// function that the caller passes. SCRAM itself is xdg-go/scram; this package
// bounds its inputs, chooses the channel binding that the client asked for, and
// keeps its error texts, which hold key material, away from logs.
package sasl

import (
	"errors"
	"strings"
)

// The mechanisms' names.
const (
	Plain           = "PLAIN"
	Login           = "LOGIN"
	ScramSHA1       = "SCRAM-SHA-1"
	ScramSHA1Plus   = "SCRAM-SHA-1-PLUS"
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

// Server is the server's side of one exchange. It is used by one goroutine.
//
// Next takes the client's response, decoded. The first call holds the initial
// response, nil if there was none (an empty one is not nil). While done is
// false the challenge is sent and the next response awaited; done with a nil
// error means that the client is who Identity says. A server that has done or
// failed is not used again.
//
// Errors: ErrFailed for refused credentials, *SyntaxError for a response that
// breaks the mechanism's rules, anything else from the caller's own function.
type Server interface {
	Next(response []byte) (challenge []byte, done bool, err error)
	// Identity is the account that logged in; empty until done.
	Identity() string
}

// Client is the client's side of one exchange. It is used by one goroutine.
type Client interface {
	// Start names the mechanism and gives the initial response, nil if the
	// mechanism has none.
	Start() (mech string, ir []byte, err error)
	// Next answers a challenge. An error means: stop, the server is not to be
	// trusted or cannot be understood.
	Next(challenge []byte) ([]byte, error)
}

// Checked is a Client of a mechanism that also authenticates the server. After
// the server's success Done reports an error if it never proved itself
// (RFC 5802 §5: the verifier must be checked).
type Checked interface {
	Done() error
}

// ErrFailed says that the credentials were refused. It never says why: an
// unknown user and a wrong password are not to be told apart.
var ErrFailed = errors.New("authentication failed")

// SyntaxError is a message that breaks its mechanism's rules. Its text holds
// nothing of what was received.
type SyntaxError struct {
	Mechanism string
	Text      string
}

func (e *SyntaxError) Error() string { return e.Mechanism + ": " + e.Text }

// Verify checks a user name and a password and returns the account they belong
// to. It returns ErrFailed for credentials that are not right; any other error
// is passed on (a store that does not answer must not look like a wrong password).
type Verify func(user, password string) (account string, err error)

// maxText bounds user names and passwords, in octets. RFC 4616 §2 asks for 255
// code points at least.
const maxText = 1024

// checkText refuses what no mechanism allows: NUL, and more than maxText octets.
func checkText(mech string, fields ...string) error {
	for _, f := range fields {
		if len(f) > maxText {
			return &SyntaxError{mech, "a field is longer than 1024 octets"}
		}
		if strings.IndexByte(f, 0) >= 0 {
			return &SyntaxError{mech, "a field holds a NUL"}
		}
	}
	return nil
}
