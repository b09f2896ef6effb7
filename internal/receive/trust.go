package receive

import (
	"context"
	"errors"
	"slices"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/disposition"
	"waxwing/internal/verify"
	"waxwing/smtp"
)

// The lists of accounts (AUT-3). A message has one answer for all its recipients: where one of
// them trusts who sent it, it is taken, and goes into Junk for those who do not. Where it would
// leave this server for one of those, a message to be refused is refused: nobody is to get it by
// way of an alias, say, for the sake of somebody else.

// lists says whether a name that is authenticated is on a list, by itself or a parent.
func lists(all []dns.Name, d dns.Name) bool {
	return slices.ContainsFunc(all, func(listed dns.Name) bool { return d == listed || d.Under(listed) })
}

// byAccount makes the decision again where accounts trust who sent the message, and says for
// which recipients it holds, by their place in the envelope; nil where it changes nothing.
func (b *MX) byAccount(ctx context.Context, f *Facts, facts *verify.Facts) (map[int]bool, error) {
	own := facts.Decision
	if own.Action == disposition.Deliver || facts.Listed != disposition.Untrusted || facts.Author != "" {
		return nil, nil
	}
	trusting, by := map[int]bool{}, []dns.Name(nil)
	for i, r := range f.Envelope.Recipients {
		names, here, err := b.trustedBy(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, d := range facts.Authenticated() {
			if lists(names, d) {
				trusting[i] = true
				if !slices.Contains(by, d) {
					by = append(by, d)
				}
			}
		}
		if !here && !trusting[i] && own.Action == disposition.Reject {
			return nil, nil
		}
	}
	if len(trusting) == 0 || own.Action == disposition.Defer && len(trusting) < len(f.Envelope.Recipients) {
		return nil, nil
	}
	facts.Listed, facts.Forwarders = disposition.TrustedByAccount, by
	d, err := b.decide(ctx, facts)
	if err != nil || d.Action != disposition.Deliver {
		facts.Listed, facts.Forwarders = disposition.Untrusted, nil
		return nil, err
	}
	facts.Decision = d
	return trusting, nil
}

// trustedBy is the list of the account that has a recipient's mail, none of an alias; and whether
// that has its mailboxes here, with one for junk.
func (b *MX) trustedBy(ctx context.Context, r delivery.Recipient) (names []dns.Name, here bool, err error) {
	to, err := smtp.ParseReceived(r.Address, true)
	if err != nil || r.Domain.IsLiteral() {
		return nil, false, nil // nobody's
	}
	t, err := b.Accounts.Resolve(ctx, to.Local, r.Domain.Name)
	if errors.Is(err, accounts.ErrNoSuchAddress) || errors.Is(err, accounts.ErrNotHosted) || err == nil && t.Account == "" {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	names, err = b.Accounts.Trusted(ctx, t.Account)
	return names, t.Transport == "", err
}
