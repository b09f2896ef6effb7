package session

import (
	"context"
	"errors"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// outcomes gives the recipients of one transaction their outcomes (SES-5, SES-11).
// A recipient without a word of the host about it stays pending, unless the
// message was sent in full for it.
func (s *session) outcomes(ctx context.Context, batch []int, res *smtpclient.TransactionResult, err error) (over []int, a again, done bool) {
	s.keep(res.Mail)
	s.keep(res.Data)
	if s.stale(ctx, res, err) {
		s.dead(res, err)
		return nil, fresh, true
	}
	s.good = err == nil && res.Mail != nil && res.Mail.Positive() && (res.Data == nil || !res.Data.Temporary())
	s.proven = s.proven || s.from != nil && res.DotSent && res.Data != nil && res.Data.Positive()
	if err != nil {
		s.facts.Err = s.transactionFailure(ctx, err)
	}
	if res.Mail != nil && !res.Mail.Positive() && (err == nil || !res.DotSent) {
		for _, i := range s.todo() {
			s.refused(i, res.Mail)
		}
		return nil, leave, true
	}
	for n, i := range batch {
		if s.recipient(i, n, res) {
			over = append(over, i)
		}
	}
	if err != nil {
		return nil, s.interrupted(err), true
	}
	if res.Data != nil && res.Data.Temporary() {
		s.each(delivery.Pending, func(r *delivery.RecipientResult) {
			if r.Reply == nil {
				note(r, res.Data)
			}
		})
		return nil, leave, true
	}
	if !s.conn.Usable() && !s.conn.Retired() {
		s.unsettled(&delivery.Failure{Word: reason.ConnectionLost, Enhanced: enhBadConn, Text: "the host closed the connection before all recipients were sent"})
		return nil, nextAddr, true
	}
	return over, leave, false
}

// recipient settles one recipient as far as the replies go, and reports
// whether it may go into the next transaction; n is its place in this one.
func (s *session) recipient(i, n int, res *smtpclient.TransactionResult) (over bool) {
	r, rcpt, final := &s.results[i], res.Rcpts[n], res.Final(n)
	switch {
	case rcpt == nil && (res.Data != nil || !res.DotSent): // what interrupted says stands
		return false
	case rcpt != nil && !rcpt.Positive():
		if s.tooMany(res, rcpt) {
			note(r, rcpt)
			return true
		}
		s.refused(i, rcpt)
		s.keep(rcpt)
	case final == nil && res.DotSent:
		r.Outcome, r.Word, r.Enhanced, r.Unknown = delivery.Deferred, reason.Unanswered, enhBadConn, true
		r.Text = "the message was sent in full and no answer came, so nobody knows whether the host has it"
		if f := s.facts.Err; f != nil {
			r.Text += ": " + f.Text
		}
	case final == nil:
	case !final.Positive():
		s.refused(i, final)
	case res.DotSent:
		note(r, final)
		r.Outcome, r.Word = delivery.Delivered, reason.Accepted
		r.TLS = s.travelled()
		// RFC 3461 §5.2.2: who was given NOTIFY tells the sender of success.
		r.DSNRelayed = s.conn.Extensions().DSN
	}
	return false
}

// tooMany reports a refusal that means this transaction, not this recipient:
// others were accepted and delivered in it (RFC 5321 §4.5.3.1.10, which also
// has 552 mean that).
func (s *session) tooMany(res *smtpclient.TransactionResult, r *smtp.Reply) bool {
	if res.Data == nil || !res.Data.Positive() || r.Code != 452 && r.Code != 552 {
		return false
	}
	e := r.Enhanced
	return e.IsZero() || e.Subject == 5 && e.Detail == 3
}

// refused settles a recipient by a 4xx or 5xx reply.
func (s *session) refused(i int, reply *smtp.Reply) {
	r := &s.results[i]
	note(r, reply)
	if !reply.Permanent() {
		s.asked[i] = s.addr
		return // 4xx: the next host
	}
	r.Outcome = delivery.Failed
	// SES-11: one of our addresses may be listed; the other family has not been
	// tried yet.
	e := reply.Enhanced
	if e.Class == 5 && e.Subject == 7 && s.req.Recipients[i].Attempts == 0 && dualStack(s.plan.Host.Addrs) {
		r.Outcome, r.Word = delivery.Deferred, reason.OtherFamily
	}
}

func note(r *delivery.RecipientResult, reply *smtp.Reply) {
	r.Word, r.Reply, r.Text = reason.RemoteReply, reply, bounded(reply.String())
	if reply.Faults != 0 {
		r.Text += " (the reply was malformed: " + reply.Faults.Text() + ")"
	}
	r.Enhanced, r.PolicyFailure = reply.Enhanced, false
}

// interrupted gives those that no reply settled the reason that facts.Err
// holds. Where the fault is ours no other host is tried in this attempt.
func (s *session) interrupted(err error) again {
	f := s.facts.Err
	var body *smtpclient.BodyError
	var final *smtpclient.FinalError
	ours := f.Word == reason.Canceled || errors.As(err, &body) || errors.As(err, &final)
	switch {
	case f.Permanent:
		s.unanswered(f, delivery.Failed)
	case ours:
		s.unanswered(f, delivery.Deferred)
	default:
		s.unanswered(f, delivery.Pending)
		return nextAddr
	}
	return leave
}

// unanswered gives f and an outcome to the pending recipients; those that a 4xx
// made wait keep that reply while they stay pending.
func (s *session) unanswered(f *delivery.Failure, o delivery.Outcome) {
	s.each(delivery.Pending, func(r *delivery.RecipientResult) {
		if r.Reply == nil || o != delivery.Pending {
			r.Word, r.Text, r.Enhanced = f.Word, f.Text, f.Enhanced
		}
		r.Outcome = o
	})
}

// transactionFailure is a Failure for what cut a transaction short.
func (s *session) transactionFailure(ctx context.Context, err error) *delivery.Failure {
	var body *smtpclient.BodyError
	var final *smtpclient.FinalError
	switch {
	case errors.As(err, &final):
		return &delivery.Failure{Word: reason.LeaseLost, Enhanced: enhLocal, Text: bounded(err.Error())}
	case ended(ctx):
		return s.canceled(ctx)
	case errors.As(err, &body) && errors.Is(err, smtp.ErrBareNewline):
		return &delivery.Failure{Word: reason.BareNewline, Permanent: true, Enhanced: enhMedia,
			Text: "the message holds a bare CR or LF, which must not be sent (RFC 5321 §2.3.8)"}
	case errors.As(err, &body):
		return &delivery.Failure{Word: reason.ContentUnreadable, Enhanced: enhLocal, Text: bounded(err.Error())}
	case errors.Is(err, smtpclient.ErrControl):
		return &delivery.Failure{Word: reason.BadEnvelope, Permanent: true, Enhanced: enhBadParams, Text: bounded(err.Error())}
	}
	return s.failure(err)
}
