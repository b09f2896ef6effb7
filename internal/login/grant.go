package login

import (
	"context"
	"slices"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// Grant is what somebody has logged in by, for sessions that last: what an account may not do any more, those that
// began before must not go on with (IMP-5).
type Grant struct {
	c       *Checker
	account string
	proven  account.Proven
	hash    string   // of the password that was shown
	off     []string // extensions of IMAP that were not offered to it
}

// Grant is that of an exchange that has ended well; nil for one of another Authenticator.
func (c *Checker) Grant(ex sasl.Server) *Grant {
	a, ok := ex.(*attempt)
	if !ok {
		return nil
	}
	return &Grant{c: c, account: a.stands, proven: a.proven, hash: hashOf(a.creds, a.proven), off: a.creds.Access.IMAPDisable}
}

// Account is whose it is.
func (g *Grant) Account() string { return g.account }

// hashOf is the hash of what somebody has proven to know; "" where that is not there.
func hashOf(c account.Credentials, p account.Proven) string {
	switch p.By {
	case account.ByPassword:
		return c.PasswordHash
	case account.ByApp:
		for _, app := range c.Apps {
			if app.Name == p.App.Name {
				return app.Hash
			}
		}
	}
	return ""
}

// Holds reports that the account would be let in now as it was then. Where that cannot be found out, the session goes on.
func (g *Grant) Holds(ctx context.Context) (bool, error) {
	c, ok, err := g.c.Accounts.Credentials(ctx, g.account)
	if err != nil {
		return true, err
	}
	p := g.proven
	p.At = g.c.now()
	for _, app := range c.Apps {
		if p.By == account.ByApp && app.Name == p.App.Name {
			p.App = app.AppPassword
		}
	}
	return ok && hashOf(c, p) == g.hash && c.Access.LogIn(p) == "" && slices.Equal(c.Access.IMAPDisable, g.off), nil
}
