package sifting

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/allowance"
	"waxwing/internal/autoreply"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/scripts"
	"waxwing/internal/signing"
	"waxwing/message"
	"waxwing/sieve"
)

// obey carries a decision out, as far as that is done before the recipient is settled.
func (p *pass) obey(ctx context.Context, d decision) (*delivery.Sifted, error) {
	out := &delivery.Sifted{Copies: d.copies, Memories: d.memories, Refused: d.refused}
	for _, r := range d.redirects {
		why, err := p.redirect(ctx, out, r)
		if err != nil {
			return nil, err
		}
		if why != "" {
			p.Log.Warn("a script's redirect was not obeyed, the message is kept", "account", p.copy.Account, "message", delivery.ID(p.job.ID), "to", r.to, "word", why)
			d.redirects = slices.DeleteFunc(slices.Clone(d.redirects), func(o redirect) bool { return o.to == r.to })
			d.copies = out.Copies
			d.keep(p.situation(ctx))
			d.stays = why
			out.Copies = d.copies
		}
	}
	for _, n := range d.notices {
		p.notify(ctx, out, n)
	}
	if d.vacation != nil {
		p.vacation(ctx, out, d.vacation)
	}
	out.Text = "the account's script: " + d.words()
	if d.alone {
		out.Text = "the account has no script, and a vacation response"
	}
	return out, p.err
}

// redirect sends the message on (SIV-3), or says why not.
func (p *pass) redirect(ctx context.Context, out *delivery.Sifted, r redirect) (why string, err error) {
	to, domain, err := delivery.ParseAddress(r.to)
	if err != nil {
		return "no address", nil
	}
	hosted := false
	if !domain.IsLiteral() {
		if hosted, err = p.Accounts.IsHosted(ctx, domain.Name); err != nil {
			return "", err
		}
	}
	if why, err := p.maySend(ctx, hosted); why != "" || err != nil {
		return why, err
	}
	_, mine, err := delivery.ParseAddress(p.copy.Address)
	if err != nil {
		return "no address of ours", nil
	}
	f := delivery.Forward{Recipient: p.copy.Recipient, DeliveredTo: p.copy.Address, To: []string{to.String()}, Header: r.header, Replaced: r.replaced, Notify: p.failuresOf()}
	if f.Sender, err = p.Accounts.Rewrite(ctx, p.job.Sender, mine.Name); err != nil {
		return "", err
	}
	out.Forwards = append(out.Forwards, f)
	return "", nil
}

// failuresOf is what the sender wants to hear of a redirected message: not that it has arrived, which
// it has heard from here.
func (p *pass) failuresOf() delivery.Notify {
	for _, r := range p.job.Recipients {
		if r.ID == p.copy.Recipient {
			if r.Notify == delivery.NotifySuccess {
				return delivery.NotifyNever
			}
			return r.Notify &^ delivery.NotifySuccess
		}
	}
	return 0
}

// maySend says why the account may not send one message more; "" is that it may, and it is counted
// (SIV-3). A message that is only looked at on its way in is not counted: it is looked at again.
func (p *pass) maySend(ctx context.Context, hosted bool) (string, error) {
	access, err := p.Accounts.Access(ctx, p.copy.Account)
	if err != nil {
		return "", err
	}
	if word := access.MaySend(hosted); word != "" {
		return string(word), nil
	}
	if p.job.Lease == nil {
		return "", nil
	}
	_, err = p.Allowance.Spend(ctx, p.copy.Account, 1)
	if over := (*allowance.Exceeded)(nil); errors.As(err, &over) {
		return "the account has sent all that it may today", nil
	}
	return "", err
}

// mine says whether the account has an address; also names others that its script calls its own.
func (p *pass) mine(ctx context.Context, also []string) func(string) bool {
	return func(address string) bool {
		if slices.ContainsFunc(also, func(a string) bool { return strings.EqualFold(a, address) }) {
			return true
		}
		is, err := p.Accounts.MaySendAs(ctx, p.copy.Account, address)
		p.note(err)
		return is
	}
}

// vacation answers, unless RFC 3834 or RFC 5230 say no. It returns why there is no answer.
func (p *pass) vacation(ctx context.Context, out *delivery.Sifted, v *sieve.Vacation) autoreply.Why {
	why := autoreply.Decide(autoreply.Incoming{Sender: p.job.Sender, Header: p.mail.header, Junk: p.junk,
		Notices: p.job.Purpose != delivery.Mail, Mine: p.mine(ctx, v.Addresses)})
	if why != autoreply.Answer {
		return why
	}
	key := scripts.Key(scripts.Answered, v.Handle, strings.ToLower(p.job.Sender))
	if had, err := p.Scripts.Remembers(ctx, p.copy.Account, key); had || err != nil {
		p.note(err)
		return "it was answered before"
	}
	sender, domain, err := delivery.ParseAddress(p.job.Sender)
	if err != nil {
		return autoreply.NoSender
	}
	hosted := false
	if !domain.IsLiteral() {
		hosted, err = p.Accounts.IsHosted(ctx, domain.Name)
		p.note(err)
	}
	if word, err := p.maySend(ctx, hosted); word != "" || err != nil {
		p.note(err)
		return autoreply.Why(word)
	}
	m := autoreply.Mail{From: p.from(ctx, v.From), To: sender.String(), Subject: autoreply.Subject(v.Subject, p.mail.header.Get("Subject")),
		Text: v.Reason, MIME: v.MIME, Submitted: "auto-replied"}
	m.InReplyTo, m.References = autoreply.References(p.mail.header)
	p.send(ctx, out, m, sender.String())
	p.once(out, key, v.Period)
	return autoreply.Answer
}

// from is who a message of the account's is from: what the script says, if that is the account's
// (RFC 5230 §4.4), or the address at which the message came, or one of those in its To and Cc.
func (p *pass) from(ctx context.Context, wanted string) string {
	mine := p.mine(ctx, nil)
	if list, err := message.ParseAddressList(wanted); err == nil && len(list) == 1 && mine(list[0].Addr()) {
		return list[0].String()
	}
	if a := autoreply.Addressed(p.mail.header, mine); a != "" {
		return a
	}
	return p.copy.Address
}

// notify tells somebody of the message (RFC 5436).
func (p *pass) notify(ctx context.Context, out *delivery.Sifted, n sieve.Notify) {
	if p.junk || p.job.Purpose != delivery.Mail || autoreply.Notified(p.mail.header) {
		return
	}
	to, headers := mailto(n.Method)
	address, domain, err := delivery.ParseAddress(to)
	if err != nil {
		return
	}
	hosted := false
	if !domain.IsLiteral() {
		hosted, err = p.Accounts.IsHosted(ctx, domain.Name)
		p.note(err)
	}
	if word, err := p.maySend(ctx, hosted); word != "" || err != nil {
		p.note(err)
		return
	}
	m := autoreply.Mail{From: p.from(ctx, n.From), To: address.String(), Subject: foreign.Clip(n.Message, 200), Submitted: "auto-notified"}
	subject := strings.TrimSpace(message.DecodeWords(p.mail.header.Get("Subject")))
	author := foreign.Clip(message.DecodeWords(p.mail.header.Get("From")), 200)
	m.Text = fmt.Sprintf("From: %s\nSubject: %s\n", author, foreign.Clip(subject, 200))
	for _, h := range headers {
		switch {
		case h.Name == "subject" && n.Message == "":
			m.Subject = foreign.Clip(h.Value, 200)
		case h.Name == "body":
			m.Text = foreign.Clip(h.Value, 4000) + "\n\n" + m.Text
		case allowed(h.Name) && h.Name != "subject":
			m.More = append(m.More, message.Pair{Name: h.Name, Value: foreign.Clip(h.Value, 200)})
		}
	}
	if m.Subject == "" {
		m.Subject = foreign.Clip("New mail: "+subject, 200)
	}
	if n.Importance == "1" {
		m.More = append(m.More, message.Pair{Name: "Importance", Value: "high"})
	}
	p.send(ctx, out, m, address.String())
}

// send adds a message of our own, with the null sender: nobody answers or returns it.
func (p *pass) send(ctx context.Context, out *delivery.Sifted, m autoreply.Mail, to string) {
	m.Now, m.Hostname = p.now, p.Hostname
	_, _ = rand.Read(m.Seed[:]) // it never fails
	text := autoreply.Compose(m)
	if list, err := message.ParseAddressList(m.From); err == nil && len(list) == 1 {
		if _, d, err := delivery.ParseAddress(list[0].Addr()); err == nil && !d.IsLiteral() {
			fields, err := p.Keys.Sign(ctx, d.Name, text, nil)
			if err != nil && !errors.Is(err, signing.ErrNoKeys) {
				p.Log.Warn("an account's answer goes unsigned", "account", p.copy.Account, "message", delivery.ID(p.job.ID), "error", err)
			}
			text = append(fields, text...)
		}
	}
	out.Forwards = append(out.Forwards, delivery.Forward{Recipient: p.copy.Recipient, To: []string{to}, Notify: delivery.NotifyNever, Text: text})
}

// once keeps the last message of our own from being sent again for a while, also for one that comes at the same moment.
func (p *pass) once(out *delivery.Sifted, key string, period time.Duration) {
	out.Forwards[len(out.Forwards)-1].Once = key
	out.Memories = append(out.Memories, delivery.Memory{Recipient: p.copy.Recipient, Account: p.copy.Account, Key: key, Until: p.now.Add(period), Once: p.now})
}

// failed leaves the message where it was to be, and tells the account once a day (SIV-3).
func (p *pass) failed(ctx context.Context, script string, fault error) (*delivery.Sifted, error) {
	out := &delivery.Sifted{Copies: []delivery.Copy{p.copy}, Text: "the account's script failed: " + foreign.Clip(fault.Error(), 200)}
	p.Log.Info("a script failed, the message is kept", "account", p.copy.Account, "message", delivery.ID(p.job.ID), "script", script, "error", fault)
	key := scripts.Key(scripts.Told, script)
	told, err := p.Scripts.Remembers(ctx, p.copy.Account, key)
	if told || err != nil {
		return out, err
	}
	to := p.copy.Address
	if is, err := p.Accounts.MaySendAs(ctx, p.copy.Account, to); err != nil || !is {
		return out, err // it came by an alias: others would get the notice
	}
	text := fmt.Sprintf("Your mail filter, the Sieve script %q, failed over a message:\n\n    %v\n\nThe message was kept where it would be without a filter:\n\n    From: %s\n    Subject: %s\n\n"+
		"You are told this once a day; until the script is mended, messages that make it fail are kept.\n", script, fault,
		foreign.Clip(message.DecodeWords(p.mail.header.Get("From")), 200), foreign.Clip(message.DecodeWords(p.mail.header.Get("Subject")), 200))
	p.send(ctx, out, autoreply.Mail{From: message.EncodePhrase("Mail filter") + " <" + to + ">", To: to, Subject: "Your mail filter failed", Text: text, Submitted: "auto-generated"}, to)
	p.once(out, key, 24*time.Hour)
	return out, nil
}
