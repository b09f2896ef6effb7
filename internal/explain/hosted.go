package explain

import (
	"context"
	"errors"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
)

// Hosted is the answer about a domain whose mail ends here.
type Hosted struct {
	Domain  string `json:"domain"`
	Hosted  bool   `json:"hosted"`
	Summary string `json:"summary"`
	Account string `json:"account,omitempty"` // of an address: whose it is
	Mailbox string `json:"mailbox,omitempty"`
}

// AskHosted says where mail to a domain of ours goes, or to an address asked there whose
// local part is local; Hosted is false for others' domains.
func AskHosted(ctx context.Context, a *accounts.Store, d delivery.RecipientDomain, local, asked string) (Hosted, error) {
	h := Hosted{Domain: d.String()}
	if d.IsLiteral() {
		return h, nil
	}
	hosted, err := a.IsHosted(ctx, d.Name)
	if err != nil || !hosted {
		return h, err
	}
	h.Hosted = true
	if local == "" {
		h.Summary = fmt.Sprintf("%s is hosted here: its mail goes into mailboxes of this server, and no TLS policy is asked for. How others find it: \"waxwing dns check %s\".", d, d)
		return h, nil
	}
	t, err := a.Resolve(ctx, local, d.Name)
	switch {
	case errors.Is(err, accounts.ErrNoSuchAddress):
		h.Summary = fmt.Sprintf("%s is hosted here, but nobody has the address %s: the mail would be refused. \"waxwing address add\" makes it.", d, asked)
	case err != nil:
		return h, err
	case t.Alias != "":
		h.Summary = fmt.Sprintf("%s is hosted here: mail to %s goes to the members of the alias %s (\"waxwing alias list\").", d, asked, t.Alias)
	case t.Return != "":
		h.Summary = fmt.Sprintf("%s is hosted here: %s leads notifications back to %s, of whom a message was passed on.", d, asked, t.Return)
	default:
		h.Account, h.Mailbox = t.Account, t.Mailbox
		h.Summary = fmt.Sprintf("%s is hosted here: mail to %s goes into the mailbox %s of the account %s.", d, asked, t.Mailbox, t.Account)
	}
	return h, nil
}

// AccountOf is the account that has an address; "" where none has.
func AccountOf(ctx context.Context, a *accounts.Store, local string, domain dns.Name) (string, error) {
	if domain.IsZero() {
		return "", nil
	}
	t, err := a.Resolve(ctx, local, domain)
	if errors.Is(err, accounts.ErrNoSuchAddress) || errors.Is(err, accounts.ErrNotHosted) {
		return "", nil
	}
	return t.Account, err
}
