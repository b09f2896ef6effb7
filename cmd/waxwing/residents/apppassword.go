package residents

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// appPasswordNoun keeps the passwords of programs (ACC-3).
func (p *program) appPasswordNoun() *cobra.Command {
	var protocols string
	var expires time.Time
	return p.Noun("app-password", "passwords of single programs, each ended without the others",
		cli.Verb{Use: "add ACCOUNT NAME", Short: "make one, which is shown this once", JSON: true,
			Long:    "It stands on standard output and nowhere else: Waxwing keeps no more of it than hashes. \"waxwing account logins\" names it at each login.",
			Example: "account app-password add joe phone\naccount app-password add joe scanner --for submission --expires 2027-01-31",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&protocols, "for", "all", "the `protocols` that it logs in to, with commas between: submission (to send), imap (to read, and to edit scripts), jmap, or all")
				fs.Var((*cli.Day)(&expires), "expires", "UTC `day` at whose beginning it ends, such as 2027-01-31; without, it never does")
			},
			Run: func(ctx context.Context, args []string) error {
				return p.addAppPassword(ctx, account.AppPassword{Account: args[0], Name: args[1], Expires: expires}, protocols)
			}},
		cli.Verb{Use: "list ACCOUNT", Short: "those there are, and when each was used last", JSON: true, Example: "account app-password list joe",
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]account.AppPassword, error) {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return nil, err
				}
				return o.Accounts.AppPasswords(ctx, args[0])
			}, account.AppPasswordListing())},
		cli.Verb{Use: "remove ACCOUNT NAME", Short: "end one, at once", Example: "account app-password remove joe phone",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.RemoveAppPassword(ctx, args[0], args[1])
			})})
}

// addedApp is a new app password with what is shown of it once.
type addedApp struct {
	account.AppPassword
	Password string `json:"password"`
}

func (p *program) addAppPassword(ctx context.Context, a account.AppPassword, protocols string) (err error) {
	if _, err := accountName(a.Account); err != nil {
		return err
	}
	if a.Protocols, err = account.ParseProtocols(protocols); err != nil {
		return cli.FlagError("for", err)
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		a.Created = o.Options.Now()
		secret := cli.NewPassword()
		if err := o.Accounts.AddAppPassword(ctx, a, secret); err != nil {
			return err
		}
		return p.Answer(addedApp{a, secret}, "%s", secret)
	})
}
