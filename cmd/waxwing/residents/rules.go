package residents

import (
	"context"

	"github.com/spf13/pflag"

	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// rulesVerb shows and sets what an account may do (ACC-3).
func (p *program) rulesVerb() cli.Verb {
	var send, logIn, networks, admin string
	return cli.Verb{Use: "rules ACCOUNT", Short: "show or set whether and whom it may write to, and how it logs in", JSON: true,
		Example: "account rules joe\naccount rules joe --send hosted --log-in app-passwords\naccount rules joe --networks 192.0.2.0/24,2001:db8::/32",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&send, "send", "", "to whom it may `send`: anywhere, hosted (the domains of this server alone) or nothing")
			fs.StringVar(&logIn, "log-in", "", "with which `passwords` it logs in: all, or app-passwords alone; certificates and API keys go on")
			fs.StringVar(&networks, "networks", "", "from which `networks` it logs in, with commas between, or all")
			fs.StringVar(&admin, "admin", "", "whether it may administer the server on pages: `yes` or no")
		},
		Run: func(ctx context.Context, args []string) error {
			change, err := accessChange(send, logIn, networks, admin)
			if err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return err
				}
				if send+logIn+networks+admin != "" {
					if err := o.Accounts.ChangeAccess(ctx, args[0], change); err != nil {
						return err
					}
				}
				a, err := o.Accounts.Access(ctx, args[0])
				if err != nil {
					return err
				}
				return cli.Show(p.Program, []account.NamedAccess{{Account: args[0], Access: a}}, account.AccessListing())
			})
		}}
}

// accessChange is what the flags that are given change.
func accessChange(send, logIn, networks, admin string) (func(account.Access) account.Access, error) {
	to, err := account.ParseSending(send)
	if err != nil {
		return nil, cli.FlagError("send", err)
	}
	if logIn != "" && logIn != "all" && logIn != "app-passwords" {
		return nil, cli.Usagef("--log-in is all or app-passwords")
	}
	if admin != "" && admin != "yes" && admin != "no" {
		return nil, cli.Usagef("--admin is yes or no")
	}
	wanted := networks
	if networks == "all" {
		wanted = ""
	}
	from, err := account.ParseNetworks(wanted)
	if err != nil {
		return nil, cli.FlagError("networks", err)
	}
	return func(a account.Access) account.Access {
		if send != "" {
			a.Send = to
		}
		if logIn != "" {
			a.AppOnly = logIn == "app-passwords"
		}
		if networks != "" {
			a.Networks = from
		}
		if admin != "" {
			a.Admin = admin == "yes"
		}
		return a
	}, nil
}
