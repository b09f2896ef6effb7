package residents

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/imapserver"
	"waxwing/internal/upkeep"
)

// rulesVerb shows and sets what an account may do (ACC-3).
func (p *program) rulesVerb() cli.Verb {
	var r ruleFlags
	return cli.Verb{Use: "rules ACCOUNT", Short: "show or set whether and whom it may write to, and how it logs in", JSON: true,
		Example: "account rules joe\naccount rules joe --send hosted --log-in app-passwords\naccount rules joe --networks 192.0.2.0/24,2001:db8::/32\naccount rules joe --imap-disable NOTIFY,COMPRESS=DEFLATE",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&r.send, "send", "", "to whom it may `send`: anywhere, hosted (the domains of this server alone) or nothing")
			fs.StringVar(&r.logIn, "log-in", "", "with which `passwords` it logs in: all, or app-passwords alone; certificates and API keys go on")
			fs.StringVar(&r.networks, "networks", "", "from which `networks` it logs in, with commas between, or all")
			fs.StringVar(&r.admin, "admin", "", "whether it may administer the server on pages: `yes` or no")
			fs.StringVar(&r.imapDisable, "imap-disable", "", "which `extensions` of IMAP it is not offered, beside those of imap.disable, with commas between, or none; at its next logins")
		},
		Run: func(ctx context.Context, args []string) error {
			change, err := r.change()
			if err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return err
				}
				if r != (ruleFlags{}) {
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

// ruleFlags are what the flags of one call say; "": nothing.
type ruleFlags struct{ send, logIn, networks, admin, imapDisable string }

// change is what the flags that are given change.
func (r ruleFlags) change() (func(account.Access) account.Access, error) {
	to, err := account.ParseSending(r.send)
	if err != nil {
		return nil, cli.FlagError("send", err)
	}
	if r.logIn != "" && r.logIn != "all" && r.logIn != "app-passwords" {
		return nil, cli.Usagef("--log-in is all or app-passwords")
	}
	if r.admin != "" && r.admin != "yes" && r.admin != "no" {
		return nil, cli.Usagef("--admin is yes or no")
	}
	from, err := account.ParseNetworks(without(r.networks, "all"))
	if err != nil {
		return nil, cli.FlagError("networks", err)
	}
	off, err := account.ParseExtensions(without(r.imapDisable, "none"))
	if err == nil {
		err = knownExtensions(off)
	}
	if err != nil {
		return nil, cli.FlagError("imap-disable", err)
	}
	return func(a account.Access) account.Access {
		if r.send != "" {
			a.Send = to
		}
		if r.logIn != "" {
			a.AppOnly = r.logIn == "app-passwords"
		}
		if r.networks != "" {
			a.Networks = from
		}
		if r.admin != "" {
			a.Admin = r.admin == "yes"
		}
		if r.imapDisable != "" {
			a.IMAPDisable = off
		}
		return a
	}, nil
}

// without is a list, empty where it is the word that stands for that.
func without(list, word string) string {
	if list == word {
		return ""
	}
	return list
}

// knownExtensions finds names that this server does not announce.
func knownExtensions(names []string) error {
	all := imapserver.Capabilities()
	for _, n := range names {
		if !slices.ContainsFunc(all, func(c string) bool { return strings.EqualFold(c, n) }) {
			return fmt.Errorf("%s is no extension that is announced here: %s are", n, strings.Join(all, " "))
		}
	}
	return nil
}
