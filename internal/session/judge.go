package session

import (
	"context"
	"errors"

	"waxwing/internal/delivery"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// judge gives the recipients of one transaction their outcomes (SES-5, SES-11).
// A recipient without a word of the host about it stays pending, unless the
// message was sent in full for it.
func (v *visit) judge(ctx context.Context, batch []int, res *smtpclient.TransactionResult, err error) (over []int, a again, done bool) {
	v.keep(res.Mail)
	v.keep(res.Data)
	if v.stale(ctx, res, err) {
		v.dead(res, err)
		return nil, fresh, true
	}
	v.good = err == nil && res.Mail != nil && res.Mail.Positive() && (res.Data == nil || !res.Data.Temporary())
	v.proven = v.proven || v.kept != nil && res.DotSent && res.Data != nil && res.Data.Positive()
	if err != nil {
		v.facts.Err = v.transactionFailure(ctx, err)
	}
	if res.Mail != nil && !res.Mail.Positive() && (err == nil || !res.DotSent) {
		for _, i := range v.todo() {
			v.refused(i, res.Mail)
		}
		return nil, leave, true
	}
	for n, i := range batch {
		if v.recipient(i, res, res.Rcpts[n]) {
			over = append(over, i)
		}
	}
	if err != nil {
		return nil, v.interrupted(err), true
	}
	if res.Data != nil && res.Data.Temporary() {
		v.each(delivery.Pending, func(r *delivery.RecipientResult) {
			if r.Reply == nil {
				note(r, res.Data)
			}
		})
		return nil, leave, true
	}
	if !v.conn.Usable() && !v.conn.Retired() {
		v.unsettled(&delivery.Failure{Word: ConnectionLost, Enhanced: enhBadConn, Text: "the host closed the connection before all recipients were sent"})
		return nil, nextAddr, true
	}
	return over, leave, false
}

// recipient settles one recipient as far as the replies go, and reports
// whether it may go into the next transaction.
func (v *visit) recipient(i int, res *smtpclient.TransactionResult, rcpt *smtp.Reply) (over bool) {
	r := &v.results[i]
	switch {
	case rcpt == nil && (res.Data != nil || !res.DotSent): // what interrupted says stands
		return false
	case rcpt != nil && !rcpt.Positive():
		if v.tooMany(res, rcpt) {
			note(r, rcpt)
			return true
		}
		v.refused(i, rcpt)
		v.keep(rcpt)
	case res.Data == nil && res.DotSent:
		r.Outcome, r.Word, r.Enhanced, r.Unknown = delivery.Deferred, Unanswered, enhBadConn, true
		r.Text = "the message was sent in full and no answer came, so nobody knows whether the host has it"
		if f := v.facts.Err; f != nil {
			r.Text += ": " + f.Text
		}
	case res.Data == nil:
	case !res.Data.Positive():
		v.refused(i, res.Data)
	case res.DotSent:
		note(r, res.Data)
		r.Outcome, r.Word = delivery.Delivered, Accepted
		r.TLS = v.travelled()
		// RFC 3461 §5.2.2: who was given NOTIFY tells the sender of success.
		r.DSNRelayed = v.conn.Extensions().DSN
	}
	return false
}

// tooMany reports a refusal that means this transaction, not this recipient:
// others were accepted and delivered in it (RFC 5321 §4.5.3.1.10, which also
// has 552 mean that).
func (v *visit) tooMany(res *smtpclient.TransactionResult, r *smtp.Reply) bool {
	if res.Data == nil || !res.Data.Positive() || r.Code != 452 && r.Code != 552 {
		return false
	}
	e := r.Enhanced
	return e.IsZero() || e.Subject == 5 && e.Detail == 3
}

// refused settles a recipient by a 4xx or 5xx reply.
func (v *visit) refused(i int, reply *smtp.Reply) {
	r := &v.results[i]
	note(r, reply)
	if !reply.Permanent() {
		v.asked[i] = v.addr
		return // 4xx: the next host
	}
	r.Outcome = delivery.Failed
	// SES-11: one of our addresses may be listed; the other family has not been
	// tried yet.
	e := reply.Enhanced
	if e.Class == 5 && e.Subject == 7 && v.req.Recipients[i].Attempts == 0 && dualStack(v.plan.Host.Addrs) {
		r.Outcome, r.Word = delivery.Deferred, OtherFamily
	}
}

func note(r *delivery.RecipientResult, reply *smtp.Reply) {
	r.Word, r.Reply, r.Text = RemoteReply, reply, bounded(reply.String())
	if reply.Faults != 0 {
		r.Text += " (the reply was malformed: " + reply.Faults.Text() + ")"
	}
	r.Enhanced, r.PolicyFailure = reply.Enhanced, false
}

// interrupted gives those that no reply settled the reason that facts.Err
// holds. Where the fault is ours no other host is tried in this attempt.
func (v *visit) interrupted(err error) again {
	f := v.facts.Err
	var body *smtpclient.BodyError
	var final *smtpclient.FinalError
	ours := f.Word == Canceled || errors.As(err, &body) || errors.As(err, &final)
	switch {
	case f.Permanent:
		v.unanswered(f, delivery.Failed)
	case ours:
		v.unanswered(f, delivery.Deferred)
	default:
		v.unanswered(f, delivery.Pending)
		return nextAddr
	}
	return leave
}

// unanswered gives f and an outcome to the pending recipients; those that a 4xx
// made wait keep that reply while they stay pending.
func (v *visit) unanswered(f *delivery.Failure, o delivery.Outcome) {
	v.each(delivery.Pending, func(r *delivery.RecipientResult) {
		if r.Reply == nil || o != delivery.Pending {
			r.Word, r.Text, r.Enhanced = f.Word, f.Text, f.Enhanced
		}
		r.Outcome = o
	})
}

// transactionFailure is a Failure for what cut a transaction short.
func (v *visit) transactionFailure(ctx context.Context, err error) *delivery.Failure {
	var body *smtpclient.BodyError
	var final *smtpclient.FinalError
	switch {
	case errors.As(err, &final):
		return &delivery.Failure{Word: LeaseLost, Enhanced: enhLocal, Text: bounded(err.Error())}
	case ended(ctx):
		return v.canceled(ctx)
	case errors.As(err, &body) && errors.Is(err, smtp.ErrBareNewline):
		return &delivery.Failure{Word: BareNewline, Permanent: true, Enhanced: enhMedia,
			Text: "the message holds a bare CR or LF, which must not be sent (RFC 5321 §2.3.8)"}
	case errors.As(err, &body):
		return &delivery.Failure{Word: ContentUnreadable, Enhanced: enhLocal, Text: bounded(err.Error())}
	case errors.Is(err, smtpclient.ErrControl):
		return &delivery.Failure{Word: BadEnvelope, Permanent: true, Enhanced: enhBadParams, Text: bounded(err.Error())}
	}
	return v.failure(err)
}
