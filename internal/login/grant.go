package login

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"waxwing/internal/account"
	"waxwing/sasl"
)

// Grant is what somebody has logged in by, for what lasts longer than a login: the connections of mail programs and of
// JMAP. What an account may not do any more, those who came before must not go on with (IMP-5, WEB-3). A Lookout ends it then.
type Grant struct {
	c       *Checker
	account string
	proven  account.Proven
	mark    string // of the login
}

// Grant is that of an exchange that has ended well; nil for one of another Authenticator.
func (c *Checker) Grant(ex sasl.Server) *Grant {
	a, ok := ex.(*attempt)
	if !ok {
		return nil
	}
	return &Grant{c: c, account: a.stands, proven: a.proven, mark: markOf(a.creds, a.proven)}
}

// GrantOf is that of a password that was right when it was shown, as p says by which protocol and from where; nil where it would be
// refused now. It is no guess, and is neither counted nor noted as one.
func (c *Checker) GrantOf(ctx context.Context, name, password string, p account.Proven) (*Grant, error) {
	cred, ok, err := c.Accounts.Credentials(ctx, name)
	if err != nil || !ok {
		return nil, err
	}
	p.By, p.At = account.ByPassword, c.now()
	if app, is := cred.App(password); is {
		p.By, p.App = account.ByApp, app
	}
	g := &Grant{c: c, account: name, proven: p, mark: markOf(cred, p)}
	if g.mark == "" {
		return nil, nil
	}
	return g, nil
}

// Account is whose it is.
func (g *Grant) Account() string { return g.account }

// Holds reports that the account would be let in now as it was then. Where that cannot be found out, what was begun goes on.
func (g *Grant) Holds(ctx context.Context) (bool, error) {
	now, err := g.c.Mark(ctx, g.account, g.proven)
	if err != nil {
		return true, err
	}
	return now != "" && now == g.mark, nil
}

// Mark is the same for as long as an account lets somebody in who has proven what p says, and "" once it does not. What is kept in the
// store, such as the session of a browser, keeps the mark of its login and compares.
func (c *Checker) Mark(ctx context.Context, name string, p account.Proven) (string, error) {
	cred, ok, err := c.Accounts.Credentials(ctx, name)
	if err != nil || !ok {
		return "", err
	}
	p.At = c.now()
	return markOf(cred, p), nil
}

// markOf is made of the password that was shown, and of what programs are not offered; "" where the account's rules let nobody in
// by it. It is pure.
func markOf(c account.Credentials, p account.Proven) string {
	var hash string
	switch p.By {
	case account.ByPassword:
		hash = c.PasswordHash
	case account.ByApp: // its rules may have changed since
		i := slices.IndexFunc(c.Apps, func(x account.AppKeys) bool { return x.Name == p.App.Name })
		if i < 0 {
			return ""
		}
		hash, p.App = c.Apps[i].Hash, c.Apps[i].AppPassword
	}
	if c.Access.LogIn(p) != "" {
		return ""
	}
	if p.Protocol != account.Web {
		hash += "\x00" + strings.Join(c.Access.IMAPDisable, " ")
	}
	sum := sha256.Sum256([]byte(hash))
	return string(sum[:])
}
