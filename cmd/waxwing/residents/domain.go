package residents

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// domainFlags are those of verbs that do something to a domain.
type domainFlags struct {
	noCheck, yes                     bool
	separators, upperCase, mailboxes string
	mail                             string // what becomes of a disabled domain's
}

// setRules says how local parts of a domain are compared (ACC-2).
func setRules(ctx context.Context, o *upkeep.Opened, d dns.Name, f domainFlags) error {
	all, err := o.Accounts.Domains(ctx)
	if err != nil {
		return err
	}
	r := account.DefaultRules
	for _, x := range all {
		if x.Name == d {
			r = account.LocalRules{Separators: x.Separators, CaseSensitive: x.CaseSensitive}
		}
	}
	switch f.separators {
	case "":
	case "none":
		r.Separators = ""
	default:
		r.Separators = f.separators
	}
	switch f.upperCase {
	case "":
	case "counts", "ignored":
		r.CaseSensitive = f.upperCase == "counts"
	default:
		return cli.Usagef("--case is counts or ignored")
	}
	if err := o.Accounts.SetRules(ctx, d, r); err != nil || f.mailboxes == "" {
		return err
	}
	way, err := mailboxesAt(ctx, o, f.mailboxes, map[string]string{"here": ""})
	if err != nil {
		return err
	}
	return o.Accounts.SetDomainTransport(ctx, d, way)
}

// domainNoun keeps the list of hosted domains (SET-4).
func (p *program) domainNoun() *cobra.Command {
	var f domainFlags
	sure := func(fs *pflag.FlagSet) {
		fs.BoolVar(&f.yes, "yes", false, "do it, whatever breaks")
	}
	return p.Noun("domain", "the domains this server takes mail for",
		cli.Verb{Use: "add DOMAIN [--no-check]", Short: "take mail for a domain, and say what to publish", Example: "domain add example.org",
			Flags: func(fs *pflag.FlagSet) {
				fs.BoolVar(&f.noCheck, "no-check", false, "do not look at what DNS has for it already")
			},
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				if err := o.AddDomain(ctx, d, p.Stdout); err != nil || f.noCheck {
					return err
				}
				row, err := o.CheckDomain(ctx, d)
				if err != nil {
					return err
				}
				return p.Prose(nil, row.PrintNew)
			})},
		cli.Verb{Use: "list", Short: "all domains", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]account.Domain, error) {
			return o.Accounts.Domains(ctx)
		}, account.DomainListing())},
		cli.Verb{Use: "set DOMAIN", Short: "how its addresses are compared, and who keeps its mailboxes", Example: "domain set example.org --separators +-\ndomain set example.org --separators none --case counts",
			Long: "Mail for joe+list goes to joe, where \"+\" is a separator and joe+list is no address of its own. Of several the last is tried first.",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&f.separators, "separators", "", "the characters behind which a detail begins: up to 5 `CHARACTERS`, or \"none\"")
				fs.StringVar(&f.mailboxes, "mailboxes", "", "who keeps the mailboxes of its accounts: \"here\", or a `TRANSPORT` of kind lmtp to another program")
				fs.StringVar(&f.upperCase, "case", "", "whether Joe and joe are two: \"counts\" or \"ignored\"")
			},
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				return setRules(ctx, o, d, f)
			})},
		cli.Verb{Use: "disable DOMAIN [--yes]", Short: "put its mail off, and let nobody send from it", Example: "domain disable example.org\ndomain disable example.org --mail refuse",
			Flags: func(fs *pflag.FlagSet) {
				sure(fs)
				fs.StringVar(&f.mail, "mail", "put-off", "what becomes of its mail: \"put-off\" (450), \"refuse\" (550) or \"keep\" (it is taken as before)")
			},
			Long: "Put off, others are answered 450 and try again for days: nothing is lost by it. What was accepted goes its way.\nIt says what would break, and does it where nothing does or with --yes.",
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				mail, err := account.ParseDisabledMail(f.mail)
				if err != nil {
					return cli.Usagef("%v", err)
				}
				l, err := o.Leaving(ctx, d)
				if err != nil {
					return err
				}
				return upkeep.Leave(p.Stdout, l.Disabling(), f.yes, func() error { return o.Accounts.DisableDomain(ctx, d, mail) })
			})},
		cli.Verb{Use: "enable DOMAIN", Short: "take mail for a disabled domain again", Example: "domain enable example.org",
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				return o.Accounts.SetDomainDisabled(ctx, d, false)
			})},
		cli.Verb{Use: "remove DOMAIN [--yes]", Short: "take no more mail for a domain without addresses", Example: "domain remove example.org", Flags: sure,
			Long: "It says what would break, and does it where nothing does or with --yes.",
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				l, err := o.Leaving(ctx, d)
				if err != nil {
					return err
				}
				return upkeep.Leave(p.Stdout, l.Removing(), f.yes, func() error { return o.RemoveDomain(ctx, d) })
			})})
}
