package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// Dialer makes TCP connections; address is "ip:port".
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Client carries messages to hosts. It is safe for concurrent use; its fields
// must not change once it is in use.
type Client struct {
	Dialer   Dialer         // nil: net.Dialer
	HELO     string         // our name; needed
	Roots    *x509.CertPool // for PKIX; nil: the system's
	Timeouts smtpclient.Timeouts
	Bounds   Bounds
	Port     int // 0: 25
	// Resume keeps TLS sessions for resumption, by host and verification; nil:
	// none are resumed. A resumed session is verified like any other.
	Resume tls.ClientSessionCache
	// Pool keeps connections for further messages; nil: each has its own.
	Pool *Pool
	// Crowd bounds what is under way at one address; nil: nothing does.
	Crowd *Crowd
	// Of a host that the operator named (TRA-1, TRA-2).
	LMTP        bool   // it speaks LMTP (RFC 2033)
	ImplicitTLS bool   // TLS begins before the greeting (RFC 8314 §3.3), as on port 465
	Login       *Login // log in before MAIL; nil: not
	// Convert rewrites a message that a host could not be given as it is: one with
	// octets above 127 without 8BITMIME (SES-8), one with lines that are too long
	// (INB-13). Nil, or an error: such a message fails.
	Convert func(delivery.Content, message.Need) (delivery.Content, error)
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard
	// Transcript is who watches a connection with a host; nil: nobody.
	Transcript func(smtpclient.Peer) smtp.Transcript
}

// Request is one message for one host.
type Request struct {
	Plan       delivery.Plan // without Skip
	Job        *delivery.Job
	Recipients []delivery.Recipient // those of the job that are still to be settled
	Content    delivery.Content
}

// Report is what came of it.
type Report struct {
	Visit delivery.Visit
	// Recipients has one result for each of Request.Recipients, in their order.
	// Pending means that this host did not settle it and the next may be tried;
	// Word, Text and Reply then say why, for when there is no next, and Unfit that
	// the host cannot take it.
	Recipients []delivery.RecipientResult
}

// maxRcpts is how many recipients go into one transaction where the host
// states no limit: what every server must take (RFC 5321 §4.5.3.1.8).
const maxRcpts = 100

var (
	enhNoAnswer  = smtp.Enhanced{Class: 4, Subject: 4, Detail: 1}
	enhBadConn   = smtp.Enhanced{Class: 4, Subject: 4, Detail: 2}
	enhSecurity  = smtp.Enhanced{Class: 4, Subject: 7, Detail: 5}
	enhNoTLS     = smtp.Enhanced{Class: 4, Subject: 7, Detail: 4}
	enhLocal     = smtp.Enhanced{Class: 4, Subject: 3, Detail: 0}
	enhTooBig    = smtp.Enhanced{Class: 5, Subject: 3, Detail: 4}
	enhMedia     = smtp.Enhanced{Class: 5, Subject: 6, Detail: 0}
	enhConvert   = smtp.Enhanced{Class: 5, Subject: 6, Detail: 3}
	enhUTF8      = smtp.Enhanced{Class: 5, Subject: 6, Detail: 7}
	enhNoReqTLS  = smtp.Enhanced{Class: 5, Subject: 7, Detail: 30}
	enhAuth      = smtp.Enhanced{Class: 4, Subject: 7, Detail: 0}
	enhBadParams = smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}
)

// Carry tries the addresses of the plan's host in turn until one settles all
// recipients, or leaves no hope for this host. No recipient is lost or sent to
// twice: a recipient whose message was sent in full without an answer is
// Deferred, and goes to no other address or host in this attempt.
func (c *Client) Carry(ctx context.Context, req Request) Report {
	v := newVisit(c, req)
	last := lastAddrs(req.Recipients)
	addrs := order(req.Plan.Host.Addrs, last)
	if req.Plan.Skip != nil || len(addrs) == 0 {
		v.unsettled(&delivery.Failure{Word: reason.NoAddress, Enhanced: enhNoAnswer, Text: "the host has no address to connect to"})
		return v.report()
	}
	if len(last) == 0 { // no greylist knows the message by its address
		addrs = v.keptFirst(addrs)
	}
	for _, addr := range addrs {
		if v.address(ctx, addr) != nextAddr || v.pending() == 0 || ended(ctx) || v.past(v.bounds.Addresses) {
			break
		}
	}
	return v.report()
}

// ended reports that the attempt is broken off. A dialer may notice the
// deadline of ctx a moment before ctx does.
func ended(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(at)
}

func (c *Client) port() uint16 {
	if c.Port == 0 {
		return 25
	}
	return uint16(c.Port)
}

func (c *Client) address(addr netip.Addr) string { return netip.AddrPortFrom(addr, c.port()).String() }

func (c *Client) dialer() Dialer {
	if c.Dialer != nil {
		return c.Dialer
	}
	return &net.Dialer{}
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
