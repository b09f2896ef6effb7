package transport

import (
	"bufio"
	"context"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/smtp"
)

// Aliases says what an alias comes to, and rewrites senders; *accounts.Store is one.
type Aliases interface {
	Expand(ctx context.Context, alias string, from account.Poster) (account.Expansion, error)
	Rewrite(ctx context.Context, sender string, domain dns.Name) (string, error)
}

// passedOn is the result of a recipient that others get the mail for.
func passedOn(text string) delivery.RecipientResult {
	return delivery.RecipientResult{Outcome: delivery.Delivered, Word: reason.PassedOn, Enhanced: smtp.Enhanced{Class: 2}, Text: text}
}

// alias delivers to the members of an alias (ACC-1): copies for those here, a message of the
// queue's for those elsewhere.
func (l *Local) alias(ctx context.Context, job *delivery.Job, r delivery.Recipient, t account.Target, c delivery.Content) (delivery.RecipientResult, []delivery.Copy, []delivery.Forward) {
	looped, err := deliveredTo(c, t.Alias)
	if err != nil {
		return l.unknown(r, err), nil, nil
	}
	if looped {
		return refused(smtp.Enhanced{Class: 5, Subject: 4, Detail: 6}, reason.MailLoop, "mail loop: the message has been through the alias %s already", t.Alias), nil, nil
	}
	e, err := l.Aliases.Expand(ctx, t.Alias, account.Poster{Account: job.Account, Address: job.Sender})
	if err != nil {
		return l.unknown(r, err), nil, nil
	}
	if len(e.Missing) > 0 && l.Log != nil {
		l.Log.Warn("an alias has members that nobody has here", "message", delivery.ID(job.ID), "alias", t.Alias, "members", len(e.Missing), "first", e.Missing[0])
	}
	switch {
	case e.TooMany:
		return refused(smtp.Enhanced{Class: 5, Subject: 2, Detail: 4}, reason.AliasBroken, "the alias %s comes to more than %d addresses", t.Alias, account.MaxExpanded), nil, nil
	case !e.Reaches() && !e.Spared:
		return refused(smtp.Enhanced{Class: 5, Subject: 2, Detail: 4}, reason.AliasBroken, "nobody is behind the alias %s any more", t.Alias), nil, nil
	}
	rr := passedOn(fmt.Sprintf("passed on to the %d members of the alias", len(e.Inside)+len(e.Outside)))
	var copies []delivery.Copy
	var forwards []delivery.Forward
	var away []string // members whose mailboxes another program keeps: the queue brings it there, by way of their addresses
	for _, in := range e.Inside {
		if in.Refused { // ACC-3: the others of the alias get it all the same
			continue
		}
		if in.Transport != "" {
			away = append(away, in.Address)
			continue
		}
		box := in.Mailbox
		evidence, aside := junk.OfMember(r.Evidence, in.Account)
		if r.Junk || aside {
			box = mailbox.Junk
		}
		copies = append(copies, delivery.Copy{Recipient: r.ID, Address: r.Address, Account: in.Account, Mailbox: box, Create: true, Evidence: evidence})
	}
	if len(away) > 0 {
		forwards = append(forwards, delivery.Forward{Recipient: r.ID, Sender: job.Sender, DeliveredTo: t.Alias, To: away, Notify: r.Notify &^ delivery.NotifySuccess})
	}
	if len(e.Outside) == 0 {
		return rr, copies, forwards
	}
	f := delivery.Forward{Recipient: r.ID, DeliveredTo: t.Alias, To: e.Outside, Notify: r.Notify &^ delivery.NotifySuccess}
	if f.Sender, err = l.Aliases.Rewrite(ctx, job.Sender, r.Domain.Name); err != nil {
		return l.unknown(r, err), nil, nil
	}
	// RFC 3461 §5.2.7: with one member, the notification of success is left to whoever
	// takes it from here; with several it is told here that the alias was expanded.
	if len(e.Inside) == 0 && len(e.Outside) == 1 {
		rr.DSNRelayed, f.Notify, f.ORcpt = true, r.Notify, r.ORcpt
	} else if r.Notify == delivery.NotifySuccess {
		f.Notify = delivery.NotifyNever
	}
	return rr, copies, append(forwards, f)
}

// giveBack passes a notification on to the sender of a message that was passed on here.
func giveBack(r delivery.Recipient, t account.Target) (delivery.RecipientResult, []delivery.Forward) {
	return passedOn("passed on to the sender of the message that it is about"),
		[]delivery.Forward{{Recipient: r.ID, To: []string{t.Return}, Notify: delivery.NotifyNever}}
}

// deliveredTo says whether a message has been through an alias (INB-8).
func deliveredTo(c delivery.Content, alias string) (bool, error) {
	r, err := c.Open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	h, err := message.ReadHeader(bufio.NewReader(r), 0)
	if err != nil && len(h.Fields) == 0 {
		return false, nil // the door has taken it: it has no fields that count
	}
	return h.WentTo(alias), nil
}
