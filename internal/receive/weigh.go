package receive

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"waxwing/internal/account"
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

// weighed has the message decided about, and does as was decided. It is refused where all who read it
// refuse it: there is one answer for them all.
func (b *MX) weighed(ctx context.Context, f *Facts) Decision {
	msg, err := f.Whole()
	if err != nil {
		return refused(localError(err))
	}
	all, accounts, err := b.readers(ctx, f)
	if err != nil {
		return refused(localError(err))
	}
	weighed, err := b.Junk.Weigh(ctx, evidence.Message{Facts: f.verified, Header: f.Header(), Whole: msg, Accounts: accounts, Others: slices.ContainsFunc(all, func(r reader) bool { return r.others }),
		Listed: f.lists.Result(ctx), Milters: f.screened, Required: f.required(all), ID: delivery.ID(f.Envelope.ID).String(), Sender: f.Envelope.Sender, To: addresses(f.Envelope.Recipients)})
	if later := (*evidence.PutOff)(nil); errors.As(err, &later) {
		return refused(refuse(451, 7, 1, "%s, try again later", later.Text))
	}
	if err != nil {
		return refused(localError(err))
	}
	for i := range f.Envelope.Recipients {
		if err := b.note(f, &f.Envelope.Recipients[i], all[i], weighed.Decisions); err != nil {
			return refused(localError(err))
		}
	}
	if r := refusal(all, weighed.Decisions); r != nil {
		b.log().Info("message refused as junk", "message", delivery.ID(f.Envelope.ID).String(), "from", f.Envelope.Sender, "text", r.Text(), "peer", f.Envelope.Peer)
		return refused(r)
	}
	out := Decision{Taken: func() { b.Junk.Taken(weighed) }}
	if f.Envelope.Quarantine.Word != "" {
		out.Taken = nil // nobody has heard of a message that is held
	}
	if d := weighed.Decisions[""]; d.Action == junk.Junk && len(accounts) == 0 {
		kept, err := json.Marshal(d)
		if err != nil {
			return refused(localError(err))
		}
		out.Fields = junk.Field(kept) // it travels on, and whoever has it next may want to know
	}
	return out
}

// note keeps with a recipient what was decided for it.
func (b *MX) note(f *Facts, r *delivery.Recipient, who reader, decisions map[string]junk.Decision) error {
	id := delivery.ID(f.Envelope.ID).String()
	switch {
	case who.alias:
		members, aside := junk.Members{}, 0
		for _, a := range who.accounts {
			if members[a] = decisions[a]; members[a].Action != junk.Inbox {
				aside++
			}
		}
		if who.others {
			members[""] = decisions[""]
		}
		kept, err := members.Kept()
		if err != nil {
			return err
		}
		r.Evidence = kept
		b.log().Info("message weighed for the members of an alias", "message", id, "recipient", r.Address, "accounts", len(who.accounts), "junk", aside)
	case len(who.accounts) > 0:
		d := decisions[who.accounts[0]]
		kept, err := json.Marshal(d)
		if err != nil {
			return err
		}
		r.Junk, r.Evidence = d.Action != junk.Inbox, string(kept)
		b.log().Info("message weighed", "message", id, "account", who.accounts[0], "action", d.Action.String(), "sum", d.Sum, "reasons", d.Reasons())
	default:
		d := decisions[""]
		b.log().Info("message weighed", "message", id, "recipient", r.Address, "action", d.Action.String(), "sum", d.Sum, "reasons", d.Reasons())
	}
	return nil
}

// required is why the message goes into Junk of those who do not trust who sent it. What an account trusts
// it trusts also where the message comes to it by way of an alias as well.
func (f *Facts) required(all []reader) map[string]reason.Word {
	out := map[string]reason.Word{}
	for i, r := range f.Envelope.Recipients {
		if r.Junk && all[i].others {
			out[""] = f.aside
		}
		for _, a := range all[i].accounts {
			if r.Junk {
				out[a] = f.aside
			}
		}
	}
	for i, r := range f.Envelope.Recipients {
		if !r.Junk && !all[i].alias && len(all[i].accounts) > 0 {
			delete(out, all[i].accounts[0])
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

// reader is who reads what comes for one recipient.
type reader struct {
	accounts []string // each is decided for by itself
	others   bool     // and some who have no account here, or for whom none is decided by itself
	alias    bool
}

// maxMembers is how many accounts of a message may be members of aliases and yet be decided for by themselves: each
// costs a look at what it has taught.
const maxMembers = 100

// readers are who reads the message, for each recipient, and each of their accounts once.
func (b *MX) readers(ctx context.Context, f *Facts) (all []reader, accounts []string, err error) {
	seen := map[string]bool{}
	all = make([]reader, len(f.Envelope.Recipients))
	for i, r := range f.Envelope.Recipients {
		t := b.owner(ctx, r)
		members := []account.Target{t}
		if t.Alias != "" {
			e, err := b.Accounts.Expand(ctx, t.Alias, account.Poster{Account: f.Conn.Identity(), Address: f.Envelope.Sender})
			if err != nil {
				return nil, nil, err
			}
			members, all[i].alias, all[i].others = e.Inside, true, len(e.Outside) > 0
		}
		for _, m := range members {
			switch {
			case m.Account == "", all[i].alias && (m.Transport != "" || !seen[m.Account] && len(accounts) >= maxMembers):
				all[i].others = true
				continue
			case all[i].alias && m.Refused:
				continue
			case !seen[m.Account]:
				seen[m.Account] = true
				accounts = append(accounts, m.Account)
			}
			all[i].accounts = append(all[i].accounts, m.Account)
		}
		all[i].others = all[i].others || len(all[i].accounts) == 0
	}
	return all, accounts, nil
}

// owner is who has a recipient's address; nobody where it is elsewhere, or has gone since RCPT: the queue finds out.
func (b *MX) owner(ctx context.Context, r delivery.Recipient) account.Target {
	addr, err := smtp.ParseReceived(r.Address, true)
	if err != nil || r.Domain.IsLiteral() {
		return account.Target{}
	}
	t, err := b.Accounts.Resolve(ctx, addr.Local, r.Domain.Name)
	if err != nil {
		return account.Target{}
	}
	return t
}

// refusal is the reply to a message that all who would read it refuse; nil: one at least does not.
func refusal(all []reader, decisions map[string]junk.Decision) *smtp.Reply {
	for _, r := range all {
		if r.others && decisions[""].Action != junk.Reject || slices.ContainsFunc(r.accounts, func(a string) bool { return decisions[a].Action != junk.Reject }) {
			return nil
		}
	}
	if len(all) == 0 {
		return nil
	}
	first := ""
	if len(all[0].accounts) > 0 {
		first = all[0].accounts[0]
	}
	return refuse(550, 7, 1, "this message is refused as junk: %s", decisions[first].Reasons())
}
