package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// maxReceived is how many Received fields a message may have (RFC 5321 §6.3).
const maxReceived = 100

func refuse(code int, subject, detail int, format string, args ...any) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: subject, Detail: detail}, format, args...)
}

func localError(err error) *smtp.Reply {
	if errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noRoom(err)
	}
	return refuse(451, 3, 0, "local error, try again later").WithCause(err)
}

// noRoom is the refusal of mail for which there is no room at the moment (RFC 5321
// §4.3.2, RFC 1870 §6.1).
func noRoom(err error) *smtp.Reply {
	return refuse(452, 3, 1, "insufficient system storage, try again later").WithCause(err)
}

// room refuses a message of size octets, 0: of unknown size, where the disk has too
// little room: it is written once as it comes in, and once into the store.
func (c *Common) room(size int64) *smtp.Reply {
	if c.Room == nil {
		return nil
	}
	if err := c.Room(2 * size); err != nil {
		return noRoom(err)
	}
	return nil
}

// transaction is what MAIL and RCPT have told, for both backends.
type transaction struct {
	mail  smtp.MailParams
	rcpts []delivery.Recipient
}

// recipient makes a queue's recipient of RCPT's parameters.
func recipient(p smtp.RcptParams, to smtp.Address, d delivery.RecipientDomain) delivery.Recipient {
	r := delivery.Recipient{Address: to.String(), Domain: d, ORcpt: p.ORcpt}
	if to == p.To {
		r.Address = p.Recipient()
	}
	for _, n := range p.Notify {
		switch n {
		case "SUCCESS":
			r.Notify |= delivery.NotifySuccess
		case "FAILURE":
			r.Notify |= delivery.NotifyFailure
		case "DELAY":
			r.Notify |= delivery.NotifyDelay
		case "NEVER":
			r.Notify |= delivery.NotifyNever
		}
	}
	return r
}

// known reports whether the list has the recipient already: a second RCPT for
// one address is answered 250 and counts once.
func (t *transaction) known(r delivery.Recipient) bool {
	for i := range t.rcpts {
		if t.rcpts[i].Domain == r.Domain && sameAddress(t.rcpts[i].Address, r.Address) {
			return true
		}
	}
	return false
}

// sameAddress reports that two addresses of one domain differ in quoting only (RFC
// 5321 §4.1.2): they are one mailbox.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.Contains(a, `"`) && !strings.Contains(b, `"`) {
		return false
	}
	x, err := smtp.ParseReceived(a, true)
	y, yerr := smtp.ParseReceived(b, true)
	return err == nil && yerr == nil && x.Local == y.Local
}

// need is the TLS need (RFC 8689 §4.1, INB-7): REQUIRETLS outranks the header.
func (t *transaction) need(h message.Header) delivery.TLSNeed {
	switch {
	case t.mail.RequireTLS:
		return delivery.RequireTLS
	case message.TLSRequiredNo(h):
		return delivery.TLSOptional
	}
	return delivery.FollowPolicy
}

func (t *transaction) ret() delivery.Ret {
	switch t.mail.Ret {
	case "HDRS":
		return delivery.RetHeaders
	case "FULL":
		return delivery.RetFull
	}
	return delivery.RetDefault
}

// release is when a message that is to be held may go (RFC 4865); zero: at once.
func (t *transaction) release(now time.Time) time.Time {
	if t.mail.HoldFor > 0 {
		return now.Add(t.mail.HoldFor)
	}
	if t.mail.HoldUntil.After(now) {
		return t.mail.HoldUntil
	}
	return time.Time{}
}

// envelope makes the envelope of a message that is to be accepted.
func (t *transaction) envelope(conn smtpserver.Conn, in *incoming, now time.Time) *delivery.Envelope {
	return &delivery.Envelope{
		ID:         store.NewID(),
		Sender:     t.mail.Sender(),
		Recipients: t.rcpts,
		Need:       t.need(in.header),
		Account:    conn.Identity(),
		EightBit:   in.eightBit(), // what BODY says may be more than there is
		SMTPUTF8:   t.mail.SMTPUTF8,
		EnvID:      t.mail.EnvID,
		Ret:        t.ret(),
		Accepted:   now,
		NotBefore:  t.release(now),
		Hold:       t.mail.Hold,
		Peer:       fmt.Sprintf("%s (%s)", conn.HELO(), conn.Remote().Addr()),
	}
}

// received tells of env what a Received field says.
func (c *Common) received(conn smtpserver.Conn, env *delivery.Envelope, requireTLS bool) trace {
	t := trace{
		helo: conn.HELO(), addr: conn.Remote().Addr(), hostname: c.Hostname,
		protocol: protocol(conn, env.SMTPUTF8), tls: conn.TLS(), requireTLS: requireTLS,
		id: env.ID, now: env.Accepted,
	}
	if len(env.Recipients) == 1 {
		// A-labels, so that the field alone does not make the message need SMTPUTF8 (SES-17).
		t.rcpt, _ = smtp.ASCIIAddress(env.Recipients[0].Address)
	}
	return t
}

// take reads a message and refuses loops. The caller closes what it returns.
// A long message is in its file afterwards; edit is called before that, once the
// header is known, and may be nil.
func (c *Common) take(r io.Reader, edit func(*incoming) *smtp.Reply) (*incoming, *smtp.Reply) {
	in, more, err := c.read(r)
	if errors.Is(err, errCrowded) {
		return nil, refuse(452, 3, 1, "too much mail is coming in at this moment, try again later").WithCause(err)
	}
	if err != nil {
		return nil, localError(err) // the server answers for faults of the data itself
	}
	fail := looping(in)
	if hasNUL(*in.buf) {
		fail = errNUL()
	}
	if fail == nil && edit != nil {
		fail = edit(in)
	}
	if fail == nil && more {
		if err := in.spill(c.TempDir, r); err != nil {
			fail = localError(err)
		} else if in.nul {
			fail = errNUL()
		}
	}
	if fail != nil {
		in.close()
		return nil, fail
	}
	return in, nil
}

// errNUL refuses a message with a NUL octet: RFC 5322 §4 no longer allows it, RFC
// 2045 §2.7 and §2.8 allow it in neither 7bit nor 8bit data, and BINARYMIME is not
// offered. Programs that end text at a NUL would see another message than we do.
func errNUL() *smtp.Reply {
	return refuse(550, 6, 0, "the message holds a NUL octet, which mail may not; encode it (RFC 2045 section 6)")
}

// looping is the refusal of a message that has been through too many servers
// (5.4.6), or whose header is beyond all bounds (INB-2).
func looping(in *incoming) *smtp.Reply {
	n := message.ReceivedCount(in.header)
	if size := len(in.head()); size > message.MaxHeader {
		return refuse(552, 3, 4, "the message's header has %d octets, %d are allowed", size, message.MaxHeader)
	}
	if in.odd != nil {
		if errors.Is(in.odd, message.ErrTooManyFields) {
			return refuse(550, 6, 0, "%s", in.odd)
		}
		n += countReceived(in.body)
	}
	if n > maxReceived {
		return refuse(554, 4, 6, "mail loop: %d Received fields", n)
	}
	return nil
}

// countReceived counts in what follows a line that is no field: a loop must end
// whatever is wrong with the message.
func countReceived(b []byte) int {
	n := 0
	for line := range strings.SplitSeq(string(b[:min(len(b), message.MaxHeader)]), "\r\n") {
		if line == "" {
			break
		}
		if len(line) >= 9 && strings.EqualFold(line[:9], "Received:") {
			n++
		}
	}
	return n
}

// accept queues the message and gives the final reply.
func (c *Common) accept(ctx context.Context, env *delivery.Envelope, content delivery.Content) (*smtp.Reply, error) {
	env.Size = content.Size()
	if r := c.room(0); r != nil { // many may have come in since MAIL
		return nil, r
	}
	if err := c.Queue.Enqueue(ctx, env, content); err != nil {
		return nil, localError(err)
	}
	id := delivery.ID(env.ID).String()
	c.log().Info("message accepted", "message", id, "from", env.Sender, "recipients", len(env.Recipients),
		"size", env.Size, "need", env.Need.String(), "account", env.Account, "peer", env.Peer)
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "message accepted as %s", id), nil
}

// address completes the bare <postmaster> (RFC 5321 §4.5.1) and parses the
// domain. The postmaster of the host's own name, from whom our DSNs come, is the
// same person, whether or not that name is a hosted domain.
func (c *Common) address(ctx context.Context, to smtp.Address) (smtp.Address, delivery.RecipientDomain, *smtp.Reply) {
	if to.Domain == "" {
		return c.postmaster(ctx)
	}
	d, err := delivery.ParseRecipientDomain(to.Domain)
	if err != nil {
		return to, d, refuse(550, 1, 2, "bad recipient domain: %s", err)
	}
	if d.IsLiteral() || d.Name.ASCII() != c.Hostname || !strings.EqualFold(to.Local, "postmaster") {
		return to, d, nil
	}
	hosted, err := c.Accounts.IsHosted(ctx, d.Name)
	switch {
	case err != nil:
		return to, d, localError(err)
	case hosted:
		return to, d, nil
	}
	return c.postmaster(ctx)
}

// postmaster is the address of the one who answers for this server.
func (c *Common) postmaster(ctx context.Context) (smtp.Address, delivery.RecipientDomain, *smtp.Reply) {
	full := "postmaster@" + c.Hostname
	if c.Postmaster != nil {
		var err error
		if full, err = c.Postmaster(ctx); err != nil {
			return smtp.Address{}, delivery.RecipientDomain{}, localError(err)
		}
	}
	if full == "" {
		return smtp.Address{}, delivery.RecipientDomain{}, refuse(550, 1, 1, "there is no postmaster here yet")
	}
	to, err := smtp.ParseAddress(full, true)
	if err != nil {
		return to, delivery.RecipientDomain{}, localError(err)
	}
	d, err := delivery.ParseRecipientDomain(to.Domain)
	if err != nil {
		return to, d, localError(err)
	}
	return to, d, nil
}

// errNotHosted says that a domain's mail does not end here.
var errNotHosted = errors.New("not hosted here")

// resolve checks that an address of a hosted domain exists: nil, errNotHosted,
// or the reply that refuses it.
func (c *Common) resolve(ctx context.Context, to smtp.Address, d delivery.RecipientDomain) error {
	if d.IsLiteral() {
		return errNotHosted
	}
	return c.exists(ctx, to.Local, d.Name)
}

func (c *Common) exists(ctx context.Context, local string, domain dns.Name) error {
	_, err := c.Accounts.Resolve(ctx, local, domain)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, accounts.ErrNotHosted):
		return errNotHosted
	case errors.Is(err, accounts.ErrNoSuchAddress):
		return refuse(550, 1, 1, "no such address here")
	}
	return localError(err)
}
