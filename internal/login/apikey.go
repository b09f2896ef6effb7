package login

import (
	"context"
	"errors"
	"net/netip"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// APIKeys is the name of what APIKey checks, among the mechanisms in log and metric.
const APIKeys = "API-KEY"

// APIKey checks an API key that was sent from an address (OPS-8), under the bounds on guesses
// that passwords have, by network and by id, which stands for the key with its secret. find names the key's account; "" is no
// such key. The error is sasl.ErrFailed for no such key and for one of an account that may not
// log in; a *smtp.Reply of class 4 for a client that has to wait; or find's.
func (c *Checker) APIKey(ctx context.Context, from netip.Addr, id string, find func(context.Context) (account string, err error)) error {
	a := c.newAttempt(APIKeys, from)
	if r := a.barred(); r != nil {
		return r
	}
	err := a.begin(ctx, "api-key-"+id)
	if err == nil {
		a.stands, err = find(ctx)
	}
	if err == nil {
		err = a.mayLogIn(ctx, account.ByKey)
	}
	word, how := result(APIKeys, err)
	if word != "refused" { // counted where it was
		c.count(APIKeys, word)
	}
	wait := c.settle(a, how)
	a.note(ctx, Entry{Protocol: "api", Result: a.outcome(word, err)})
	if how != failure {
		return err
	}
	c.log().Info("login failed", "remote", a.from, "mechanism", APIKeys, "result", word, "account", a.stands, "delay", wait)
	return errors.Join(err, sleep(ctx, wait))
}

// mayLogIn is sasl.ErrFailed for nobody and for an account that may not log in, and a denial where its
// rules do not let it.
func (a *attempt) mayLogIn(ctx context.Context, by account.Proof) error {
	if a.stands == "" {
		return sasl.ErrFailed
	}
	cred, ok, err := a.c.Accounts.Credentials(ctx, a.stands)
	switch {
	case err != nil:
		return err
	case !ok:
		return sasl.ErrFailed
	}
	return a.admit(cred, account.Proven{By: by})
}
