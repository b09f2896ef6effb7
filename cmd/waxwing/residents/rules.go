package residents

import (
	"context"

	"github.com/spf13/pflag"

	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/imapserver/offer"
	"waxwing/internal/upkeep"
)

// rulesVerb shows and sets what an account may do (ACC-3).
func (p *program) rulesVerb() cli.Verb {
	var r account.TypedAccess
	return cli.Verb{Use: "rules ACCOUNT", Short: "show or set whether and whom it may write to, and how it logs in", JSON: true,
		Example: "account rules joe\naccount rules joe --send hosted --log-in app-passwords\naccount rules joe --networks 192.0.2.0/24,2001:db8::/32\naccount rules joe --imap-disable NOTIFY,COMPRESS=DEFLATE",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&r.Send, "send", "", "to whom it may `send`: anywhere, hosted (the domains of this server alone) or nothing")
			fs.StringVar(&r.LogIn, "log-in", "", "with which `passwords` it logs in: all, or app-passwords alone; certificates and API keys go on")
			fs.StringVar(&r.Networks, "networks", "", "from which `networks` it logs in, with commas between, or all")
			fs.StringVar(&r.Admin, "admin", "", "whether it may administer the server on pages: `yes` or no")
			fs.StringVar(&r.IMAPDisable, "imap-disable", "", "which `extensions` of IMAP it is not offered, beside those of imap.disable, with commas between, or none; at its next logins")
		},
		Run: func(ctx context.Context, args []string) error {
			change, flag, err := r.Change(offer.Optional())
			if err != nil {
				return cli.FlagError(flag, err)
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return err
				}
				if r != (account.TypedAccess{}) {
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
