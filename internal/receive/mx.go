package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/evidence"
	"waxwing/internal/rejects"
	"waxwing/internal/route"
	"waxwing/internal/turns"
	"waxwing/internal/verify"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// MX is the backend for mail from the internet (INB-4): for hosted domains
// only, whoever asks. Its fields are not changed once it is in use.
type MX struct {
	Door
	// DNS is asked for senders whose domain takes no mail (RFC 7505 §4.2), and for
	// the client's name (INB-6); nil: neither.
	DNS dns.Resolver
	// Reports takes mail to report addresses, of which IsReport tells; nil: there are none.
	Reports  ReportSink
	IsReport func(ctx context.Context, local string, domain dns.Name) bool
	// Reader is who reads the mail to a report address that is no report (RPT-21). Nil: none is set.
	Reader func(ctx context.Context, local string, domain dns.Name) ReportReader
	// Backup are domains of others whose mail is passed on to their better MX hosts (INB-10).
	Backup []dns.Name
	// Auth finds out who sent a message, and what follows from it; nil: nobody does.
	Auth *Authentication
	// Junk decides, on what Auth has found, which accounts have a message in their inbox;
	// nil: nobody does.
	Junk *evidence.Room
	// Rejects keeps what is refused, for the accounts that want it (JNK-4); nil: nobody does.
	Rejects *rejects.Store
}

// senderTimeout bounds the look at a sender's domain: with no DNS to ask, mail
// is still taken promptly (OPS-4).
const senderTimeout = 2 * time.Second

type mxSession struct {
	session
	b *MX
}

// ReportReader is who reads what comes to a report address.
type ReportReader struct {
	Address string // "": who has the report address, else the postmaster
	Mailbox string // of theirs, made where there is none; "": INBOX
	Keep    bool   // reports that are taken are delivered too
}

type reportRecipient struct {
	delivery.Recipient
	unread delivery.Recipient // who gets the mail if it is no report
	keep   bool               // or if it is one
}

// NewSession never refuses.
func (b *MX) NewSession(ctx context.Context, conn smtpserver.Conn) (smtpserver.Session, error) {
	checks := slices.Concat([]Check{b.hasRoom(), {Sender: b.checkSender}, {Header: b.removeForged}, b.posting(), b.authenticate(), {Message: b.isPoster}, {Message: passOn}, b.screen(b.admit), b.weigh(), {Message: intoJunk}}, b.Checks, []Check{{Message: b.takeReports}, {Message: b.evaluate}})
	s := &mxSession{b.session(conn, checks), b}
	s.refused = s.countAndKeep
	s.facts.name = verify.LookUpName(ctx, b.Guard, b.DNS, conn.Remote().Addr())
	return s, nil
}

// checkSender refuses a sender whose domain says with a null MX that it has no
// mail: nobody could be told of a failure (RFC 7505 §4.2). A lookup that fails,
// or takes longer than a client should wait for MAIL, refuses nothing.
func (b *MX) checkSender(ctx context.Context, f *Facts) *smtp.Reply {
	p := f.Mail
	if p.Null || b.DNS == nil || strings.HasPrefix(p.From.Domain, "[") {
		return nil
	}
	name, err := dns.ParseName(p.From.Domain)
	if err != nil {
		return refuse(553, 1, 8, "bad sender domain: %s", err)
	}
	ctx, cancel := context.WithTimeout(ctx, senderTimeout)
	defer cancel()
	ans, err := b.DNS.LookupMX(ctx, name)
	if err == nil && len(ans.Records) == 1 && ans.Records[0].Null {
		return refuse(550, 7, 27, "the sender's domain %s takes no mail (null MX)", name)
	}
	return nil
}

func (s *mxSession) Rcpt(ctx context.Context, p smtp.RcptParams) error {
	to, d, r := s.b.address(ctx, p.To)
	if r != nil {
		return r
	}
	rcpt := recipient(p, to, d)
	rcpt.Local = true
	err := s.b.resolve(ctx, to, d)
	report := s.b.isReport(ctx, to, d)
	switch {
	case errors.Is(err, errNotHosted) && !report && !d.IsLiteral() && slices.Contains(s.b.Backup, d.Name):
		rcpt.Local = false
		return s.add(ctx, rcpt)
	case errors.Is(err, errNotHosted) && !report:
		return refuse(550, 7, 1, "%s is not hosted here, and this server does not relay", d)
	case err != nil && !report:
		return err
	case report:
		return s.addReport(ctx, rcpt, to.Local, err)
	}
	return s.add(ctx, rcpt)
}

// passOn has the mail of domains for which this is a backup MX go to their own hosts, with DANE
// and MTA-STS, and to no relay of the operator's (INB-10). Direct delivery asks no host that the
// domain does not prefer to this one (RFC 5321 §5.1).
func passOn(_ context.Context, f *Facts) Decision {
	if slices.ContainsFunc(f.Envelope.Recipients, func(r delivery.Recipient) bool { return !r.Local }) {
		f.Envelope.Transport = route.DirectName
	}
	return Decision{}
}

// addReport notes a report address, once: each costs a look at the whole
// message. Where nobody reads it, mail that is no report goes to the postmaster;
// without one it is refused now, for a message that was accepted and then found
// undeliverable would be bounced to whoever it claims to be from.
func (s *mxSession) addReport(ctx context.Context, rcpt delivery.Recipient, local string, missing error) error {
	for _, r := range s.facts.reports {
		if strings.EqualFold(r.Address, rcpt.Address) {
			return nil
		}
	}
	if s.facts.milters != nil { // a report that is none is read by somebody
		if reply := s.facts.tellRecipient(ctx, rcpt); reply != nil {
			return reply
		}
	}
	r := reportRecipient{Recipient: rcpt, unread: rcpt}
	if s.b.readBy(ctx, local, &r) {
		missing = nil
	}
	if missing != nil {
		to, d := smtp.Address{Local: "postmaster", Domain: rcpt.Domain.String()}, rcpt.Domain
		if errors.Is(missing, errNotHosted) {
			var fail *smtp.Reply
			if to, d, fail = s.b.postmaster(ctx); fail != nil {
				return fail
			}
		}
		if err := s.b.resolve(ctx, to, d); errors.Is(err, errNotHosted) {
			return refuse(550, 1, 1, "nobody reads this address, and there is no postmaster here yet")
		} else if err != nil {
			return err
		}
		r.unread.Address, r.unread.Domain = to.String(), d
	}
	s.facts.reports = append(s.facts.reports, r)
	return nil
}

// readBy has the reader who is set get what is no report; false where there is none, or none who
// has mail here now.
func (b *MX) readBy(ctx context.Context, local string, r *reportRecipient) bool {
	if b.Reader == nil {
		return false
	}
	who := b.Reader(ctx, local, r.Domain.Name)
	if r.keep, r.unread.Mailbox = who.Keep, who.Mailbox; who.Address == "" {
		return false
	}
	to, d, err := delivery.ParseAddress(who.Address)
	if err != nil || b.resolve(ctx, to, d) != nil {
		b.log().Warn("the reader of a report address has no mail here", "address", who.Address)
		return false
	}
	r.unread.Address, r.unread.Domain = to.String(), d
	return true
}

func (b *MX) isReport(ctx context.Context, to smtp.Address, d delivery.RecipientDomain) bool {
	return b.Reports != nil && b.IsReport != nil && !d.IsLiteral() && b.IsReport(ctx, to.Local, d.Name)
}

// maxReport is how large mail to a report address may be to be looked at, in octets.
const maxReport = 16 << 20

func (b *MX) takeReport(ctx context.Context, r Report, aside bool) (taken bool, reason string, err error) {
	switch {
	case aside:
		return false, "a filter has the message put aside", nil
	case len(r.Message) > maxReport:
		return false, fmt.Sprintf("larger than %d octets", maxReport), nil
	}
	return b.Reports.Take(ctx, r)
}

// takeReports gives the message to the sink once for each report address, and
// adds those that were not taken to the envelope's recipients, with the header fields
// that say why (RPT-14).
func (b *MX) takeReports(ctx context.Context, f *Facts) Decision {
	if len(f.reports) == 0 {
		return Decision{}
	}
	msg, err := f.Whole()
	if err != nil {
		return refused(localError(err))
	}
	msg = msg[:min(len(msg), maxReport+1)]
	aside := f.putAside() || f.Envelope.Quarantine.Word != "" // nothing of it is to be opened here
	d := Decision{Reply: smtp.NewReply(250, smtp.Enhanced{Class: 2}, "report taken")}
	for _, r := range f.reports {
		taken, reason, err := b.takeReport(ctx, Report{Recipient: r.Address, Sender: f.Envelope.Sender, Message: msg, Facts: f.verified}, aside)
		switch {
		case errors.Is(err, turns.ErrBusy):
			return refused(refuse(451, 3, 2, "too many reports are being looked at, try again later").WithCause(err))
		case err != nil:
			return refused(localError(err))
		}
		b.log().Info("report mail", "message", delivery.ID(f.Envelope.ID), "recipient", r.Address, "taken", taken, "text", reason)
		if taken && !r.keep {
			continue
		}
		if !taken {
			d.Fields = append(d.Fields, message.Fold("Waxwing-Report-Not-Taken", r.Address+": "+reason)...)
		}
		switch reply := b.mayRead(ctx, f, r.unread); {
		case reply != nil && taken:
			continue // it is stored
		case reply != nil:
			return refused(reply)
		}
		r.unread.Junk = f.aside != "" || f.putAside()
		if !known(f.Envelope.Recipients, r.unread) {
			f.Envelope.Recipients = append(f.Envelope.Recipients, r.unread)
		}
	}
	return d
}
