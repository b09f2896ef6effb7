package transport

import (
	"bytes"
	"context"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// sifter has the scripts of accounts decide about their copies of one message (SIV-1), and adds what
// they decide to its result.
type sifter struct {
	*Local
	job     *delivery.Job
	content delivery.Content
	res     *delivery.Result
}

// account delivers a copy to an account here.
func (l sifter) account(ctx context.Context, copy delivery.Copy) delivery.RecipientResult {
	s, err := l.sift(ctx, copy)
	if err != nil {
		return l.unknown(delivery.Recipient{Address: copy.Address}, err)
	}
	rr := settledBy(s)
	if rr.Outcome == delivery.Delivered {
		l.add(s)
	}
	return rr
}

// sift is what the account's script makes of a copy, or the copy itself.
func (l sifter) sift(ctx context.Context, copy delivery.Copy) (*delivery.Sifted, error) {
	var s *delivery.Sifted
	var err error
	if l.Sieve != nil {
		s, err = l.Sieve(ctx, l.job, copy, l.content)
	}
	if s == nil && err == nil {
		s = &delivery.Sifted{Copies: []delivery.Copy{copy}}
	}
	return s, err
}

// settledBy is what becomes of a recipient by what a script made of its copy.
func settledBy(s *delivery.Sifted) delivery.RecipientResult {
	rr := delivery.RecipientResult{Outcome: delivery.Delivered, Word: reason.Mailbox, Enhanced: smtp.Enhanced{Class: 2}, Text: s.Text}
	switch {
	case s.Refused != "":
		return refused(smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, reason.ScriptRefused, "%s", s.Refused)
	case len(s.Copies) > 0:
	case slices.ContainsFunc(s.Forwards, func(f delivery.Forward) bool { return f.Text == nil }):
		rr.Word = reason.PassedOn
	default:
		rr.Word = reason.ScriptDiscarded
	}
	return rr
}

// members delivers copies to the members of an alias that are here; rr is the alias's result, others
// says that it has other members. A member refuses the message for nobody else: it lies in the
// mailbox then, unless that member is all there is behind the alias.
func (l sifter) members(ctx context.Context, rr delivery.RecipientResult, copies []delivery.Copy, others bool) delivery.RecipientResult {
	for _, copy := range copies {
		s, err := l.sift(ctx, copy)
		switch {
		case err != nil:
			return l.unknown(delivery.Recipient{Address: copy.Address}, err)
		case s.Refused != "" && len(copies) == 1 && !others:
			return settledBy(s)
		case s.Refused != "":
			s = &delivery.Sifted{Copies: []delivery.Copy{copy}}
		}
		l.add(s)
	}
	return rr
}

// add adds what a script made of a copy. An account that a message reaches by two addresses passes it
// on once, and answers it once.
func (l sifter) add(s *delivery.Sifted) {
	res := l.res
	answered := slices.ContainsFunc(s.Memories, func(m delivery.Memory) bool {
		return slices.ContainsFunc(res.Memories, func(o delivery.Memory) bool { return o.Account == m.Account && o.Key == m.Key })
	})
	for _, f := range s.Forwards {
		same := func(o delivery.Forward) bool {
			return slices.Equal(o.To, f.To) && o.Sender == f.Sender && o.Text == nil && bytes.Equal(o.Header, f.Header)
		}
		if f.Text != nil && answered || f.Text == nil && slices.ContainsFunc(res.Forwards, same) {
			continue
		}
		res.Forwards = append(res.Forwards, f)
	}
	res.Copies = append(res.Copies, s.Copies...)
	res.Memories = append(res.Memories, s.Memories...)
}
