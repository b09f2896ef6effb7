package smtpserver

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/internal/guard"
	"waxwing/peers"
	"waxwing/smtp"
)

// Server is an SMTP server for one or more listeners. The zero values of
// Limits, Timeouts, Offer and Hooks are what a server on the internet should
// have. Fields must not change once Serve was called.
type Server struct {
	Hostname string // for greeting and EHLO; required
	Greeting string // text after the host name; empty: "ESMTP"
	// TLS is for STARTTLS, or from the first octet with ImplicitTLS (RFC 8314).
	// Nil: no TLS.
	TLS         *tls.Config
	ImplicitTLS bool
	Backend     Backend
	Auth        Authenticator // nil: no AUTH
	// LMTP has the server speak LMTP (RFC 2033): LHLO in place of EHLO and HELO, and after
	// the message a reply for each recipient that was taken. CHUNKING is not offered.
	LMTP bool
	// Identity is the account of every client, where it is known from elsewhere: from
	// the peer of a unix socket. Nobody is in between then, so that REQUIRETLS is
	// offered without TLS, too. "": who has logged in.
	Identity string
	Limits   Limits
	Timeouts Timeouts
	// Peers remembers how clients have behaved, for all servers that share it. Nil:
	// nothing is remembered from one connection to the next.
	Peers *peers.Ledger
	Offer Offer
	Hooks Hooks
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard
	Guard *guard.Guard     // contains panics
	Area  guard.Area       // of panics; "": guard.SMTP
	Trace Trace

	once    sync.Once
	wireTLS *tls.Config // TLS, with the presented certificate noted (see certificate.go)
	gate    gate
	lane    peers.Lane   // for TLS handshakes
	lent    atomic.Int64 // of Limits.EnvelopeMemory
	refused refusals
}

// Limits bound what clients can have. Zero values mean the defaults given.
type Limits struct {
	Connections        int   // in all; 1000
	ConnectionsPerAddr int   // per IPv4 address or IPv6 /64; 50
	ConnectionsPerNet  int   // per IPv4 /24 or IPv6 /48; 200
	Handshakes         int   // TLS handshakes at one time; 200
	Waiting            int   // clients at one time whose errors are answered late; 100
	MessageSize        int64 // octets, announced with SIZE; 50 MiB
	Recipients         int   // per transaction, announced as RCPTMAX; 1000
	// EnvelopeMemory is what the recipients of clients who have not logged in may hold,
	// in octets, beyond 16 KiB of each; 16 MiB.
	EnvelopeMemory int64
	Transactions   int // per connection, announced as MAILMAX; 1000
	Commands       int // per connection, counted anew after each message accepted; 1000
	// Errors are the refused recipients and commands of one connection that are
	// answered; the next one is answered 421. 19. Errors of earlier connections, and of
	// neighbours, count too where there are Peers, whose Patience then sets the limit.
	Errors        int
	LoginFailures int // per connection before 421; 3
}

// Timeouts are how long a client may keep us waiting. Zero values mean the
// defaults given (RFC 5321 §4.5.3.2.7 asks for 5 minutes at least).
type Timeouts struct {
	Command time.Duration // for the next command to be complete; 5 min
	Data    time.Duration // for the next octets of a message; 3 min
	// Message bounds the whole of one message's transfer, so that a client that
	// drips octets cannot hold a slot for ever; 1 h.
	Message   time.Duration
	Handshake time.Duration // TLS; 30 s
	Write     time.Duration // for a reply to be taken; 1 min
	// Crowded takes the place of all those above that are longer, and ten times Crowded
	// that of Message, while nearly all connections are taken; 10 s.
	Crowded time.Duration
	Drain   time.Duration // after Serve's context ended, for messages under way; 30 s
}

// Offer switches extensions off; REQUIRETLS alone is switched on, because it is
// a promise that the backend must be able to keep (RFC 8689 §4.2.1).
type Offer struct {
	RequireTLS bool // offered over TLS only
	NoDSN      bool
	NoChunking bool
	// FutureRelease is how long a message may be held before its release (RFC 4865);
	// 0: not offered. For submission only, and only after AUTH is any use made of it.
	FutureRelease time.Duration
}

// Hooks make a server misbehave, for test peers. All nil: none.
type Hooks struct {
	// Command sees every command before it is carried out, verb in upper case
	// ("" is the moment of greeting, "." the end of DATA). A non-nil reply is
	// sent instead; 421 closes afterwards. The reply Drop closes at once.
	Command func(conn Conn, verb, arg string) *smtp.Reply
	// Keywords may change the EHLO answer's lines.
	Keywords func(conn Conn, lines []string) []string
	// TLS takes the place of the TLS handshake after "220" to STARTTLS (and from
	// the start with ImplicitTLS): it returns the connection to go on with, or
	// an error to close. nc yields the raw octets.
	TLS func(ctx context.Context, nc net.Conn) (*tls.Conn, error)
}

// Drop is the reply of a hook that closes the connection without any reply.
var Drop = &smtp.Reply{Code: 0}

// Trace tells observers what happens; nil fields are not called. The functions
// are called on the connection's goroutine and must be quick.
type Trace struct {
	Connected    func(remote netip.Addr, refused string) // refused: "", or a peers.Word
	Disconnected func(remote netip.Addr, why string)     // "quit", "closed", "timeout", "drain", "errors", …
	// Erred tells of an error of the client's and what becomes of its answer.
	Erred func(remote netip.Addr, answer peers.Answer)
	// Limited tells which of the Limits, on what one connection does, was reached:
	// "recipients", "envelope-memory", "commands", "transactions", "logins", "size".
	Limited func(limit string)
	Command func(verb string, reply *smtp.Reply)
	// Accepted tells of a message that the backend has taken, before the reply.
	Accepted func()
	// Refused tells of one that was read whole and not taken, with the reply's code.
	Refused func(code int)
	TLS     func(remote netip.Addr, cs *tls.ConnectionState, err error)
	Login   func(mech, identity string, err error)
	// Transcript is who watches a connection; nil: nobody. It is asked before each line, so
	// that a watch begins and ends while connections are open, and must cost nothing while
	// there is none.
	Transcript func(conn Conn) smtp.Transcript
}
