package smtpserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/netip"

	"waxwing/sasl"
	"waxwing/smtp"
)

// Backend takes the mail of one listener. Its methods are called by many
// connections at once.
type Backend interface {
	// NewSession is called once per connection, after the first accepted EHLO
	// or HELO. conn is a live view of the connection: what it says changes with
	// STARTTLS, AUTH and a second EHLO. An error refuses the connection: a
	// *smtp.Reply is sent as it is (421 closes), anything else as 451 4.3.0.
	NewSession(ctx context.Context, conn Conn) (Session, error)
}

// Session takes the transactions of one connection, one call at a time. Errors
// that are a *smtp.Reply are sent, any other error is logged and sent as 451
// 4.3.0.
//
// Data reads r to its end or to an error and returns the final reply; where it
// returns a positive one, the message is durable. It must return the error of
// r, wrapped or not, if reading failed. Reset ends the transaction, if there is
// one; it is called after Data too. Close comes last.
type Session interface {
	Mail(ctx context.Context, p smtp.MailParams) error
	Rcpt(ctx context.Context, p smtp.RcptParams) error
	Data(ctx context.Context, r io.Reader) (*smtp.Reply, error)
	Reset()
	Close()
}

// Conn is what backends and authenticators may know of a connection. It is a
// live view, to be used only from within the calls it was passed to or a
// Session's methods.
type Conn interface {
	Remote() netip.AddrPort
	Local() netip.AddrPort
	TLS() *tls.ConnectionState // nil without TLS
	// ServerCertificate is the one we presented; nil without TLS, and on a
	// resumed session where it is not known.
	ServerCertificate() *x509.Certificate
	HELO() string     // as the client gave it; empty before
	ESMTP() bool      // EHLO rather than HELO
	Identity() string // the account that authenticated; empty if none
}

// Authenticator decides on AUTH (RFC 4954).
type Authenticator interface {
	// Mechanisms are those to offer, in the order of offering; none: AUTH is
	// not offered.
	Mechanisms(tls bool) []string
	// Start begins an exchange. A reply refuses it: 504 for an unknown
	// mechanism, 421 to end the connection. Mech is in upper case.
	Start(ctx context.Context, mech string, conn Conn) (sasl.Server, *smtp.Reply)
}

// ConnAuthenticator is an Authenticator that offers more than Mechanisms to
// clients who have shown a certificate (EXTERNAL). MechanismsOn then takes the
// place of Mechanisms in the answer to EHLO. It is asked once a handshake.
type ConnAuthenticator interface {
	MechanismsOn(conn Conn) []string
}

// Watcher is an Authenticator that wants to know how exchanges ended, to slow
// down and refuse addresses that guess (INB-3). Done is called once after each
// exchange that Start began, with what Start returned, before the reply is sent; it
// may sleep. It is not told of those that the client cancelled, or left by hanging
// up, before it had an answer to anything; err is ErrBrokenOff of those that ended
// like that, or in a response that could not be read, afterwards. A reply replaces
// the one that would be sent, 421 closes.
type Watcher interface {
	Done(ctx context.Context, conn Conn, ex sasl.Server, err error) *smtp.Reply
}

// ErrBrokenOff is an exchange that ended without success after the client had an
// answer of the mechanism's, and before it was refused. What that answer tells, it
// has learnt: in SCRAM, a salt.
var ErrBrokenOff = errors.New("the authentication exchange was broken off")
