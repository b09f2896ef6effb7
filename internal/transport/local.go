package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// Mailboxes takes a copy of a message in a transaction; *mailboxes.Store is one.
type Mailboxes interface {
	Deliver(tx *store.Tx, d mailbox.Delivery, c delivery.Content) (int64, error)
}

// Accounts says whose an address is; *accounts.Store is one.
type Accounts interface {
	Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error)
}

// Local delivers into mailboxes of this server. Deliver only looks up whose the
// message is; the mailbox is written by Result.Commit, in the transaction that
// settles the recipients, so that a crash can neither lose nor double it.
type Local struct {
	Mailboxes Mailboxes
	Accounts  Accounts
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: discard
}

// inTx is content that can be read through a transaction; large bodies of the
// queue are. Reading them over a second connection could wait for ever where
// all connections wait so.
type inTx interface {
	In(tx *store.Tx) delivery.Content
}

// Deliver looks the recipients up. Addresses may have gone since they were accepted.
func (l *Local) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := delivery.Result{Started: l.now(), Transport: "local"}
	copies := make(map[int64]mailbox.Delivery, len(job.Recipients))
	for _, r := range job.Recipients {
		target, rr := l.resolve(ctx, r)
		rr.ID = r.ID
		res.Recipients = append(res.Recipients, rr)
		if rr.Outcome == delivery.Delivered {
			copies[r.ID] = mailbox.Delivery{
				Account: target.Account, Mailbox: target.Mailbox, Sender: job.Sender, Recipient: r.Address,
				Received: res.Started, Header: returnPath(job.Sender),
			}
		}
	}
	res.Commit = func(tx delivery.Tx, ids []int64) error { return l.commit(tx, copies, ids, c) }
	res.Ended = l.now()
	return res
}

func (l *Local) commit(dtx delivery.Tx, copies map[int64]mailbox.Delivery, ids []int64, c delivery.Content) error {
	tx, ok := dtx.(*store.Tx)
	if !ok {
		return fmt.Errorf("a mailbox cannot be written through a %T", dtx)
	}
	if in, ok := c.(inTx); ok {
		c = in.In(tx)
	}
	for _, id := range ids {
		d, ok := copies[id]
		if !ok {
			return fmt.Errorf("recipient %d was not resolved", id)
		}
		if _, err := l.Mailboxes.Deliver(tx, d, c); err != nil {
			return fmt.Errorf("deliver to %s: %w", d.Recipient, err)
		}
	}
	return nil
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

// returnPath is the field that final delivery adds (RFC 5321 §4.4).
func returnPath(sender string) []byte {
	// An address with a line end in it cannot have been accepted; it must not
	// make a header field of its own here either.
	sender = strings.NewReplacer("\r", "", "\n", "").Replace(sender)
	return []byte("Return-Path: <" + sender + ">\r\n")
}

func (l *Local) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}
