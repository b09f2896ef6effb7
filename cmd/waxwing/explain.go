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
const (
	explainTimeout = 30 * time.Second
	connectTimeout = 2 * time.Minute
)

// explaining is a call of "waxwing explain".
type explaining struct {
	storeFlags
	asked  string // address or domain
	local  string // of the address; "" of a domain
	from   string
	sender string // local part of from
	req    explain.Request
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
				return x.hosted(ctx, e, o)
			}
		}
		room, err := server.Explainer(o.options, o.store)
		if err != nil {
			return err
		}
		if err := x.account(ctx, o); err != nil {
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
		e, end := e.prose()
		answer.Print(e.stdout)
		return end()
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
	if err := x.who(rest[0]); err != nil {
		return nil, err
	}
	if x.req.Need, err = delivery.ParseTLSNeed(*need); err != nil {
		return nil, usagef("-need: %v", err)
	}
	if x.from == "" {
		return x, nil
	}
	from, d, err := parseAddress(x.from)
	if err != nil {
		return nil, parseFlag("from", err)
	}
	x.sender, x.req.Sender = from.Local, d.Name // an address literal has no name
	return x, nil
}

// who reads what is asked about: an address, or a domain.
func (x *explaining) who(s string) error {
	x.asked = s
	if !strings.Contains(s, "@") {
		var err error
		if x.req.Domain, err = delivery.ParseRecipientDomain(s); err != nil {
			return usageError{err.Error()}
		}
		return nil
	}
	a, d, err := parseAddress(s)
	x.local, x.req.Domain = a.Local, d
	return err
}

// account finds the account that has the address of -from, as far as there is one.
func (x *explaining) account(ctx context.Context, o *opened) error {
	if x.from == "" || x.req.Sender.IsZero() {
		return nil
	}
	t, err := o.accounts.Resolve(ctx, x.sender, x.req.Sender)
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

// hosted says where mail to an address, or a whole domain, of ours goes.
func (x *explaining) hosted(ctx context.Context, e env, o *opened) error {
	d, asked := x.req.Domain, x.asked
	h := hosted{Domain: d.String(), Hosted: true,
		Summary: fmt.Sprintf("%s is hosted here: its mail goes into mailboxes of this server, and no TLS policy is asked for.", d)}
	if x.local != "" {
		t, err := o.accounts.Resolve(ctx, x.local, d.Name)
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
	if x.json {
		return printJSON(e.stdout, h)
	}
	_, err := fmt.Fprintln(e.stdout, h.Summary)
	return err
}
