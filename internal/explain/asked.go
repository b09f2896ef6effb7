package explain

import (
	"context"
	"strings"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
)

// explainTimeout bounds the looking up: nobody waits longer for an answer at a
// terminal, and what did not answer by then is part of the answer.
const (
	explainTimeout = 30 * time.Second
	connectTimeout = 2 * time.Minute
)

// Asked is a call of "waxwing explain".
type Asked struct {
	Request
	Text           string // what is asked about: an address, or a domain
	Local          string // of the address; "" of a domain
	NeedText, From string // as they were typed
	sender         string // local part of From
}

// Read reads the argument and the flags. Its errors are wrong usage.
func (x *Asked) Read(asked string) (err error) {
	if err := x.who(asked); err != nil {
		return err
	}
	if x.Need, err = delivery.ParseTLSNeed(x.NeedText); err != nil {
		return cli.FlagError("need", err)
	}
	if x.From == "" {
		return nil
	}
	from, d, err := cli.ParseAddress(x.From)
	if err != nil {
		return cli.FlagError("from", err)
	}
	x.sender, x.Sender = from.Local, d.Name // an address literal has no name
	return nil
}

// who reads what is asked about: an address, or a domain.
func (x *Asked) who(s string) error {
	x.Text = s
	if !strings.Contains(s, "@") {
		var err error
		if x.Domain, err = delivery.ParseRecipientDomain(s); err != nil {
			return cli.Usagef("%v", err)
		}
		return nil
	}
	a, d, err := cli.ParseAddress(s)
	x.Local, x.Domain = a.Local, d
	return err
}

// Asked answers about a domain that is not hosted here, in bounded time.
func (e *Explainer) Asked(ctx context.Context, a *accounts.Store, x *Asked) (answer Explanation, err error) {
	if x.Account, err = AccountOf(ctx, a, x.sender, x.Sender); err != nil {
		return answer, err
	}
	limit := explainTimeout
	if x.Connect {
		limit = connectTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return e.Domain(ctx, x.Request), nil
}
