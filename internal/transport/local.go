package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/structure"
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
	Aliases  Aliases
	// Elsewhere is the transport of that name, to a program that keeps mailboxes (INB-14).
	Elsewhere func(ctx context.Context, name string) (Deliverer, error)
	// AwayAtOnce is how many deliveries there are at one time to one such program; 0: any number.
	AwayAtOnce int
	// Sieve runs the script of the account that is to get a copy; nil: there is none (SIV-1).
	Sieve func(ctx context.Context, job *delivery.Job, c delivery.Copy, content delivery.Content) (*delivery.Sifted, error)
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard

	places sync.Map // of AwayAtOnce: *turns.Turns by transport
}

// Deliver looks the recipients up. Addresses may have gone since they were accepted.
func (l *Local) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := delivery.Result{Started: l.now(), Transport: delivery.ByLocal}
	var away elsewhere
	scripts := sifter{l, job, c, &res}
	led := map[account.Target]delivery.RecipientResult{} // aliases and senders that a recipient has led to
	for _, r := range job.Recipients {
		target, rr := l.resolve(ctx, r)
		var f []delivery.Forward
		way := account.Target{Alias: target.Alias, Return: strings.ToLower(target.Return)}
		before, again := led[way]
		switch {
		case rr.Outcome != delivery.Delivered:
		case again: // by another spelling: everybody gets a message once
			rr, rr.DSNRelayed = before, false
		case target.Alias != "":
			var copies []delivery.Copy
			rr, copies, f = l.alias(ctx, job, r, target, c)
			rr = scripts.members(ctx, rr, copies, len(f) > 0)
		case target.Return != "":
			rr, f = giveBack(r, target)
		case target.Transport != "":
			away.add(target.Transport, r)
			continue
		default:
			target.Mailbox = cmp.Or(r.Mailbox, target.Mailbox)
			if r.Junk {
				target.Mailbox = mailbox.Junk
			}
			rr = scripts.account(ctx, delivery.Copy{Recipient: r.ID, Address: r.Address, Account: target.Account, Mailbox: target.Mailbox, Create: true, Evidence: r.Evidence})
		}
		if rr.ID = r.ID; way != (account.Target{}) && !again {
			led[way] = rr
		}
		res.Recipients = append(res.Recipients, rr)
		res.Forwards = append(res.Forwards, f...)
	}
	if len(res.Copies) > 0 {
		res.Structure, res.References = built(c)
	}
	l.away(ctx, job, c, away, &res)
	res.Ended = l.now()
	return res
}

// built finds out how a message is built and which it answers (MBX-2); of one that cannot be read,
// nothing: whoever asks for it in its mailbox finds out then.
func built(c delivery.Content) (kept []byte, references []string) {
	r, err := c.Open()
	if err != nil {
		return nil, nil
	}
	defer r.Close()
	m, err := structure.Parse(r)
	if err != nil {
		return nil, nil
	}
	if kept, err = m.AppendBinary(nil); err != nil {
		return nil, nil
	}
	return kept, m.Answers()
}

// resolve finds the mailbox of a recipient, or says why there is none.
func (l *Local) resolve(ctx context.Context, r delivery.Recipient) (account.Target, delivery.RecipientResult) {
	addr, err := smtp.ParseReceived(r.Address, true)
	if err != nil || r.Domain.IsLiteral() {
		return account.Target{}, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 3}, reason.BadAddress, "%s is no address of a mailbox here", r.Address)
	}
	target, err := l.Accounts.Resolve(ctx, addr.Local, r.Domain.Name)
	switch {
	case err == nil && target.Refused:
		return target, refused(smtp.Enhanced{Class: 5, Subject: 2, Detail: 1}, reason.MailboxDisabled, "the mailbox of %s is disabled", r.Address)
	case err == nil:
		return target, delivery.RecipientResult{Outcome: delivery.Delivered, Word: reason.Mailbox, Enhanced: smtp.Enhanced{Class: 2}}
	case errors.Is(err, accounts.ErrNoSuchAddress):
		return target, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, reason.NoSuchUser, "there is no such user: %s", r.Address)
	case errors.Is(err, accounts.ErrNotHosted):
		return target, refused(smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}, reason.NotHosted, "the domain of %s is not hosted here any more", r.Address)
	}
	return target, l.unknown(r, err)
}

// unknown puts a recipient off that could not be looked up.
func (l *Local) unknown(r delivery.Recipient, err error) delivery.RecipientResult {
	if l.Log != nil {
		l.Log.Error("cannot look a recipient up", "recipient", r.Address, "error", err)
	}
	return delivery.RecipientResult{
		Outcome: delivery.Deferred, Word: reason.AccountLookup, Enhanced: smtp.Enhanced{Class: 4, Subject: 3},
		Text: "the user database could not be read",
	}
}

func refused(e smtp.Enhanced, word reason.Word, format string, args ...any) delivery.RecipientResult {
	return delivery.RecipientResult{Outcome: delivery.Failed, Word: word, Enhanced: e, Text: fmt.Sprintf(format, args...)}
}

func (l *Local) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}
