package receive

import (
	"context"
	"errors"
	"slices"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/message"
	"waxwing/smtp"
)

// posting is the check of who may write to aliases, and to the addresses that lead
// notifications back to senders (ACC-1).
func (d *Door) posting() Check {
	return Check{Recipient: func(ctx context.Context, f *Facts) *smtp.Reply { return d.mayPost(ctx, f, f.Recipient) }, Message: d.comesBack}
}

// mayPost refuses a recipient whom the sender may not write to. By the envelope sender:
// whether it is them is known when the whole message is here. It also refuses an alias that
// leads to nobody, while there is somebody to hear it.
func (d *Door) mayPost(ctx context.Context, f *Facts, r delivery.Recipient) *smtp.Reply {
	t, a, err := d.admission(ctx, f, r)
	switch {
	case err != nil:
		return localError(err)
	case t.Return != "" && !f.Mail.Null:
		return refuse(550, 7, 1, "this address takes notifications alone, with the null reverse-path")
	case a == account.AdmitNobody:
		return refuse(550, 7, 1, "%s may not write to this address", bracketed(f.Mail.Sender()))
	case a == account.AdmitClosed:
		return refuse(550, 2, 4, "nobody is behind this alias any more")
	}
	return nil
}

// comesBack refuses a message that has been through an alias it is for (INB-8). It is not left
// to the queue: anybody can write the field, and whose address stands in MAIL would get the bounce.
func (d *Door) comesBack(ctx context.Context, f *Facts) Decision {
	if !f.Header().Has(message.DeliveredTo) {
		return Decision{}
	}
	for _, r := range f.Envelope.Recipients {
		t, _, err := d.admission(ctx, f, r)
		if err != nil {
			return refused(localError(err))
		}
		if t.Alias != "" && f.Header().WentTo(t.Alias) {
			return refused(refuse(550, 4, 6, "mail loop: the message has been through the alias %s already", t.Alias))
		}
	}
	return Decision{}
}

func bracketed(s string) string { return "<" + s + ">" }

// admission finds out what a local recipient is, and whether the sender may write to it.
func (d *Door) admission(ctx context.Context, f *Facts, r delivery.Recipient) (account.Target, account.Admission, error) {
	if !r.Local || r.Domain.IsLiteral() {
		return account.Target{}, account.AdmitAnyone, nil
	}
	to, err := smtp.ParseReceived(r.Address, true)
	if err != nil {
		return account.Target{}, account.AdmitAnyone, nil // no alias
	}
	t, err := d.Accounts.Resolve(ctx, to.Local, r.Domain.Name)
	if errors.Is(err, accounts.ErrNoSuchAddress) || errors.Is(err, accounts.ErrNotHosted) {
		return t, account.AdmitAnyone, nil // it was removed meanwhile: the queue finds out
	}
	if err != nil || t.Alias == "" {
		return t, account.AdmitAnyone, err
	}
	a, err := d.Accounts.Admit(ctx, t.Alias, account.Poster{Account: f.Conn.Identity(), Address: f.Mail.Sender()})
	return t, a, err
}

// isPoster refuses a message to an alias that only some may write to, if it is not shown that
// the sender is the one it names: anybody can write a member's address.
func (b *MX) isPoster(ctx context.Context, f *Facts) Decision {
	if f.verified == nil {
		return Decision{} // the configuration has nobody verified
	}
	for _, r := range f.Envelope.Recipients {
		if reply := b.shown(ctx, f, r); reply != nil {
			return refused(reply)
		}
	}
	return Decision{}
}

func (b *MX) shown(ctx context.Context, f *Facts, r delivery.Recipient) *smtp.Reply {
	_, a, err := b.admission(ctx, f, r)
	switch {
	case err != nil:
		return localError(err)
	case a == account.AdmitKnown && f.verified != nil && !vouched(f.verified.Authenticated(), f.Mail.From.Domain):
		return refuse(550, 7, 1, "only some may write to %s, and nothing shows that this message is of %s: no SPF pass and no DKIM signature of that domain", r.Address, bracketed(f.Mail.Sender()))
	}
	return nil
}

// mayRead is mayPost and shown of a report address's reader, for mail that is no report.
func (b *MX) mayRead(ctx context.Context, f *Facts, r delivery.Recipient) *smtp.Reply {
	if reply := b.mayPost(ctx, f, r); reply != nil {
		return reply
	}
	return b.shown(ctx, f, r)
}

// vouched says whether one of the domains that are authenticated, or a parent, is the sender's.
func vouched(authenticated []dns.Name, domain string) bool {
	d, err := dns.ParseName(domain)
	return err == nil && slices.ContainsFunc(authenticated, func(a dns.Name) bool { return a == d || d.Under(a) })
}
