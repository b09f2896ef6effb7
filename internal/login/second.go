package login

import (
	"context"
	"errors"
	"net/netip"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// SecondFactors is the name of what Second checks, among the mechanisms in log and metric.
const SecondFactors = "SECOND-FACTOR"

// Second checks the second factor of somebody whose password was right (WEB-3), under the bounds on guesses
// that passwords have, by network and by account; they have a count of their own, which a right password does not
// clear. check says whether it is right. The error is sasl.ErrFailed where it is not, a *smtp.Reply of one who has to wait, or check's.
func (c *Checker) Second(ctx context.Context, from netip.Addr, name string, check func(context.Context) (bool, error)) error {
	a := c.newAttempt(SecondFactors, from)
	a.protocol = account.Web
	if r := a.barred(); r != nil {
		return r
	}
	err := a.begin(ctx, "second-factor-"+name)
	if err == nil {
		a.stands = name
		var right bool
		if right, err = check(ctx); err == nil && !right {
			err = sasl.ErrFailed
		}
	}
	word, how := result(SecondFactors, err)
	if word != "refused" { // counted where it was
		c.count(SecondFactors, word)
	}
	wait := c.settle(a, how)
	a.note(ctx, Entry{Protocol: string(account.Web), Result: a.outcome(word, err)})
	if how != failure {
		return err
	}
	c.log().Info("login failed", "remote", a.from, "mechanism", SecondFactors, "result", word, "account", a.stands, "delay", wait)
	return errors.Join(err, sleep(ctx, wait))
}
