package receive

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"waxwing/authres"
	"waxwing/dns"
	"waxwing/internal/blocklist"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/milters"
	"waxwing/internal/reason"
	"waxwing/internal/received"
	"waxwing/internal/rejects"
	"waxwing/internal/verify"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// A Check looks at mail that comes through a door. Each function is asked at its
// point of the dialogue, in the order of the checks; nil ones have nothing to say
// there. A reply that is not nil refuses, and no later check is asked. Safe for
// concurrent use.
type Check struct {
	// Sender is asked at MAIL: the connection and what MAIL said are known.
	Sender func(ctx context.Context, f *Facts) *smtp.Reply
	// Recipient is asked at RCPT, for each recipient once, f.Recipient; not for addresses
	// that take reports, whose mail is looked at whole.
	Recipient func(ctx context.Context, f *Facts) *smtp.Reply
	// Header is asked when the header is known and most of a long message is yet to come.
	Header func(ctx context.Context, f *Facts) *smtp.Reply
	// Message is asked when the whole message is here. It may change f.Envelope.
	Message func(ctx context.Context, f *Facts) Decision
}

// Facts is what checks may know: more from one point of the dialogue to the next.
// They are valid only while the check is asked.
type Facts struct {
	Conn       smtpserver.Conn
	Mail       smtp.MailParams
	Recipient  delivery.Recipient   // that RCPT names; at Recipient only
	Recipients []delivery.Recipient // those taken so far
	Author     dns.Name             // domain of the From field; known on submission only, from Header on
	Envelope   *delivery.Envelope   // from Message on

	in       *incoming
	reports  []reportRecipient // recipients that are report addresses; not among Recipients
	name     *verify.Reverse   // of the client; nil where nobody looks
	run      *verify.Run       // of a message that comes from outside
	lists    *blocklist.Search // of the client in blocklists; nil where nobody asks
	verified *verify.Facts     // what came of it; nil: nobody looked
	top      []byte            // header fields above our Received
	aside    reason.Word       // why it was decided that the message goes into Junk; "": it does not

	milters  *milters.Transaction // nil where none is asked
	screened []junk.Milter        // what they came to
}

// Header is the message's header; from Header on.
func (f *Facts) Header() message.Header { return f.in.header }

// Whole is the message, without our Received field; from Message on. It is not to be
// changed: it may be a mapped file.
func (f *Facts) Whole() ([]byte, error) { return f.in.whole() }

// Decision is what a check says of a whole message. The zero value lets it pass.
type Decision struct {
	// Reply refuses the message if it is negative. A positive one is the answer where
	// the checks leave no recipient in the envelope.
	Reply  *smtp.Reply
	Unseen bool   // of a refusal: it is not for what the message is, and nobody gets to see it
	Fields []byte // header fields to be put before the message, with CRLF at their ends
	Taken  func() // called once the message is accepted; may be nil
	Undo   func() // called if it is not accepted in the end; may be nil
}

// refused is the decision not to take a message; r may be nil.
func refused(r *smtp.Reply) Decision { return Decision{Reply: r} }

// session is one connection at a door: its backend adds what it takes for a recipient.
type session struct {
	door   *Door
	checks []Check
	facts  Facts
	// refused has each message that a check refuses for good, and says what its sender is told in place of that;
	// nil: what was to be. Unseen is of the decision. Nil: nobody asks for it.
	refused func(ctx context.Context, r *smtp.Reply, unseen bool, content func() delivery.Content) *smtp.Reply
}

func (d *Door) session(conn smtpserver.Conn, checks []Check) session {
	return session{door: d, checks: checks, facts: Facts{Conn: conn}}
}

func (s *session) Reset() {
	s.Close()
	s.facts = Facts{Conn: s.facts.Conn, name: s.facts.name}
}

func (s *session) Close() {
	if s.facts.run != nil {
		s.facts.run.Stop()
	}
	if s.facts.milters != nil {
		s.facts.milters.Close()
	}
}

func (s *session) Mail(ctx context.Context, p smtp.MailParams) error {
	s.Reset()
	s.facts.Mail = p
	if r := s.ask(ctx, func(c Check) early { return c.Sender }); r != nil {
		return r
	}
	return nil
}

// early is a question before the whole message is here.
type early = func(ctx context.Context, f *Facts) *smtp.Reply

// ask puts one question to each check: the first refusal, or nil.
func (s *session) ask(ctx context.Context, question func(Check) early) *smtp.Reply {
	for _, c := range s.checks {
		if fn := question(c); fn != nil {
			if r := fn(ctx, &s.facts); r != nil {
				return r
			}
		}
	}
	return nil
}

// add takes a recipient that exists or is elsewhere.
func (s *session) add(ctx context.Context, rcpt delivery.Recipient) error {
	if known(s.facts.Recipients, rcpt) {
		return nil
	}
	s.facts.Recipient = rcpt
	if r := s.ask(ctx, func(c Check) early { return c.Recipient }); r != nil {
		return r
	}
	s.facts.Recipients = append(s.facts.Recipients, rcpt)
	return nil
}

// Data is the one way in, for whatever comes from wherever: the message is taken,
// checked, given its trace field and accepted.
func (s *session) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	f := &s.facts
	in, fail := s.door.take(r, func(in *incoming) *smtp.Reply {
		f.in = in
		return s.ask(ctx, func(c Check) early { return c.Header })
	})
	if fail != nil {
		return nil, fail
	}
	defer in.close()
	f.Envelope = f.envelope(s.door.now())
	d := s.check(ctx)
	accepted := false
	defer func() {
		if accepted {
			d.Taken()
		} else {
			d.Undo()
		}
	}()
	switch {
	case d.Reply != nil && !d.Reply.Positive():
		if s.refused != nil && d.Reply.Permanent() {
			if r := s.refused(ctx, d.Reply, d.Unseen, func() delivery.Content { return s.content(ctx, d) }); r != nil {
				return nil, r
			}
		}
		return nil, d.Reply
	case len(f.Envelope.Recipients) == 0 && d.Reply == nil:
		return nil, localError(errors.New("the checks have left no recipient and no answer"))
	case len(f.Envelope.Recipients) == 0:
		accepted = true
		return d.Reply, nil
	}
	reply, err := s.door.accept(ctx, f.Envelope, s.content(ctx, d))
	accepted = err == nil
	return reply, err
}

// content is the message with what the checks and this door add to it.
func (s *session) content(ctx context.Context, d Decision) delivery.Content {
	return s.facts.in.content(slices.Concat(s.facts.top, s.trace(ctx).Field(), d.Fields))
}

// check makes one decision of those on the whole message: the first refusal, or all
// that is to be added.
func (s *session) check(ctx context.Context) Decision {
	var all Decision
	var taken, undo []func()
	all.Taken = func() {
		for _, fn := range taken {
			fn()
		}
	}
	all.Undo = func() {
		for _, fn := range slices.Backward(undo) {
			fn()
		}
	}
	for _, c := range s.checks {
		if c.Message == nil {
			continue
		}
		d := c.Message(ctx, &s.facts)
		if d.Taken != nil {
			taken = append(taken, d.Taken)
		}
		if d.Undo != nil {
			undo = append(undo, d.Undo)
		}
		all.Fields = append(all.Fields, d.Fields...)
		if d.Reply != nil {
			all.Reply, all.Unseen = d.Reply, d.Unseen
			if !d.Reply.Positive() || len(s.facts.Envelope.Recipients) == 0 && len(s.facts.reports) == 0 {
				break // there is nobody left whom the others could be asked about
			}
		}
	}
	s.facts.Envelope.EightBit = s.facts.in.eightBit() // a check may have encoded it anew
	return all
}

// trace is what the Received field tells.
func (s *session) trace(ctx context.Context) received.Trace {
	f := &s.facts
	t := received.Trace{
		HELO: f.Conn.HELO(), Addr: f.Conn.Remote().Addr(), Hostname: s.door.Hostname,
		Protocol: protocol(f.Conn, f.Mail.SMTPUTF8, s.door.LMTP), TLS: f.Conn.TLS(), RequireTLS: f.Mail.RequireTLS,
		ID: f.Envelope.ID, Now: f.Envelope.Accepted,
	}
	t.Name, t.Secure, _ = f.name.Result(ctx)
	if only, ok := f.onlyRecipient(); ok {
		// A-labels, so that the field alone does not make the message need SMTPUTF8 (SES-17).
		t.Recipient, _ = smtp.ASCIIAddress(only)
	}
	return t
}

// protocol is the "with" of RFC 3848 and, with SMTPUTF8, of RFC 6531 §4.3. What was handed
// in without SMTP has none: RFC 5321 §4.4 allows registered names only.
func protocol(conn smtpserver.Conn, utf8, lmtp bool) string {
	if _, without := conn.(handedBy); without {
		return ""
	}
	p := "SMTP"
	if lmtp {
		p = "L" + p[1:]
	}
	switch {
	case utf8:
		p = "UTF8" + p
	case lmtp:
	case conn.ESMTP():
		p = "ESMTP"
	default:
		return p // RFC 3848 knows neither TLS nor AUTH without EHLO
	}
	if conn.TLS() != nil {
		p += "S"
	}
	if conn.Identity() != "" {
		p += "A"
	}
	return p
}

// unquoted takes a field's quotes and quoted pairs away, to look for a name in it however it is written.
var unquoted = strings.NewReplacer(`"`, "", `\`, "", "\r", "", "\n", "")

// removeForged removes Authentication-Results and Received-SPF that claim to be ours (AUT-2,
// RFC 8601 §5), and what final delivery alone writes: Return-Path (RFC 5321 §4.4), why a copy is
// in Junk, and why a message was refused.
func (d *Door) removeForged(_ context.Context, f *Facts) *smtp.Reply {
	in := f.in
	ours := func(field message.Field) bool {
		switch {
		case field.Is("Return-Path"), field.Is(junk.FieldName), field.Is(rejects.FieldName):
			return true
		case field.Is("Received-SPF"):
			return strings.Contains(strings.ToLower(unquoted.Replace(field.Value())), strings.ToLower(d.Hostname))
		case field.Is(authres.Name):
			return authres.ID(field.Value()) == d.Hostname
		}
		return false
	}
	if slices.ContainsFunc(in.header.Fields, ours) {
		in.header.Fields = slices.DeleteFunc(slices.Clone(in.header.Fields), ours)
		in.edited = true
	}
	return nil
}
