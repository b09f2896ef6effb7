package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

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
	asked      string // address or domain
	local      string // of the address; "" of a domain
	need, from string
	sender     string // local part of from
	req        explain.Request
}

// explainVerb says what would happen to a mail. It uses the store for what is
// cached of MTA-STS and was seen before, and needs no running server.
func (p *program) explainVerb() verb {
	var x explaining
	return verb{use: "explain ADDRESS|DOMAIN [FLAGS]", short: "say what would happen to a mail, and why", json: true,
		example: "explain someone@example.net\nexplain --connect example.net", flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&x.need, "need", "follow-policy", "`what` the sender asks of TLS: follow-policy, require-tls, tls-optional")
			fs.BoolVar(&x.req.Connect, "connect", false, "connect to every host, look at its certificate and extensions, and send nothing")
			fs.StringVar(&x.from, "from", "", "explain a mail from this `address`, where routes look at that")
		}, run: func(ctx context.Context, args []string) error {
			if err := x.read(args[0]); err != nil {
				return err
			}
			return p.withStore(ctx, func(o *opened) error { return p.explain(ctx, o, &x) })
		}}
}

func (p *program) explain(ctx context.Context, o *opened, x *explaining) error {
	hosted, err := hosts(ctx, o.accounts, x.req.Domain)
	if err != nil {
		return err
	}
	if hosted {
		h, err := x.hosted(ctx, o)
		if err != nil {
			return err
		}
		return p.answer(h, "%s", h.Summary)
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
	return p.prose(answer, answer.Print)
}

// read reads the argument and the flags.
func (x *explaining) read(asked string) (err error) {
	if err := x.who(asked); err != nil {
		return err
	}
	if x.req.Need, err = delivery.ParseTLSNeed(x.need); err != nil {
		return parseFlag("need", err)
	}
	if x.from == "" {
		return nil
	}
	from, d, err := parseAddress(x.from)
	if err != nil {
		return parseFlag("from", err)
	}
	x.sender, x.req.Sender = from.Local, d.Name // an address literal has no name
	return nil
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

// account finds the account that has the address of --from, as far as there is one.
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

// hosted says where mail to an address, or a whole domain, of ours goes.
func (x *explaining) hosted(ctx context.Context, o *opened) (explain.Hosted, error) {
	d, asked := x.req.Domain, x.asked
	h := explain.Hosted{Domain: d.String(), Hosted: true,
		Summary: fmt.Sprintf("%s is hosted here: its mail goes into mailboxes of this server, and no TLS policy is asked for.", d)}
	if x.local == "" {
		return h, nil
	}
	t, err := o.accounts.Resolve(ctx, x.local, d.Name)
	switch {
	case errors.Is(err, accounts.ErrNoSuchAddress):
		h.Summary = fmt.Sprintf("%s is hosted here, but nobody has the address %s: the mail would be refused. \"waxwing address add\" makes it.", d, asked)
	case err != nil:
		return h, err
	default:
		h.Account, h.Mailbox = t.Account, t.Mailbox
		h.Summary = fmt.Sprintf("%s is hosted here: mail to %s goes into the mailbox %s of the account %s.", d, asked, t.Mailbox, t.Account)
	}
	return h, nil
}
