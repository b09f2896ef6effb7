package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/server"
)

// explainTimeout bounds the looking up: nobody waits longer for an answer at a
// terminal, and what did not answer by then is part of the answer.
const explainTimeout = 30 * time.Second

// runExplain says what would happen to a mail. It uses the store for what is
// cached of MTA-STS, and needs no running server.
func runExplain(ctx context.Context, e env, args []string) error {
	var f storeFlags
	fs := flags(e, "explain")
	f.add(fs)
	needWord := fs.String("need", "follow-policy", "what the sender asks of TLS: follow-policy, require-tls, tls-optional")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("it needs one address or domain")
	}
	need, err := delivery.ParseTLSNeed(*needWord)
	if err != nil {
		return usagef("-need: %v", err)
	}
	d, err := delivery.ParseRecipientDomain(rest[0][strings.LastIndexByte(rest[0], '@')+1:])
	if err != nil {
		return usagef("%v", err)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		if hosted, err := o.accounts.IsHosted(ctx, d.Name); err != nil {
			return err
		} else if hosted && !d.IsLiteral() {
			return explainHosted(ctx, e, o, rest[0], d, f.json)
		}
		ctx, cancel := context.WithTimeout(ctx, explainTimeout)
		defer cancel()
		direct, err := server.Direct(ctx, o.cfg, o.store)
		if err != nil {
			return err
		}
		x := explain.Domain(ctx, direct, d, need)
		if f.json {
			return printJSON(e.stdout, x)
		}
		x.Print(e.stdout)
		return nil
	})
}

// hosted is what -json prints of a domain whose mail ends here.
type hosted struct {
	Domain  string `json:"domain"`
	Hosted  bool   `json:"hosted"`
	Summary string `json:"summary"`
	Account string `json:"account,omitempty"` // of an address: whose it is
	Mailbox string `json:"mailbox,omitempty"`
}

// explainHosted says where mail to an address, or a whole domain, of ours goes.
func explainHosted(ctx context.Context, e env, o *opened, asked string, d delivery.RecipientDomain, asJSON bool) error {
	h := hosted{Domain: d.String(), Hosted: true,
		Summary: fmt.Sprintf("%s is hosted here: its mail goes into mailboxes of this server, and no TLS policy is asked for.", d)}
	if at := strings.LastIndexByte(asked, '@'); at >= 0 {
		t, err := o.accounts.Resolve(ctx, asked[:at], d.Name)
		switch {
		case errors.Is(err, accounts.ErrNoSuchAddress):
			h.Summary = fmt.Sprintf("%s is hosted here, but nobody has the address %s: the mail would be refused. \"waxwing address add\" makes it.", d, asked)
		case err != nil:
			return err
		default:
			h.Account, h.Mailbox = t.Account, t.Mailbox
			h.Summary = fmt.Sprintf("%s is hosted here: mail to %s goes into the mailbox %s of the account %s.", d, asked, t.Mailbox, t.Account)
		}
	}
	if asJSON {
		return printJSON(e.stdout, h)
	}
	_, err := fmt.Fprintln(e.stdout, h.Summary)
	return err
}
