package receive

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"waxwing/dns"
	"waxwing/internal/allowance"
	"waxwing/internal/delivery"
	"waxwing/internal/signing"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// Submission is the backend for mail from accounts (INB-5, RFC 6409). Its
// fields are not changed once it is in use.
type Submission struct {
	Common
	Signer Signer // nil: nothing is signed
	// Allowance bounds what an account sends in a day; nil: nothing does.
	Allowance Allowance

	unsigned sync.Map // domains without a key that the log has been told of
}

type submission struct {
	b    *Submission
	conn smtpserver.Conn
	tx   transaction
}

// NewSession never refuses: MAIL does, before AUTH.
func (b *Submission) NewSession(_ context.Context, conn smtpserver.Conn) (smtpserver.Session, error) {
	return &submission{b: b, conn: conn}, nil
}

func (s *submission) Reset() { s.tx = transaction{} }

func (s *submission) Close() {}

func (s *submission) Mail(ctx context.Context, p smtp.MailParams) error {
	s.Reset()
	if s.conn.Identity() == "" {
		return refuse(530, 7, 0, "authentication required")
	}
	if r := s.b.room(p.Size); r != nil {
		return r
	}
	if !p.Null {
		ok, err := s.b.own(ctx, s.conn.Identity(), p.From.Local, p.From.Domain)
		if err != nil {
			return localError(err)
		}
		if !ok {
			return refuse(553, 7, 1, "the sender address is not one of your account's")
		}
	}
	if r := s.allowed(ctx, 1); r != nil {
		return r
	}
	s.tx.mail = p
	return nil
}

// own reports whether the account may send as local@domain.
func (b *Submission) own(ctx context.Context, name, local, domain string) (bool, error) {
	d, err := dns.ParseName(domain)
	if err != nil {
		return false, nil // a literal or no domain: nobody's
	}
	return b.Accounts.MaySendAs(ctx, name, smtp.Address{Local: local, Domain: d.ASCII()}.String())
}

func (s *submission) Rcpt(ctx context.Context, p smtp.RcptParams) error {
	to, d, r := s.b.address(ctx, p.To)
	if r != nil {
		return r
	}
	rcpt := recipient(p, to, d)
	switch err := s.b.resolve(ctx, to, d); {
	case err == nil:
		rcpt.Local = true
	case !errors.Is(err, errNotHosted):
		return err
	}
	if s.tx.known(rcpt) {
		return nil
	}
	if r := s.allowed(ctx, len(s.tx.rcpts)+1); r != nil {
		return r
	}
	s.tx.rcpts = append(s.tx.rcpts, rcpt)
	return nil
}

// allowed refuses early what spend would refuse in the end.
func (s *submission) allowed(ctx context.Context, recipients int) *smtp.Reply {
	if s.b.Allowance == nil {
		return nil
	}
	return overLimit(s.b.Allowance.Check(ctx, s.conn.Identity(), recipients))
}

// overLimit is the refusal of an Allowance. 450 is for what policy forbids for a
// time (RFC 5321 §4.2.3); clients keep the message and show the text.
func overLimit(err error) *smtp.Reply {
	var over *allowance.Exceeded
	switch {
	case err == nil:
		return nil
	case errors.As(err, &over):
		return refuse(450, 7, 1, "%s", over)
	}
	return localError(err)
}

// spend counts the message and hands it over.
func (s *submission) spend(ctx context.Context, env *delivery.Envelope, c delivery.Content) (*smtp.Reply, error) {
	if s.b.Allowance == nil {
		return s.b.accept(ctx, env, c)
	}
	undo, err := s.b.Allowance.Spend(ctx, env.Account, len(env.Recipients))
	if err != nil {
		return nil, overLimit(err)
	}
	r, err := s.b.accept(ctx, env, c)
	if err != nil {
		undo()
	}
	return r, err
}

func (s *submission) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	var from dns.Name
	in, fail := s.b.take(r, func(in *incoming) (r *smtp.Reply) {
		from, r = s.complete(ctx, in)
		return r
	})
	if fail != nil {
		return nil, fail
	}
	defer in.close()
	if r := s.b.shorten(in); r != nil {
		return nil, r
	}
	signature, err := s.b.sealed(ctx, from, in)
	if err != nil {
		return nil, localError(err)
	}
	env := s.tx.envelope(s.conn, in, s.b.now())
	received := s.b.received(s.conn, env, s.tx.mail.RequireTLS).field()
	return s.spend(ctx, env, in.content(append(received, signature...)))
}

// shorten rewrites a message with lines that SMTP cannot carry (RFC 5321
// §4.5.3.1.6) before it is signed; where MIME has no way, it is refused (INB-13).
func (b *Submission) shorten(in *incoming) *smtp.Reply {
	if !in.longLine() {
		return nil
	}
	cannot, err := in.convert(message.Need{ShortLines: true}, b.TempDir)
	switch {
	case err != nil:
		return localError(err)
	case cannot != nil:
		return refuse(550, 6, 0, "the message has a line of more than 998 octets, and it cannot be encoded anew: %s", cannot)
	}
	return nil
}

// sealed signs a message, made seven bits first if it is signed at all: what is
// signed should need no conversion on its way, for that would break the signature,
// and a host without 8BITMIME could not be given it (RFC 6376 §5.3).
func (b *Submission) sealed(ctx context.Context, from dns.Name, in *incoming) ([]byte, error) {
	signature, err := b.sign(ctx, from, in)
	if err != nil || len(signature) == 0 {
		return nil, err
	}
	if done, err := in.sevenBits(b.TempDir); err != nil || !done {
		return signature, err
	}
	return b.sign(ctx, from, in)
}

// sign returns the DKIM-Signature fields, none without a signer.
func (b *Submission) sign(ctx context.Context, from dns.Name, in *incoming) ([]byte, error) {
	if b.Signer == nil {
		return nil, nil
	}
	msg, err := in.whole()
	if err != nil {
		return nil, err
	}
	fields, err := b.Signer.Sign(ctx, from, msg, nil)
	if errors.Is(err, signing.ErrNoKeys) {
		// Once per domain: a busy sender must not flood the log.
		if _, told := b.unsigned.LoadOrStore(from, true); !told {
			b.log().Warn("mail goes out without a DKIM signature: the domain has no active key; \"waxwing dkim add\" makes one", "domain", from.ASCII())
		}
		return nil, nil
	}
	return fields, err
}

// complete checks the header and makes it whole (RFC 6409 §6.1, §8): From must
// be the account's, Date and Message-ID are added, Bcc is removed. It returns
// the domain to sign for.
func (s *submission) complete(ctx context.Context, in *incoming) (dns.Name, *smtp.Reply) {
	if in.odd != nil {
		return dns.Name{}, refuse(550, 6, 0, "message header: %s", in.odd)
	}
	h := &in.header
	if r := s.checkFrom(ctx, *h); r != nil {
		return dns.Name{}, r
	}
	from, err := message.FromDomain(*h)
	if err != nil {
		return from, refuse(550, 6, 0, "%s", err)
	}
	for _, name := range []string{"Bcc", "Resent-Bcc", "Return-Path"} {
		in.edited = h.Del(name) > 0 || in.edited
	}
	// SES-17: before it is signed, so that hosts without SMTPUTF8 can be given it, too.
	in.edited = h.ALabels() || in.edited
	if !h.Has("Message-ID") {
		h.Prepend("Message-ID", message.NewMessageID(s.b.now(), s.b.Rand, from))
		in.edited = true
	}
	if !h.Has("Date") {
		h.Prepend("Date", message.FormatDate(s.b.now()))
		in.edited = true
	}
	if !h.Has("MIME-Version") && !h.Has("DKIM-Signature") && (h.Has("Content-Type") || h.Has("Content-Transfer-Encoding")) {
		// RFC 2045 §4: without it, what is declared counts only for some readers (TRA-7).
		h.Prepend("MIME-Version", "1.0")
		in.edited = true
	}
	return from, nil
}

// checkFrom holds From and Sender to the account's addresses.
func (s *submission) checkFrom(ctx context.Context, h message.Header) *smtp.Reply {
	if n := h.Count("From"); n != 1 {
		return refuse(550, 6, 0, "the message has %d From fields, exactly one is needed", n)
	}
	list, err := message.From(h)
	if err != nil {
		return refuse(550, 6, 0, "%s", err)
	}
	if n := h.Count("Sender"); n > 1 {
		return refuse(550, 6, 0, "the message has %d Sender fields, one is allowed", n)
	}
	if v := strings.TrimSpace(h.Get("Sender")); v != "" {
		sender, err := message.ParseAddressList(v)
		if err != nil {
			return refuse(550, 6, 0, "Sender field: %s", err)
		}
		list = append(list, sender...)
	}
	for _, a := range list {
		ok, err := s.b.own(ctx, s.conn.Identity(), a.Local, a.Domain)
		if err != nil {
			return localError(err)
		}
		if !ok {
			return refuse(550, 7, 1, "%s in the From or Sender field is not one of your account's addresses", a.Addr())
		}
	}
	return nil
}
