package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/server"
)

// explainTimeout bounds the looking up: nobody waits longer for an answer at a
// terminal, and what did not answer by then is part of the answer.
const (
	explainTimeout = 30 * time.Second
	connectTimeout = 2 * time.Minute
)

// explaining is a call of "waxwing explain".
type explaining struct {
	storeFlags
	asked string // address or domain
	from  string
	req   explain.Request
}

// runExplain says what would happen to a mail. It uses the store for what is
// cached of MTA-STS and was seen before, and needs no running server.
func runExplain(ctx context.Context, e env, args []string) error {
	x, err := parseExplain(e, args)
	if err != nil {
		return err
	}
	return withStore(ctx, e, x.storeFlags, func(o *opened) error {
		d := x.req.Domain
		if !d.IsLiteral() {
			hosted, err := o.accounts.IsHosted(ctx, d.Name)
			if err != nil {
				return err
			}
			if hosted {
				return explainHosted(ctx, e, o, x.asked, d, x.json)
			}
		}
		room, err := server.Explainer(o.cfg, o.store)
		if err != nil {
			return err
		}
		if err := x.sender(ctx, o); err != nil {
			return err
		}
		limit := explainTimeout
		if x.req.Connect {
			limit = connectTimeout
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		answer := room.Domain(ctx, x.req)
		if x.json {
			return printJSON(e.stdout, answer)
		}
		answer.Print(e.stdout)
		return nil
	})
}

func parseExplain(e env, args []string) (*explaining, error) {
	x := &explaining{}
	fs := flags(e, "explain")
	x.storeFlags.addJSON(fs, "")
	need := fs.String("need", "follow-policy", "`what` the sender asks of TLS: follow-policy, require-tls, tls-optional")
	fs.BoolVar(&x.req.Connect, "connect", false, "connect to every host, look at its certificate and extensions, and send nothing")
	fs.StringVar(&x.from, "from", "", "explain a mail from this `address`, where routes look at that")
	rest, err := parse(fs, args)
	if err != nil {
		return nil, err
	}
	if err := wants("explain", rest, "address or domain"); err != nil {
		return nil, err
	}
	x.asked = rest[0]
	if x.req.Need, err = delivery.ParseTLSNeed(*need); err != nil {
		return nil, usagef("-need: %v", err)
	}
	if x.req.Domain, err = delivery.ParseRecipientDomain(x.asked[strings.LastIndexByte(x.asked, '@')+1:]); err != nil {
		return nil, usagef("%v", err)
	}
	if x.from != "" {
		if x.req.Sender, err = dns.ParseName(x.from[strings.LastIndexByte(x.from, '@')+1:]); err != nil {
			return nil, usagef("-from: %v", err)
		}
	}
	return x, nil
}

// sender finds the account that has the address of -from, as far as there is one.
func (x *explaining) sender(ctx context.Context, o *opened) error {
	at := strings.LastIndexByte(x.from, '@')
	if at < 0 {
		return nil
	}
	t, err := o.accounts.Resolve(ctx, x.from[:at], x.req.Sender)
	if errors.Is(err, accounts.ErrNoSuchAddress) || errors.Is(err, accounts.ErrNotHosted) {
		return nil
	}
	x.req.Account = t.Account
	return err
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
