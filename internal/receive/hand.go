package receive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"waxwing/dns"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// Caller is a program that hands in mail of an account without speaking SMTP (OPS-8). Who it is
// was found out before.
type Caller struct {
	Account string
	Name    string               // an atom; stands in the Received field where SMTP has the EHLO name
	Remote  netip.AddrPort       // where it calls from
	Local   netip.AddrPort       // where it was taken
	TLS     *tls.ConnectionState // nil without TLS
	Domain  dns.Name             // its senders are held to this domain; zero: to the account's addresses alone
}

// Handed is one message of such a program.
type Handed struct {
	Caller Caller
	Mail   smtp.MailParams
	Rcpts  []smtp.RcptParams // at least one
	Data   io.Reader         // with CRLF line ends
	Queue  Enqueuer          // in place of the door's; nil: the door's own
	// Discarded is told of a message that is taken and goes to nobody, since a filter wants it so; nil: nobody
	// is. An error of it is that of Hand.
	Discarded func(ctx context.Context, id int64) error
}

// RefusedRecipient is a recipient that the door did not take, with its reply.
type RefusedRecipient struct {
	Address string
	Reply   *smtp.Reply
}

// RefusedRecipients is the error of Hand for which nothing was sent, since these recipients
// were refused.
type RefusedRecipients []RefusedRecipient

func (rs RefusedRecipients) Error() string {
	return fmt.Sprintf("nothing was sent: %d recipients were refused, first %s: %s", len(rs), rs[0].Address, rs[0].Reply.Text())
}

// Hand takes a message through the same door as a session of SMTP, with the same checks: to
// all its recipients or, if one is refused, to none. A nil error means that it is durable.
// The error is RefusedRecipients, a *smtp.Reply that refuses the whole message, or one of
// Data.
func (b *Submission) Hand(ctx context.Context, h Handed) error {
	door, conn := b.Door, handedBy{h.Caller}
	if h.Queue != nil {
		door.Queue = h.Queue
	}
	checks := b.checks()
	if !h.Caller.Domain.IsZero() {
		checks = append(checks, Check{Sender: h.Caller.holdSender, Header: h.Caller.holdHeader})
	}
	s := &submission{door.session(conn, checks), b}
	defer s.Close()
	if err := s.Mail(ctx, h.Mail); err != nil {
		return err
	}
	var refused RefusedRecipients
	for _, p := range h.Rcpts {
		err := s.Rcpt(ctx, p)
		if err == nil {
			continue
		}
		var r *smtp.Reply
		if !errors.As(err, &r) || r.Cause != nil {
			return err // our fault, not the recipient's
		}
		refused = append(refused, RefusedRecipient{p.Recipient(), r})
	}
	if len(refused) > 0 {
		return refused
	}
	_, err := s.Data(ctx, h.Data)
	if err == nil && len(s.facts.Envelope.Recipients) == 0 && h.Discarded != nil {
		return h.Discarded(ctx, s.facts.Envelope.ID)
	}
	return err
}

// holdSender refuses a sender outside of the caller's domain.
func (c Caller) holdSender(_ context.Context, f *Facts) *smtp.Reply {
	if f.Mail.Null || c.isOf(f.Mail.From.Domain) {
		return nil
	}
	return refuse(553, 7, 1, "the sender address is not one of %s, to which the API key is held", c.Domain)
}

// holdHeader refuses a From or Sender field outside of the caller's domain.
func (c Caller) holdHeader(_ context.Context, f *Facts) *smtp.Reply {
	ok := f.Author == c.Domain
	if v := strings.TrimSpace(f.Header().Get("Sender")); v != "" && ok {
		list, err := message.ParseAddressList(v) // checkFrom has read it already
		ok = err == nil
		for _, a := range list {
			ok = ok && c.isOf(a.Domain)
		}
	}
	if ok {
		return nil
	}
	return refuse(550, 7, 1, "the From or Sender field has an address outside of %s, to which the API key is held", c.Domain)
}

func (c Caller) isOf(domain string) bool {
	d, err := dns.ParseName(domain)
	return err == nil && d == c.Domain
}

// handedBy is the connection as checks and the trace field know it.
type handedBy struct{ c Caller }

var _ smtpserver.Conn = handedBy{}

func (h handedBy) Remote() netip.AddrPort               { return h.c.Remote }
func (h handedBy) Local() netip.AddrPort                { return h.c.Local }
func (h handedBy) TLS() *tls.ConnectionState            { return h.c.TLS }
func (h handedBy) ServerCertificate() *x509.Certificate { return nil }
func (h handedBy) HELO() string                         { return h.c.Name }
func (h handedBy) ESMTP() bool                          { return false }
func (h handedBy) Identity() string                     { return h.c.Account }
