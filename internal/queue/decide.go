package queue

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"waxwing/dns"
	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/smtp"
)

// decide says what becomes of each row.
func (s *settlement) decide() bounce.Attempt {
	j := s.job
	a := bounce.Attempt{
		Envelope: &j.Envelope, Recipients: make([]delivery.Recipient, len(s.rows)), Result: s.res,
		Schedule: s.q.schedule(j.Purpose), Now: s.now, Jitter: s.jitter,
		NoAttempt: j.noAttempt, Stopped: s.stopped, Crowded: j.crowded, Operator: j.operator, NoNotice: j.noNotice,
	}
	for i := range s.rows {
		a.Recipients[i] = s.rows[i].Recipient
	}
	if j.noAttempt {
		a.Result = lastResults(s.rows)
	}
	if j.holdRule == "" {
		s.outcomes = bounce.Decide(&a)
	} else {
		s.outcomes = holdAll(&a, j.holdRule)
	}
	s.next = make([]Entry, len(s.rows))
	for i := range s.rows {
		s.next[i] = s.after(s.rows[i], &s.outcomes[i])
	}
	return a
}

// lastResults is what rows tell of their last attempts.
func lastResults(rows []Entry) *delivery.Result {
	res := &delivery.Result{}
	for i := range rows {
		r := &rows[i]
		rr := delivery.RecipientResult{ID: r.ID, Word: delivery.Reason(r.Word), Text: r.Text, Reply: parseReply(r.Reply)}
		rr.Host.Name, _ = dns.ParseName(r.Host) // zero where there was none
		res.Recipients = append(res.Recipients, rr)
	}
	return res
}

// parseReply reads a reply that was stored; nil for "".
func parseReply(s string) *smtp.Reply {
	var r smtp.Reply
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 {
		return nil
	}
	r.Code = n
	word, rest, _ := strings.Cut(text, " ")
	if k, _ := fmt.Sscanf(word, "%d.%d.%d", &r.Enhanced.Class, &r.Enhanced.Subject, &r.Enhanced.Detail); k == 3 {
		text = rest
	} else {
		r.Enhanced = smtp.Enhanced{}
	}
	r.Lines = []string{text}
	return &r
}

// holdAll is for recipients whom a hold rule has stopped before their attempt.
func holdAll(a *bounce.Attempt, why string) []bounce.Outcome {
	out := make([]bounce.Outcome, len(a.Recipients))
	for i, r := range a.Recipients {
		out[i] = bounce.Outcome{Recipient: r, Undone: true, Attend: bounce.Attend(a.Envelope, &r, a.Schedule, a.Now),
			Result: delivery.RecipientResult{ID: r.ID, Word: wordHoldRule, Text: why}}
	}
	return out
}

// after is how a row stands after the attempt.
func (s *settlement) after(was Entry, o *bounce.Outcome) Entry {
	e := was
	e.Recipient, e.attend, e.claim = o.Recipient, o.Attend, s.job.lease.number
	e.State, e.Due = Waiting, cmp.Or(o.Next, was.dueBefore)
	rr := &o.Result
	switch {
	case s.job.holdRule != "":
		e.State, e.Due, e.Word, e.Text = Held, s.now, string(rr.Word), rr.Text
		return e
	case o.Undone:
		return e
	case rr.Outcome == delivery.Delivered:
		e.State, e.Due, e.contact = Delivered, s.now, ""
	case rr.Outcome == delivery.Failed:
		e.State, e.Due, e.contact = Failed, s.now, ""
	}
	e.Attempts++
	e.Word, e.Text, e.Reply, e.Host, e.TLS = string(rr.Word), rr.Text, rr.Reply.String(), rr.Host.ASCII(), rr.TLS
	return e
}

// place says whom each recipient waits for next: a route may begin after some
// attempts.
func (s *settlement) place(ctx context.Context) {
	ways := sync.OnceValue(func() *route.Ways { return s.q.ways(ctx) })
	for i := range s.next {
		if e := &s.next[i]; e.State == Waiting && !s.outcomes[i].Undone {
			e.contact = contactOf(ways(), &s.job.Envelope, e, e.Attempts)
		}
	}
}

// outcomeWord is what became of a recipient, in one word.
func outcomeWord(e *Entry, o *bounce.Outcome) string {
	switch {
	case e.State == Held:
		return "held"
	case o.Undone:
		return "interrupted"
	case e.State == Waiting:
		return "deferred"
	}
	return e.State.String()
}
