package residents

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/cli"
	"waxwing/internal/correspondents"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// accountNoun keeps accounts.
func (p *program) accountNoun() *cobra.Command {
	var generate, refuse bool
	var l limits
	generates := func(fs *pflag.FlagSet) {
		fs.BoolVar(&generate, "generate", false, "make a password and print it, instead of asking for one or reading it from the first line of standard input")
	}
	c := p.Noun("account", "who may log in, and how much they send",
		cli.Verb{Use: "add ACCOUNT [--generate]", Short: "make one; asks for its password", Example: "account add joe", Flags: generates, Refuse: refusePassword,
			Run: p.withPassword(&generate, (*accounts.Store).AddAccount)},
		cli.Verb{Use: "list", Short: "all, with what they sent today", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]listing.Account, error) {
			return listing.Accounts(ctx, o.Accounts, server.Allowance(o.Config, o.Store))
		}, listing.AccountListing())},
		cli.Verb{Use: "removed", Short: "those that were removed and can be brought back, with their mail", JSON: true,
			Long: "\"waxwing mail undelete --account ACCOUNT\" brings one back. After mail.undelete it is gone for good, and its name is free.",
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]account.Removed, error) {
				return o.Accounts.Removed(ctx)
			}, account.RemovedListing())},
		cli.Verb{Use: "remove ACCOUNT", Short: "remove one without addresses; its mail can be brought back, for a time", Run: command.OnOne(p.Call, accountName, removeAccount)},
		cli.Verb{Use: "password ACCOUNT [--generate]", Short: "set another password", Example: "account password joe", Flags: generates, Refuse: refusePassword,
			Run: p.withPassword(&generate, (*accounts.Store).SetPassword)},
		cli.Verb{Use: "disable ACCOUNT", Short: "let it log in no more; its mail is still taken, or refused", Example: "account disable joe\naccount disable joe --refuse",
			Flags: func(fs *pflag.FlagSet) { fs.BoolVar(&refuse, "refuse", false, "answer its mail 550") },
			Run: command.OnOne(p.Call, accountName, func(ctx context.Context, o *upkeep.Opened, name string) error {
				return o.Accounts.Disable(ctx, name, map[bool]account.DisabledMail{false: account.Keep, true: account.Refuse}[refuse])
			})},
		cli.Verb{Use: "enable ACCOUNT", Short: "let it log in again", Run: command.OnOne(p.Call, accountName, func(ctx context.Context, o *upkeep.Opened, name string) error {
			return o.Accounts.SetDisabled(ctx, name, false)
		})},
		cli.Verb{Use: "trust ACCOUNT DOMAIN …", Short: "take what a mailing list or forwarder sends it, whatever DMARC says", Example: "account trust joe lists.example.net",
			Long: "A message that fails DMARC is taken for the account if one of its listed domains, or one below it, vouches for it by a DKIM signature or as the\nenvelope sender for which SPF passes. For all accounts: incoming.trusted_forwarders in the configuration.",
			Run:  p.trusting(true)},
		cli.Verb{Use: "distrust ACCOUNT DOMAIN …", Short: "take a domain out of that list", Example: "account distrust joe lists.example.net", Run: p.trusting(false)},
		cli.Verb{Use: "trusted ACCOUNT", Short: "that list", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) (rows []account.TrustedForwarder, err error) {
			if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
				return nil, err
			}
			all, err := o.Accounts.Trusted(ctx, args[0])
			for _, d := range all {
				rows = append(rows, account.TrustedForwarder{Domain: d})
			}
			return rows, err
		}, account.TrustedListing())},
		cli.Verb{Use: "contacts ACCOUNT", Short: "to whom it has written, and whose mail it has called good", JSON: true, Example: "account contacts joe",
			Long: "What they send is junk for no words. \"waxwing junk mark\" adds an address or a domain, and takes one out.",
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]correspondents.Correspondent, error) {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return nil, err
				}
				return (&correspondents.Store{DB: o.Store, Now: p.Now}).Contacts(ctx, args[0], 1000)
			}, correspondents.Listing())},
		cli.Verb{Use: "logins ACCOUNT", Short: "who logged in to it, and who tried", JSON: true, Example: "account logins joe",
			Long: "What is alike within an hour is one line. The newest 500 that succeeded are kept, and as many that did not.",
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]login.Entry, error) {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return nil, err
				}
				return (&login.Journal{DB: o.Store}).Entries(ctx, args[0])
			}, login.Listing())},
		cli.Verb{Use: "mailboxes ACCOUNT WHERE", Short: "say who keeps its mailboxes", Example: "account mailboxes joe dovecot",
			Long: "WHERE is \"here\", \"domain\" (as the domain of the address says), or a transport of kind lmtp to another program.",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				way, err := mailboxesAt(ctx, o, args[1], map[string]string{"here": account.Here, "domain": ""})
				if err != nil {
					return err
				}
				return o.Accounts.SetTransport(ctx, args[0], way)
			})},
		cli.Verb{Use: "limit ACCOUNT", Short: "show or set what it may send in a day", JSON: true, Flags: l.flags,
			Example: "account limit joe\naccount limit joe --messages 20000 --recipients none",
			Run: command.OnOne(p.Call, accountName, func(ctx context.Context, o *upkeep.Opened, name string) error {
				return p.limitAccount(ctx, o, name, l)
			})},
		p.rulesVerb(), p.clientSetupVerb(), p.sessionsVerb())
	c.AddCommand(p.appPasswordNoun(), p.factorNoun())
	return c
}

func refusePassword(args []string) error {
	if len(args) == 2 {
		return cli.Usagef("a password is no argument: others could read it in the list of processes, and it stays in the shell's history; it is asked for, or read from standard input")
	}
	return nil
}

// accountName reads the name of an account that stands as an argument.
func accountName(s string) (string, error) {
	if err := account.CheckName(s); err != nil {
		return "", cli.Usagef("%v", err)
	}
	return s, nil
}

// trusting adds domains to an account's list of forwarders (AUT-3), or takes them out.
func (p *program) trusting(trust bool) cli.Action {
	return p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
		var domains []dns.Name
		for _, a := range args[1:] {
			d, err := cli.ParseDomain(a)
			if err != nil {
				return err
			}
			domains = append(domains, d)
		}
		return o.Accounts.ChangeTrusted(ctx, args[0], domains, trust)
	})
}

// mailboxesAt is how it is stored who keeps mailboxes (INB-14): words have their own meaning, all
// else is a transport of kind lmtp.
func mailboxesAt(ctx context.Context, o *upkeep.Opened, where string, words map[string]string) (string, error) {
	if stored, ok := words[where]; ok {
		return stored, nil
	}
	return where, o.Routes.KeepsMailboxes(ctx, where)
}

// withPassword is a command that gives an account a password.
func (p *program) withPassword(generate *bool, set func(*accounts.Store, context.Context, string, string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		name, err := accountName(args[0])
		if err != nil {
			return err
		}
		password := cli.NewPassword()
		if !*generate {
			if password, err = p.AskPassword(ctx, cli.Wanted{Of: name, IsNew: true}); err != nil {
				return err
			}
		}
		return p.WithStore(ctx, func(o *upkeep.Opened) error {
			if err := set(o.Accounts, ctx, name, password); err != nil || !*generate {
				return err
			}
			_, err := fmt.Fprintln(p.Stdout, password)
			return err
		})
	}
}

func removeAccount(ctx context.Context, o *upkeep.Opened, name string) error {
	err := o.Accounts.RemoveAccount(ctx, name)
	if errors.Is(err, accounts.ErrInUse) {
		return fmt.Errorf("%w: remove its addresses first (\"waxwing address list\" shows them), or disable it", err)
	}
	return err
}

// limits are an account's own, as far as they are given.
type limits struct{ messages, recipients allowance.Change }

func (l *limits) flags(fs *pflag.FlagSet) {
	fs.Var(&l.messages, "messages", "how many messages the account may send in a day: `N`, \"none\" or \"default\" (as the configuration says)")
	fs.Var(&l.recipients, "recipients", "to how many recipients in a day: `N`, \"none\" or \"default\"")
}

// limitAccount sets an account's own limits (INB-3) and says which hold then. A
// running server knows at its next look: within seconds where it has refused,
// at the end of a block where it has not.
func (p *program) limitAccount(ctx context.Context, o *upkeep.Opened, name string, l limits) error {
	rooms := server.Allowance(o.Config, o.Store)
	if l.messages.Given || l.recipients.Given {
		err := rooms.SetLimit(ctx, name, func(own allowance.Own) allowance.Own {
			return allowance.Own{Messages: l.messages.Of(own.Messages), Recipients: l.recipients.Of(own.Recipients)}
		})
		if err != nil {
			return err
		}
	}
	all, err := listing.Accounts(ctx, o.Accounts, rooms)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == name {
			return cli.Show(p.Program, []listing.Account{a}, listing.AccountListing())
		}
	}
	return fmt.Errorf("account %s: %w", name, accounts.ErrNoSuchAccount)
}
