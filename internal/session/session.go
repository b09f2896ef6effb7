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
	ImplicitTLS bool   // TLS begins before the greeting (RFC 8314 §3.3), as on port 465
	Login       *Login // log in before MAIL; nil: not
	// Convert rewrites a message that a host could not be given as it is: one with
	// octets above 127 without 8BITMIME (SES-8), one with lines that are too long
	// (INB-13). Nil, or an error: such a message fails.
	Convert func(delivery.Content, message.Need) (delivery.Content, error)
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard
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
	t := newTrip(c, req)
	last := lastAddrs(req.Recipients)
	addrs := order(req.Plan.Host.Addrs, last)
	if req.Plan.Skip != nil || len(addrs) == 0 {
		t.unsettled(&delivery.Failure{Word: NoAddress, Enhanced: enhNoAnswer, Text: "the host has no address to connect to"})
		return t.report()
	}
	if len(last) == 0 { // no greylist knows the message by its address
		addrs = t.keptFirst(addrs)
	}
	for _, addr := range addrs {
		if t.address(ctx, addr) != nextAddr || t.pending() == 0 || ended(ctx) || t.past(t.bounds.Addresses) {
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
	smaller                // the same address once more, with a small TLS hello (POL-10)
	plaintext              // the same address once more, without TLS (POL-3)
	fresh                  // the same address over a new connection
)

// address does with one address what can be done: over a connection that is
// kept, over a new one, and once without TLS if the plan allows it.
func (t *trip) address(ctx context.Context, addr netip.Addr) again {
	a, small, plain := fresh, false, false
	if v := t.reuse(addr); v != nil {
		a = t.session(ctx, v)
	}
	for a == fresh || a == smaller || a == plaintext {
		if t.pending() == 0 || ended(ctx) {
			return leave
		}
		if t.past(t.bounds.Transactions) {
			t.tooSlow()
			return leave
		}
		small, plain = small || a == smaller, plain || a == plaintext
		a = t.session(ctx, t.visit(addr, small, plain))
	}
	return a
}

// visit is a visit over a new connection.
func (t *trip) visit(addr netip.Addr, small, plain bool) *visit {
	return &visit{trip: t, addr: addr, small: small, plain: plain,
		facts: delivery.Session{Addr: addr, SmallHello: small && !plain, Plaintext: plain}}
}

// trip is one Carry: the state that its sessions share.
type trip struct {
	c       *Client
	req     Request
	plan    *delivery.Plan // the request's
	done    delivery.Visit
	results []delivery.RecipientResult
	asked   []netip.Addr     // per recipient: the address whose 4xx it got, which is not asked again
	content delivery.Content // as it will be sent
	began   time.Time        // by the system's clock, as deadlines are
	bounds  Bounds
}

func newTrip(c *Client, req Request) *trip {
	t := &trip{c: c, req: req, content: req.Content, began: time.Now(), bounds: c.Bounds.withDefaults()}
	t.done.Plan = req.Plan
	t.plan = &t.req.Plan
	t.results = make([]delivery.RecipientResult, len(req.Recipients))
	t.asked = make([]netip.Addr, len(req.Recipients))
	for i, r := range req.Recipients {
		t.results[i].ID = r.ID
		t.results[i].Host = req.Plan.Host.Name
	}
	return t
}

func (t *trip) report() Report { return Report{Visit: t.done, Recipients: t.results} }

func (t *trip) pending() int {
	n := 0
	for i := range t.results {
		if t.results[i].Outcome == delivery.Pending {
			n++
		}
	}
	return n
}

// past reports that the trip has taken longer than d.
func (t *trip) past(d time.Duration) bool { return time.Since(t.began) > d }

// tooSlow leaves the pending recipients to the next attempt.
func (t *trip) tooSlow() {
	t.each(delivery.Pending, func(r *delivery.RecipientResult) {
		if r.Reply == nil {
			r.Word, r.Text, r.Enhanced = Timeout, "the host took too long over the recipients before this one", enhBadConn
		}
	})
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

// each calls fn for the recipients with an outcome, without those that the host
// cannot take: they took no part, and keep their reason.
func (t *trip) each(o delivery.Outcome, fn func(*delivery.RecipientResult)) {
	for i := range t.results {
		if t.results[i].Outcome == o && !t.results[i].Unfit {
			fn(&t.results[i])
		}
	}
}

// session has one visit do over its connection what can be done.
func (t *trip) session(ctx context.Context, v *visit) again {
	v.facts.Started = t.c.now()
	for i := range t.results {
		if r := &t.results[i]; r.Outcome == delivery.Pending {
			r.Addr, r.Unfit = v.addr, false
		}
	}
	a := v.run(ctx)
	t.done.Sessions = append(t.done.Sessions, v.facts)
	if l := t.c.Log; l != nil && l.Enabled(ctx, slog.LevelDebug) {
		l.Debug("smtp session", "host", t.plan.Host.Name.String(), "addr", v.addr.String(), "plaintext", v.plain, "reused", v.facts.Reused,
			"connected", v.facts.Connected, "tls", v.travelled(), "pending", t.pending())
	}
	return a
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
