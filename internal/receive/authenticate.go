package receive

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/disposition"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/reason"
	"waxwing/internal/verify"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/spf"
)

// Authentication is how mail from outside is verified, and what is done with what that
// shows (AUT-1). Its fields are not changed once it is in use.
type Authentication struct {
	Verifier *verify.Verifier
	// Forwarders are the mailing lists and forwarders that the operator trusts (AUT-3): a
	// message that one of these domains, or one below it, vouches for is taken.
	Forwarders []dns.Name
	// ReceivedSPF has Received-SPF fields written beside Authentication-Results.
	ReceivedSPF bool
	// Recipients is how many recipients a transaction may have whose sender SPF does not vouch for
	// (INB-12); 0: no limit of its own.
	Recipients int
	// Beyond is told of a recipient beyond that; nil: nobody is.
	Beyond func()
	// PutOff notes that mail of a sender is put off, and says whether it has been for as
	// long as it may be.
	PutOff func(ctx context.Context, author, sender string) (over bool, err error)
	// Decided is told of each decision; nil: nobody is.
	Decided func(d disposition.Decision)
	// Results counts messages for the DMARC reports of their author domains (DMR-1); nil:
	// nobody does.
	Results *dmarcresult.Recorder
	// Failed is told of each message about which is decided, with its header, and whether it is a
	// report (DMR-4); nil: nobody is.
	Failed func(facts *verify.Facts, h message.Header, report bool)
}

// authenticate is the check of who sent a message: begun at MAIL, decided on the whole.
func (b *MX) authenticate() Check {
	if b.Auth == nil {
		return Check{}
	}
	return Check{Sender: b.beginVerifying, Recipient: b.unverified, Message: b.verified}
}

func (b *MX) beginVerifying(ctx context.Context, f *Facts) *smtp.Reply {
	f.run = b.Auth.Verifier.Begin(ctx, verify.Client{IP: f.Conn.Remote().Addr(), HELO: f.Conn.HELO(), Sender: f.Mail.Sender()})
	return nil
}

// unverified bounds the recipients of a sender that nobody vouches for. RFC 5321 §4.5.3.1.8: at
// least 100, and who has more comes again with the rest.
func (b *MX) unverified(ctx context.Context, f *Facts) *smtp.Reply {
	if n := b.Auth.Recipients; n == 0 || len(f.Recipients) < n || f.run.SPFPassed(ctx) {
		return nil
	}
	if b.Auth.Beyond != nil {
		b.Auth.Beyond()
	}
	return refuse(452, 5, 3, "too many recipients for a sender for whom SPF does not pass")
}

// verified finds the facts, decides, and does as was decided.
func (b *MX) verified(ctx context.Context, f *Facts) Decision {
	msg, err := f.in.signed()
	if err != nil {
		return refused(localError(err))
	}
	facts := f.run.Finish(ctx, f.Header(), msg)
	facts.IPRev.Name, facts.IPRev.Secure, facts.IPRev.Result = f.name.Result(ctx)
	b.Auth.trust(facts)
	if facts.Decision, err = b.decide(ctx, facts); err != nil {
		return refused(localError(err))
	}
	own := facts.Decision // without the lists of accounts
	trusting, err := b.byAccount(ctx, f, facts)
	if err != nil {
		return refused(localError(err))
	}
	f.verified = facts
	d := facts.Decision
	if b.Auth.Decided != nil {
		b.Auth.Decided(d)
	}
	b.log().Info("message verified", "message", delivery.ID(f.Envelope.ID).String(), "from", f.Envelope.Sender, "action", d.Action.String(),
		"word", string(d.Word), "authenticated", facts.Authenticated(), "peer", f.Envelope.Peer)
	if b.Auth.Failed != nil && d.Action != disposition.Defer { // or it comes again
		b.Auth.Failed(facts, f.Header(), f.isReport())
	}
	if f.Envelope.Facts, err = json.Marshal(facts); err != nil {
		return refused(localError(err))
	}
	f.top = facts.Results(b.Hostname).Field()
	if b.Auth.ReceivedSPF {
		f.top = append(f.top, facts.ReceivedSPF(b.Hostname)...)
	}
	if r := answer(facts); r != nil {
		return refused(r)
	}
	if own.Action != disposition.Deliver { // what was refused is only here for the sake of those who trust it
		f.aside = own.Word
	}
	for i := range f.Envelope.Recipients {
		f.Envelope.Recipients[i].Junk = f.aside != "" && !trusting[i]
	}
	return Decision{}
}

// trust notes which of the names that vouch for a message are listed.
func (a *Authentication) trust(facts *verify.Facts) {
	for _, d := range facts.Authenticated() {
		if lists(a.Forwarders, d) {
			facts.Forwarders = append(facts.Forwarders, d)
			facts.Listed = disposition.TrustedByOperator
		}
	}
}

// decide takes the severest of the decisions on each domain in the From field. A decision to
// put a message off is made again where it was put off for long enough.
func (b *MX) decide(ctx context.Context, facts *verify.Facts) (disposition.Decision, error) {
	in := disposition.Facts{Trust: facts.Listed}
	var err error
	if in.OwnSPFFail, err = b.ownSPFFail(ctx, facts); err != nil {
		return disposition.Decision{}, err
	}
	d := severest(in, facts)
	if d.Action == disposition.Defer && b.Auth.PutOff != nil {
		if in.PutOff, err = b.Auth.PutOff(ctx, facts.DMARC[0].From.ASCII(), facts.Sender); err != nil {
			return disposition.Decision{}, err
		}
		d = severest(in, facts)
	}
	return d, nil
}

func severest(in disposition.Facts, facts *verify.Facts) disposition.Decision {
	if facts.Author != "" {
		in.Author = disposition.AuthorUnreadable
		return disposition.Decide(in)
	}
	var all []disposition.Decision
	for _, d := range facts.DMARC {
		in.DMARC, in.Policy, in.Apply = d.Result, d.Policy, d.Apply
		all = append(all, disposition.Decide(in))
	}
	return disposition.Severest(all)
}

// ownSPFFail is whether the sender claims to be of a domain hosted here, whose SPF record
// forbids the client to use it.
func (b *MX) ownSPFFail(ctx context.Context, facts *verify.Facts) (bool, error) {
	for _, s := range facts.SPF {
		if s.Result != spf.Fail || s.Identity != verify.MailFrom {
			continue
		}
		domain, err := dns.ParseName(s.Domain)
		if err != nil {
			continue
		}
		return b.Accounts.IsHosted(ctx, domain)
	}
	return false, nil
}

// answer is the reply to a message that is not taken; nil: it is.
func answer(facts *verify.Facts) *smtp.Reply {
	d := facts.Decision
	author, at := "the author", dns.Name{}
	if i := decisive(facts); i >= 0 {
		author, at = facts.DMARC[i].From.ASCII(), facts.DMARC[i].At
	}
	switch {
	case d.Action == disposition.Defer:
		return refuse(451, 7, 5, "whether %s wrote this message could not be looked up (DMARC: %s); try again later", author, problemOf(facts))
	case d.Action != disposition.Reject:
		return nil
	case d.Word == reason.AuthorUnreadable:
		return refuse(550, 6, 0, "%s", facts.Author)
	case d.Word == reason.OwnSPFFail:
		return refuse(550, 7, 23, "the envelope sender's domain is hosted here, and its SPF record does not let %s send for it", facts.IP)
	}
	return refuse(550, 7, 1, "%s is not authenticated as the author of this message: no signature and no SPF pass of that domain, whose DMARC policy (_dmarc.%s) is reject", author, at)
}

// decisive is the domain in From for which a message is refused or put off; -1 for none.
func decisive(facts *verify.Facts) int {
	return slices.IndexFunc(facts.DMARC, func(d verify.DMARC) bool {
		if facts.Decision.Action == disposition.Defer {
			return d.Result == dmarc.TempError
		}
		return d.Result == dmarc.Fail && d.Apply == dmarc.PolicyReject
	})
}

func problemOf(facts *verify.Facts) string {
	for _, d := range facts.DMARC {
		if d.Problem != "" {
			return d.Problem
		}
	}
	return "a lookup failed"
}

// evaluate has the message counted in the transaction that accepts it.
func (b *MX) evaluate(_ context.Context, f *Facts) Decision {
	if f.verified != nil && b.Auth.Results != nil {
		f.Envelope.Evaluations = b.Auth.Results.Observe(f.verified, f.isReport())
	}
	return Decision{}
}

// isReport is whether the message is a report, as far as is plain: for report addresses alone,
// or with the subject that reports have (RFC 8460 §5.3, RFC 9990 §3.5.2).
func (f *Facts) isReport() bool {
	return len(f.Recipients) == 0 || strings.HasPrefix(f.Header().Get("Subject"), "Report Domain:")
}

// countAndKeep counts a message that is refused for good, and then has those see it who want to:
// one that cannot be counted comes again.
func (s *mxSession) countAndKeep(ctx context.Context, r *smtp.Reply, unseen bool, content func() delivery.Content) *smtp.Reply {
	if s.facts.verified != nil {
		facts := *s.facts.verified
		facts.Decision.Action = disposition.Reject // by whichever check
		if err := s.count(ctx, &facts); err != nil {
			return localError(err)
		}
	}
	if s.b.Rejects != nil && !unseen {
		s.keep(ctx, r, content)
	}
	return nil
}

// count counts a message that is not accepted.
func (s *mxSession) count(ctx context.Context, facts *verify.Facts) error {
	if s.b.Auth.Results == nil {
		return nil
	}
	return s.b.Auth.Results.Write(ctx, s.b.Auth.Results.Observe(facts, s.facts.isReport()))
}

// Data also counts a message that was taken as a report.
func (s *mxSession) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	reply, err := s.session.Data(ctx, r)
	f := &s.facts
	if err == nil && f.verified != nil && len(f.Envelope.Recipients) == 0 {
		if failed := s.count(ctx, f.verified); failed != nil {
			return nil, localError(failed)
		}
	}
	return reply, err
}
