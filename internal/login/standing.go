package login

import (
	"context"
	"crypto/sha256"

	"waxwing/internal/account"
)

// Standing is the same for as long as an account may log in with what it has logged in with: its own
// password ("" as the name of an app password), or an app password by its name. It is another one as soon as
// that password has changed, and "" once the account may not log in any more, or only with app passwords. What
// lasts longer than a request keeps it from the login and compares: sessions of browsers and of mail programs end with it (WEB-3).
func (c *Checker) Standing(ctx context.Context, name, app string, p account.Protocol) (string, error) {
	cred, ok, err := c.Accounts.Credentials(ctx, name)
	if err != nil || !ok {
		return "", err
	}
	if app == "" {
		if cred.Access.NeedsApp(p) {
			return "", nil
		}
		return standing(cred.PasswordHash), nil
	}
	return standing(hashOfApp(cred, app)), nil
}

// StandingOf is Standing for a password that was right when it was shown, as p says by which protocol and from where: what lasts longer
// than a request and has the password still need not know whose name it was. It ends with whatever the account's rules let in no more
// (ACC-3), such as an app password that has expired. It is no guess, and is neither counted nor noted as one.
func (c *Checker) StandingOf(ctx context.Context, name, password string, p account.Proven) (string, error) {
	cred, ok, err := c.Accounts.Credentials(ctx, name)
	if err != nil || !ok {
		return "", err
	}
	hash := cred.PasswordHash
	p.By, p.At = account.ByPassword, c.now()
	if app, is := cred.App(password); is {
		p.By, p.App = account.ByApp, app
		hash = hashOfApp(cred, app.Name)
	}
	if cred.Access.LogIn(p) != "" {
		return "", nil
	}
	return standing(hash), nil
}

// hashOfApp is that of an app password; "": there is none of the name.
func hashOfApp(c account.Credentials, name string) string {
	for _, a := range c.Apps {
		if a.Name == name {
			return a.Hash
		}
	}
	return ""
}

func standing(hash string) string {
	if hash == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(hash))
	return string(sum[:])
}
