package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"waxwing/internal/delivery"
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
	Port     int // 0: 25
	// Resume keeps TLS sessions for resumption, by host and verification; nil:
	// none are resumed. A resumed session is verified like any other.
	Resume tls.ClientSessionCache
	// To7Bit turns a message with octets above 127 into one without, for hosts
	// that do not offer 8BITMIME (SES-8). Nil, or an error: such a message fails.
	To7Bit func(delivery.Content) (delivery.Content, error)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: discard
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
	Attempt delivery.Attempt
	// Recipients has one result for each of Request.Recipients, in their order.
	// Pending means that this host did not settle it and the next may be tried;
	// Word, Text and Reply then say why, for when there is no next.
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
	enhBadParams = smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}
)

// Carry tries the addresses of the plan's host in turn until one settles all
// recipients, or leaves no hope for this host. No recipient is lost or sent to
// twice: a recipient whose message was sent in full without an answer is
// Deferred, and goes to no other address or host in this attempt.
func (c *Client) Carry(ctx context.Context, req Request) Report {
	t := newTrip(c, req)
	addrs := order(req.Plan.Host.Addrs, lastAddrs(req.Recipients))
	if req.Plan.Skip != nil || len(addrs) == 0 {
		t.unsettled(&delivery.Failure{Word: NoAddress, Enhanced: enhNoAnswer, Text: "the host has no address to connect to"})
		return t.report()
	}
	for _, addr := range addrs {
		again := t.session(ctx, addr, false)
		if again == plaintext {
			again = t.session(ctx, addr, true)
		}
		if again != nextAddr || t.pending() == 0 || ended(ctx) {
			break
		}
	}
	return t.report()
}

// again is what to do once a session has ended.
type again uint8

const (
	leave     again = iota // nothing more with this host
	nextAddr               // the next address of this host
	plaintext              // the same address once more, without TLS (POL-3)
)

// trip is one Carry: the state that its sessions share.
type trip struct {
	c       *Client
	req     Request
	plan    *delivery.Plan
	attempt delivery.Attempt
	results []delivery.RecipientResult
	content delivery.Content // as it will be sent
}

func newTrip(c *Client, req Request) *trip {
	t := &trip{c: c, req: req, plan: &req.Plan, content: req.Content}
	t.attempt.Plan = req.Plan
	t.results = make([]delivery.RecipientResult, len(req.Recipients))
	for i, r := range req.Recipients {
		t.results[i].ID = r.ID
		t.results[i].Host = req.Plan.Host.Name
	}
	return t
}

func (t *trip) report() Report { return Report{Attempt: t.attempt, Recipients: t.results} }

func (t *trip) pending() int {
	n := 0
	for i := range t.results {
		if t.results[i].Outcome == delivery.Pending {
			n++
		}
	}
	return n
}

// unsettled notes why the recipients that are pending are so.
func (t *trip) unsettled(f *delivery.Failure) {
	t.each(delivery.Pending, func(r *delivery.RecipientResult) {
		r.Word, r.Text, r.Enhanced, r.Reply, r.PolicyFailure = f.Word, f.Text, f.Enhanced, nil, false
	})
}

// settleAll gives every pending recipient an outcome.
func (t *trip) settleAll(o delivery.Outcome, f *delivery.Failure) {
	t.unsettled(f)
	t.each(delivery.Pending, func(r *delivery.RecipientResult) { r.Outcome = o })
}

func (t *trip) each(o delivery.Outcome, fn func(*delivery.RecipientResult)) {
	for i := range t.results {
		if t.results[i].Outcome == o {
			fn(&t.results[i])
		}
	}
}

// session makes one connection and does over it what can be done.
func (t *trip) session(ctx context.Context, addr netip.Addr, plain bool) again {
	s := &visit{trip: t, addr: addr, plain: plain}
	s.facts.Addr, s.facts.Plaintext, s.facts.Started = addr, plain, t.c.now()
	t.each(delivery.Pending, func(r *delivery.RecipientResult) { r.Addr = addr })
	a := s.run(ctx)
	t.attempt.Sessions = append(t.attempt.Sessions, s.facts)
	t.c.log().Debug("smtp session", "host", t.plan.Host.Name.String(), "addr", addr.String(), "plaintext", plain,
		"connected", s.facts.Connected, "tls", s.travelled(), "pending", t.pending())
	return a
}

// ended reports that the attempt is broken off. A dialer may notice the
// deadline of ctx a moment before ctx does.
func ended(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(at)
}

func (c *Client) address(addr netip.Addr) string {
	port := c.Port
	if port == 0 {
		port = 25
	}
	return net.JoinHostPort(addr.String(), strconv.Itoa(port))
}

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

func (c *Client) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.DiscardHandler)
}
