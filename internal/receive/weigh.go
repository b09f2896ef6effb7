package receive

import (
	"context"
	"encoding/json"
	"errors"

	"waxwing/internal/delivery"
	"waxwing/internal/evidence"
	"waxwing/internal/junk"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// weigh is the check that decides for each account what becomes of a message (JNK-1).
func (b *MX) weigh() Check {
	if b.Auth == nil || b.Junk == nil {
		return Check{}
	}
	return Check{Sender: b.beginWeighing, Message: b.weighed}
}

func (b *MX) beginWeighing(ctx context.Context, f *Facts) *smtp.Reply {
	f.lists = b.Junk.Lists.Begin(ctx, f.Conn.Remote().Addr())
	return nil
}

// weighed has the message decided about, and does as was decided. It is refused where all its
// accounts refuse it: there is one answer for them all.
func (b *MX) weighed(ctx context.Context, f *Facts) Decision {
	msg, err := f.Whole()
	if err != nil {
		return refused(localError(err))
	}
	owners, accounts := b.owners(ctx, f.Envelope.Recipients)
	weighed, err := b.Junk.Weigh(ctx, evidence.Message{Facts: f.verified, Header: f.Header(), Whole: msg, Accounts: accounts, Listed: f.lists.Result(ctx), Milters: f.screened, Required: f.required(owners),
		ID: delivery.ID(f.Envelope.ID).String(), Sender: f.Envelope.Sender, To: addresses(f.Envelope.Recipients)})
	if later := (*evidence.PutOff)(nil); errors.As(err, &later) {
		return refused(refuse(451, 7, 1, "%s, try again later", later.Text))
	}
	if err != nil {
		return refused(localError(err))
	}
	decisions := weighed.Decisions
	for i := range f.Envelope.Recipients {
		d, ok := decisions[owners[i]]
		if !ok {
			continue
		}
		r := &f.Envelope.Recipients[i]
		r.Junk = d.Action != junk.Inbox
		kept, err := json.Marshal(d)
		if err != nil {
			return refused(localError(err))
		}
		r.Evidence = string(kept)
		b.log().Info("message weighed", "message", delivery.ID(f.Envelope.ID).String(), "account", owners[i], "action", d.Action.String(), "sum", d.Sum, "reasons", d.Reasons())
	}
	if r := refusal(owners, decisions); r != nil {
		b.log().Info("message refused as junk", "message", delivery.ID(f.Envelope.ID).String(), "from", f.Envelope.Sender, "text", r.Text(), "peer", f.Envelope.Peer)
		return refused(r)
	}
	if f.Envelope.Quarantine.Word != "" {
		return Decision{} // nobody has heard of a message that is held
	}
	return Decision{Taken: func() { b.Junk.Taken(weighed) }}
}

// required is why the message goes into Junk of each account that does not trust who sent it.
func (f *Facts) required(owners []string) map[string]reason.Word {
	out := map[string]reason.Word{}
	for i, r := range f.Envelope.Recipients {
		if r.Junk {
			out[owners[i]] = f.aside
		}
	}
	return out
}

func addresses(recipients []delivery.Recipient) (all []string) {
	for _, r := range recipients {
		all = append(all, r.Address)
	}
	return all
}

// owners are the accounts of recipients, one each, "" for mail that is for no mailbox here; and
// each account once.
func (b *MX) owners(ctx context.Context, recipients []delivery.Recipient) (of, accounts []string) {
	seen := map[string]bool{"": true}
	of = make([]string, len(recipients))
	for i, r := range recipients {
		addr, err := smtp.ParseReceived(r.Address, true)
		if err != nil || r.Domain.IsLiteral() {
			continue
		}
		target, err := b.Accounts.Resolve(ctx, addr.Local, r.Domain.Name)
		if err != nil {
			continue // it has gone since RCPT: the queue finds out
		}
		if of[i] = target.Account; !seen[of[i]] {
			seen[of[i]] = true
			accounts = append(accounts, of[i])
		}
	}
	return of, accounts
}

// refusal is the reply to a message that the owners of all its recipients refuse; nil: one at
// least does not, or is elsewhere.
func refusal(owners []string, decisions map[string]junk.Decision) *smtp.Reply {
	for _, a := range owners {
		if decisions[a].Action != junk.Reject {
			return nil
		}
	}
	if len(owners) == 0 {
		return nil
	}
	return refuse(550, 7, 1, "this message is refused as junk: %s", decisions[owners[0]].Reasons())
}
