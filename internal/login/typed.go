package login

import (
	"context"
	"errors"
	"net/netip"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// Pages is the name of what Typed checks, among the mechanisms in log and metric.
const Pages = "PAGE"

// Person is somebody who types a password into a page (WEB-3).
type Person struct {
	From     netip.Addr
	User     string // an account's name or an address
	Password string
}

// Typed returns the account of a person, under the bounds on guesses that all passwords have. The
// error is sasl.ErrFailed where name and password do not belong together; a *smtp.Reply, whose text
// is for the person, of one who has to wait or whom the account's rules do not let in; or another's.
func (c *Checker) Typed(ctx context.Context, p Person) (string, error) {
	a := c.newAttempt(Pages, p.From)
	a.protocol = account.Web
	if r := a.barred(); r != nil {
		return "", r
	}
	name, err := "", a.begin(ctx, p.User)
	if err == nil {
		name, err = a.password(ctx, p.Password)
	}
	word, how := result(Pages, err)
	if word != "refused" { // counted where it was
		c.count(Pages, word)
	}
	wait := c.settle(a, how)
	a.note(ctx, Entry{Protocol: string(account.Web), Result: a.outcome(word, err)})
	switch {
	case err == nil:
		return name, nil
	case how != failure:
		return "", err
	}
	c.log().Info("login failed", "remote", a.from, "mechanism", Pages, "result", word, "login", a.shown(ctx), "account", a.stands, "delay", wait)
	return "", errors.Join(sasl.ErrFailed, sleep(ctx, wait))
}
