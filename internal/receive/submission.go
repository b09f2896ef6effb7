package receive

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"waxwing/dns"
	"waxwing/internal/allowance"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/signing"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// Submission is the backend for mail from accounts (INB-5, RFC 6409). Its
// fields are not changed once it is in use.
type Submission struct {
	Door
	Signer Signer // nil: nothing is signed
	// Allowance bounds what an account sends in a day (INB-3); nil: nothing does.
	Allowance *allowance.Store

	unsigned sync.Map // domains without a key that the log has been told of
}

type submission struct {
	session
	b *Submission
}

// NewSession never refuses: MAIL does, before AUTH.
func (b *Submission) NewSession(_ context.Context, conn smtpserver.Conn) (smtpserver.Session, error) {
	return &submission{b.session(conn, b.checks()), b}, nil
}

// checks are those of all mail of accounts, in their order.
func (b *Submission) checks() []Check {
	checks := slices.Concat([]Check{{Sender: loggedIn}, {Sender: b.maySend, Recipient: b.maySend}, b.hasRoom(), {Sender: b.ownSender}, b.posting(), {Header: b.removeForged}, {Header: b.complete}, b.screen(b.admit)}, b.Checks,
		[]Check{{Message: b.shorten}, {Message: b.seal}})
	if b.Allowance != nil {
		checks = append(checks, Check{Sender: b.allowed, Recipient: b.allowed, Message: b.spend})
	}
	return append(checks, Check{Message: remember})
}

// remember has the queue note to whom the account itself writes, before there can be an answer (JNK-1).
func remember(_ context.Context, f *Facts) Decision {
	f.Envelope.Wrote = delivery.Wrote{To: addresses(f.Recipients), Reply: f.Header().Has("In-Reply-To")}
	return Decision{}
}

func loggedIn(_ context.Context, f *Facts) *smtp.Reply {
	if f.Conn.Identity() == "" {
		return refuse(530, 7, 0, "authentication required")
	}
	return nil
}

// maySend keeps the account's rules (ACC-3). At MAIL nobody is known yet to whom it goes.
func (b *Submission) maySend(ctx context.Context, f *Facts) *smtp.Reply {
	a, err := b.Accounts.Access(ctx, f.Conn.Identity())
	if err != nil {
		return localError(err)
	}
	switch word := a.MaySend(f.Recipient.Address == "" || f.Recipient.Local); word {
	case "":
		return nil
	case reason.AccountSendsHosted:
		return refuse(550, 7, 1, "your account sends to domains of this server alone (%s)", word)
	default:
		return refuse(550, 7, 1, "your account sends no mail (%s)", word)
	}
}

// ownSender holds the sender to the account's addresses.
func (b *Submission) ownSender(ctx context.Context, f *Facts) *smtp.Reply {
	if f.Mail.Null {
		return nil
	}
	switch ok, err := b.own(ctx, f.Conn.Identity(), f.Mail.From.Local, f.Mail.From.Domain); {
	case err != nil:
		return localError(err)
	case !ok:
		return refuse(553, 7, 1, "the sender address is not one of your account's")
	}
	return b.open(ctx, f.Mail.From.Domain)
}

// open refuses a sender whose domain is disabled (SET-4).
func (b *Submission) open(ctx context.Context, domain string) *smtp.Reply {
	d, err := dns.ParseName(domain)
	if err != nil {
		return nil // the bare postmaster of nobody's domain
	}
	switch off, err := b.Accounts.IsDisabled(ctx, d); {
	case err != nil:
		return localError(err)
	case off:
		return refuse(550, 7, 1, "%s is disabled here: nobody sends from it", d)
	}
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
	return s.add(ctx, rcpt)
}

// allowed refuses early what spend would refuse in the end.
func (b *Submission) allowed(ctx context.Context, f *Facts) *smtp.Reply {
	return overLimit(b.Allowance.Check(ctx, f.Conn.Identity(), len(f.Recipients)+1))
}

// overLimit is the refusal beyond an allowance. 450 is for what policy forbids for a
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

// spend counts the message for those to whom the account itself writes.
func (b *Submission) spend(ctx context.Context, f *Facts) Decision {
	undo, err := b.Allowance.Spend(ctx, f.Envelope.Account, len(f.Recipients))
	return Decision{Reply: overLimit(err), Undo: undo}
}

// shorten rewrites a message with lines that SMTP cannot carry (RFC 5321
// §4.5.3.1.6) before it is signed; where MIME has no way, it is refused (INB-13).
func (b *Submission) shorten(_ context.Context, f *Facts) Decision {
	if !f.in.longLine() {
		return Decision{}
	}
	cannot, err := f.in.convert(message.Need{ShortLines: true}, b.TempDir)
	switch {
	case err != nil:
		return refused(localError(err))
	case cannot != nil:
		return refused(refuse(550, 6, 0, "the message has a line of more than 998 octets, and it cannot be encoded anew: %s", cannot))
	}
	return Decision{}
}

// seal signs a message, made seven bits first if it is signed at all: what is
// signed should need no conversion on its way, for that would break the signature,
// and a host without 8BITMIME could not be given it (RFC 6376 §5.3).
func (b *Submission) seal(ctx context.Context, f *Facts) Decision {
	signature, err := b.sign(ctx, f)
	if err == nil && len(signature) > 0 {
		var converted bool
		if converted, err = f.in.sevenBits(b.TempDir); converted {
			signature, err = b.sign(ctx, f)
		}
	}
	if err != nil {
		return refused(localError(err))
	}
	return Decision{Fields: signature}
}

// sign returns the DKIM-Signature fields, none without a signer.
func (b *Submission) sign(ctx context.Context, f *Facts) ([]byte, error) {
	if b.Signer == nil {
		return nil, nil
	}
	msg, err := f.Whole()
	if err != nil {
		return nil, err
	}
	fields, err := b.Signer.Sign(ctx, f.Author, msg, nil)
	if errors.Is(err, signing.ErrNoKeys) {
		// Once per domain: a busy sender must not flood the log.
		if _, told := b.unsigned.LoadOrStore(f.Author, true); !told {
			b.log().Warn("mail goes out without a DKIM signature: the domain has no active key; \"waxwing dkim add\" makes one", "domain", f.Author.ASCII())
		}
		return nil, nil
	}
	return fields, err
}

// complete checks the header and makes it whole (RFC 6409 §6.1, §8): From must
// be the account's, Date and Message-ID are added, Bcc is removed.
func (b *Submission) complete(ctx context.Context, f *Facts) *smtp.Reply {
	in := f.in
	if in.odd != nil {
		return refuse(550, 6, 0, "message header: %s", in.odd)
	}
	h := &in.header
	if r := b.checkFrom(ctx, f.Conn.Identity(), *h); r != nil {
		return r
	}
	var err error
	if f.Author, err = message.FromDomain(*h); err != nil {
		return refuse(550, 6, 0, "%s", err)
	}
	for _, name := range []string{"Bcc", "Resent-Bcc"} {
		in.edited = h.Del(name) > 0 || in.edited
	}
	// SES-17: before it is signed, so that hosts without SMTPUTF8 can be given it, too.
	in.edited = h.ALabels() || in.edited
	if !h.Has("Message-ID") {
		h.Prepend("Message-ID", message.NewMessageID(b.now(), b.Rand, f.Author))
		in.edited = true
	}
	if !h.Has("Date") {
		h.Prepend("Date", message.FormatDate(b.now()))
		in.edited = true
	}
	if !h.Has("MIME-Version") && !h.Has("DKIM-Signature") && (h.Has("Content-Type") || h.Has("Content-Transfer-Encoding")) {
		// RFC 2045 §4: without it, what is declared counts only for some readers (TRA-7).
		h.Prepend("MIME-Version", "1.0")
		in.edited = true
	}
	return nil
}

// checkFrom holds From and Sender to the account's addresses.
func (b *Submission) checkFrom(ctx context.Context, account string, h message.Header) *smtp.Reply {
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
		ok, err := b.own(ctx, account, a.Local, a.Domain)
		if err != nil {
			return localError(err)
		}
		if !ok {
			return refuse(550, 7, 1, "%s in the From or Sender field is not one of your account's addresses", a.Addr())
		}
		if r := b.open(ctx, a.Domain); r != nil { // the envelope's may be another one
			return r
		}
	}
	return nil
}
