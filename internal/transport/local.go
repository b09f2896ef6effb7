package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// Accounts says whose an address is; *accounts.Store is one.
type Accounts interface {
	Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error)
}

// Local delivers into mailboxes of this server. Deliver only looks up whose the
// message is; the copies it names are written in the transaction that settles the
// recipients, so that a crash can neither lose nor double one.
type Local struct {
	Accounts Accounts
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: discard
}

// Deliver looks the recipients up. Addresses may have gone since they were accepted.
func (l *Local) Deliver(ctx context.Context, job *delivery.Job, _ delivery.Content) delivery.Result {
	res := delivery.Result{Started: l.now(), Transport: delivery.ByLocal}
	for _, r := range job.Recipients {
		target, rr := l.resolve(ctx, r)
		rr.ID = r.ID
		res.Recipients = append(res.Recipients, rr)
		if rr.Outcome == delivery.Delivered {
			res.Copies = append(res.Copies, delivery.Copy{Recipient: r.ID, Address: r.Address, Account: target.Account, Mailbox: target.Mailbox})
		}
	}
	res.Ended = l.now()
	return res
}

// resolve finds the mailbox of a recipient, or says why there is none.
func (l *Local) resolve(ctx context.Context, r delivery.Recipient) (account.Target, delivery.RecipientResult) {
	addr, err := smtp.ParseReceived(r.Address, true)
	if err != nil || r.Domain.IsLiteral() {
		return account.Target{}, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 3}, "bad-address", "%s is no address of a mailbox here", r.Address)
	}
	target, err := l.Accounts.Resolve(ctx, addr.Local, r.Domain.Name)
	switch {
	case err == nil:
		return target, delivery.RecipientResult{Outcome: delivery.Delivered, Word: "mailbox", Enhanced: smtp.Enhanced{Class: 2}}
	case errors.Is(err, accounts.ErrNoSuchAddress):
		return target, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no-such-user", "there is no such user: %s", r.Address)
	case errors.Is(err, accounts.ErrNotHosted):
		return target, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}, "not-hosted", "the domain of %s is not hosted here any more", r.Address)
	}
	if l.Log != nil {
		l.Log.Error("cannot look a recipient up", "recipient", r.Address, "error", err)
	}
	return target, delivery.RecipientResult{
		Outcome: delivery.Deferred, Word: "account-lookup", Enhanced: smtp.Enhanced{Class: 4, Subject: 3},
		Text: "the user database could not be read",
	}
}

func refused(e smtp.Enhanced, word delivery.Reason, format string, args ...any) delivery.RecipientResult {
	return delivery.RecipientResult{Outcome: delivery.Failed, Word: word, Enhanced: e, Text: fmt.Sprintf(format, args...)}
}

func (l *Local) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}
