package session

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// send carries the message in as many transactions as the host wants.
func (s *session) send(ctx context.Context) again {
	if f := s.fits(); f != nil {
		s.facts.Err = f
		if f.Permanent {
			s.settleAll(delivery.Failed, f)
		} else {
			s.unfit(s.todo(), f)
		}
		return leave
	}
	s.refuseUnsendable()
	todo := s.todo()
	limits := s.conn.Extensions().Limits
	if limits.RcptMax == 0 {
		limits.RcptMax = maxRcpts
	}
	for first := true; len(todo) > 0; first = false {
		if !first && s.past(s.bounds.Transactions) {
			s.tooSlow()
			return leave
		}
		if s.conn.Retired() || limits.MailMax > 0 && s.conn.Mails() >= limits.MailMax {
			return fresh // SES-13; RFC 9422 §4: the host's limit for one connection
		}
		n := s.batch(todo, limits)
		over, a, done := s.transact(ctx, todo[:n])
		if done {
			return a
		}
		if len(over) > 0 {
			// The host told its limit by refusing; at least one was accepted.
			limits.RcptMax = n - len(over)
		}
		todo = slices.Concat(over, todo[n:])
	}
	return leave
}

// batch is how many of todo go into one transaction.
func (s *session) batch(todo []int, l smtp.Limits) int {
	n := min(l.RcptMax, len(todo))
	if l.RcptDomainMax == 0 {
		return n
	}
	var seen []delivery.RecipientDomain
	for at, i := range todo[:n] {
		if d := s.req.Recipients[i].Domain; !slices.Contains(seen, d) {
			seen = append(seen, d)
		}
		if len(seen) > l.RcptDomainMax {
			return at
		}
	}
	return n
}

// unfit leaves recipients to the next host, since this one cannot take the message
// (SES-14). One that an address of this host put off keeps that reason.
func (s *session) unfit(which []int, f *delivery.Failure) {
	for _, i := range which {
		if r := &s.results[i]; !s.asked[i].IsValid() {
			r.Word, r.Text, r.Enhanced, r.Reply, r.PolicyFailure, r.Unfit = f.Word, f.Text, f.Enhanced, nil, false, true
		}
	}
}

// todo are the indices of the recipients that are pending, and that this address
// has not put off and can take.
func (s *session) todo() []int {
	var out []int
	for i := range s.results {
		if r := &s.results[i]; r.Outcome == delivery.Pending && s.asked[i] != s.addr && !r.Unfit {
			out = append(out, i)
		}
	}
	return out
}

// fits holds the message against what the host offers (SES-8). A failure that is
// not permanent is this host's alone.
func (s *session) fits() *delivery.Failure {
	ext, job := s.conn.Extensions(), s.req.Job
	host := s.plan.Host.Name
	if strings.ContainsFunc(job.Sender, control) {
		return &delivery.Failure{Word: reason.BadEnvelope, Permanent: true, Enhanced: enhBadParams, Text: "the sender's address holds a control character"}
	}
	s.form()
	sender, ok := job.Sender, true
	if !ext.SMTPUTF8 {
		sender, ok = smtp.ASCIIAddress(job.Sender)
	}
	s.sender = sender
	if !ok || job.SMTPUTF8 && !ext.SMTPUTF8 && !s.ascii && s.needsUTF8() {
		return &delivery.Failure{Word: reason.SMTPUTF8NotOffered, Enhanced: enhUTF8,
			Text: fmt.Sprintf("%s does not offer SMTPUTF8, which this message needs", host)}
	}
	need := message.Need{SevenBit: job.EightBit && !ext.EightBitMIME && !s.ascii, ShortLines: s.longLines()}
	if need != (message.Need{}) {
		if f := s.convert(need); f != nil {
			return f
		}
	}
	if size := s.content.Size(); ext.MaxSize > 0 && size > ext.MaxSize {
		return &delivery.Failure{Word: reason.SizeExceeded, Enhanced: enhTooBig,
			Text: fmt.Sprintf("the message has %d octets, and %s takes at most %d", size, host, ext.MaxSize)}
	}
	return nil
}

// form chooses between the two forms in which a notification may be kept: the one
// in US-ASCII is for a host that cannot be given the other (QUE-12).
func (s *session) form() {
	ext, job := s.conn.Extensions(), s.req.Job
	s.content, s.ascii = s.req.Content, false
	two, ok := s.req.Content.(delivery.TwoForms)
	if ok && (job.SMTPUTF8 && !ext.SMTPUTF8 || job.EightBit && !ext.EightBitMIME) {
		s.content, s.ascii = two.ASCII, true
	}
}

// longLines reports lines that SMTP cannot carry (INB-13). Mail of accounts has
// none, for submission has seen to it; what came in over MX, and notifications
// that return such mail, are looked through when they travel on.
func (s *session) longLines() bool {
	if s.req.Job.Account != "" {
		return false
	}
	r, err := s.content.Open()
	if err != nil {
		return false // sending will tell
	}
	defer r.Close()
	var m message.LineMeter
	_, _ = io.Copy(&m, r) // as above
	return m.Long
}

// convert makes the content as needed, or says why it stays as it is.
func (s *session) convert(need message.Need) *delivery.Failure {
	f := &delivery.Failure{Word: reason.LineTooLong, Permanent: true, Enhanced: enhMedia,
		Text: "a line of the message has more than 998 octets, which SMTP cannot carry"}
	if need.SevenBit {
		f = &delivery.Failure{Word: reason.EightBitNotOffered, Enhanced: enhConvert,
			Text: fmt.Sprintf("%s does not offer 8BITMIME, which this message needs", s.plan.Host.Name)}
	}
	if s.c.Convert == nil {
		return f
	}
	content, err := s.c.Convert(s.content, need)
	if err != nil {
		f.Text += ": " + bounded(err.Error())
		return f
	}
	s.content = content
	return nil
}

// refuseUnsendable leaves recipients to the next host whose own address this one
// cannot take, and settles those that no host may be given.
func (s *session) refuseUnsendable() {
	utf8 := s.conn.Extensions().SMTPUTF8
	for _, i := range s.todo() {
		addr, r := s.req.Recipients[i].Address, &s.results[i]
		switch {
		case strings.ContainsFunc(addr, control) || strings.ContainsFunc(s.req.Recipients[i].ORcpt, control):
			r.Outcome, r.Word, r.Enhanced, r.Text = delivery.Failed, reason.BadEnvelope, enhBadParams, "the recipient's address holds a control character"
		case utf8:
		case !asciiForm(addr):
			s.unfit([]int{i}, &delivery.Failure{Word: reason.SMTPUTF8NotOffered, Enhanced: enhUTF8,
				Text: fmt.Sprintf("%s does not offer SMTPUTF8, which this address needs", s.plan.Host.Name)})
		}
	}
}

// asciiForm reports an address that a host without SMTPUTF8 can take.
func asciiForm(addr string) bool {
	_, ok := smtp.ASCIIAddress(addr)
	return ok
}

// transact sends one transaction for the recipients at batch. It returns those
// of them that a further transaction may take, or done with what comes next.
func (s *session) transact(ctx context.Context, batch []int) (over []int, a again, done bool) {
	body, err := s.content.Open()
	if err != nil {
		s.settleAll(delivery.Deferred, &delivery.Failure{Word: reason.ContentUnreadable, Enhanced: enhLocal, Text: "the message could not be read: " + err.Error()})
		return nil, leave, true
	}
	defer body.Close()
	t := smtpclient.Transaction{Mail: s.mail(batch), Rcpts: make([]smtpclient.RcptOptions, 0, len(batch)), Body: body, Size: s.content.Size(),
		BeforeFinal: s.extend, Reset: s.from != nil, Chunk: s.proven && time.Since(s.from.at) < hot}
	for _, i := range batch {
		t.Rcpts = append(t.Rcpts, s.rcpt(&s.req.Recipients[i]))
	}
	res, err := s.conn.Transaction(ctx, t)
	return s.outcomes(ctx, batch, res, err)
}

// extend holds the job for as long as the host may take to answer the final
// dot: without it another owner might send the message meanwhile (QUE-2).
func (s *session) extend(ctx context.Context) error {
	if s.req.Job.Lease == nil {
		return nil
	}
	return s.req.Job.Lease.Extend(ctx, s.c.Timeouts.Settle()+time.Minute)
}

func (s *session) mail(batch []int) smtpclient.MailOptions {
	ext, job := s.conn.Extensions(), s.req.Job
	m := smtpclient.MailOptions{From: s.sender}
	if ext.Size {
		m.Size = s.content.Size()
	}
	if job.EightBit && ext.EightBitMIME && !s.ascii {
		m.Body = "8BITMIME"
	}
	if ext.SMTPUTF8 {
		m.SMTPUTF8 = job.SMTPUTF8 && !s.ascii || !ascii(job.Sender) ||
			slices.ContainsFunc(batch, func(i int) bool { return !ascii(s.req.Recipients[i].Address) })
	}
	// RFC 8689 §4.2.1: only over TLS, and only where offered there.
	m.RequireTLS = s.facts.RequireTLS && s.plan.RequireTLSVerb != delivery.CheckNone
	if ext.DSN {
		m.EnvID = job.EnvID
		switch job.Ret {
		case delivery.RetHeaders:
			m.Ret = "HDRS"
		case delivery.RetFull:
			m.Ret = "FULL"
		}
	}
	return m
}

func (s *session) rcpt(r *delivery.Recipient) smtpclient.RcptOptions {
	ext := s.conn.Extensions()
	o := smtpclient.RcptOptions{To: r.Address}
	if ext.DSN {
		o.Notify, o.ORcpt = notify(r.Notify), r.ORcpt
	}
	if !ext.SMTPUTF8 {
		o.To, _ = smtp.ASCIIAddress(o.To)
		o.ORcpt = downgradeORcpt(o.ORcpt)
	}
	return o
}

// notify is NOTIFY's value; empty where the sender gave none.
func notify(n delivery.Notify) string {
	if n&delivery.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, w := range []struct {
		bit  delivery.Notify
		word string
	}{{delivery.NotifySuccess, "SUCCESS"}, {delivery.NotifyFailure, "FAILURE"}, {delivery.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
