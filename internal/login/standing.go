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
	for _, a := range cred.Apps {
		if a.Name == app {
			return standing(a.Hash), nil
		}
	}
	return "", nil
}

func standing(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return string(sum[:])
}
