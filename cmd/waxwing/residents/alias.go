package residents

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// aliasFlags say who may post, and whether who posts gets a copy.
type aliasFlags struct {
	posting, senderCopy string
	posters             []string
}

func (f *aliasFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.posting, "posting", "", "who may write to it: \"anyone\", \"members\" or \"listed\"")
	fs.StringArrayVar(&f.posters, "poster", nil, "`ADDRESS` or @DOMAIN that may write to it, with --posting listed; can be given several times")
	fs.StringVar(&f.senderCopy, "sender-copy", "", "whether a member who writes to it gets the message, too: \"yes\" or \"no\"")
}

// set changes what was given.
func (f *aliasFlags) set(a *account.Alias) error {
	var err error
	if f.posting != "" {
		if a.Posting, err = account.ParsePosting(f.posting); err != nil {
			return cli.Usagef("%v", err)
		}
		if a.Posting != account.PostListed {
			a.Posters = nil
		}
	}
	if len(f.posters) > 0 {
		a.Posters = slices.Clone(f.posters)
	}
	switch f.senderCopy {
	case "":
	case "yes", "no":
		a.SenderCopy = f.senderCopy == "yes"
	default:
		return cli.Usagef("--sender-copy is yes or no")
	}
	return nil
}

// aliasNoun keeps addresses whose mail goes to several (ACC-1).
func (p *program) aliasNoun() *cobra.Command {
	var f aliasFlags
	members := func(change func(a *account.Alias, members []string)) cli.Action {
		return p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			return o.Accounts.ChangeAlias(ctx, args[0], func(a *account.Alias) error {
				change(a, args[1:])
				return nil
			})
		})
	}
	return p.Noun("alias", "addresses whose mail goes to several",
		cli.Verb{Use: "add ALIAS MEMBER …", Short: "make one, with its members here and elsewhere", Flags: f.flags,
			Long:    "Members elsewhere get the mail as it came, with an envelope sender of this server that leads notifications back.\nA member can be an alias; one whose mail would come back to it is refused.\n*@DOMAIN is an alias for all that no other address of the domain takes.",
			Example: "alias add info@example.org joe@example.org ann@example.net\nalias add team@example.org joe@example.org ann@example.org --posting members",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				a := account.Alias{Address: args[0], Members: args[1:], SenderCopy: true}
				if err := f.set(&a); err != nil {
					return err
				}
				return o.Accounts.AddAlias(ctx, a)
			})},
		cli.Verb{Use: "set ALIAS", Short: "change who may write to it, and who gets a copy", Flags: f.flags, Example: "alias set info@example.org --posting listed --poster @example.org",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.ChangeAlias(ctx, args[0], f.set)
			})},
		cli.Verb{Use: "join ALIAS MEMBER …", Short: "add members", Example: "alias join info@example.org bob@example.net",
			Run: members(func(a *account.Alias, members []string) { a.Members = append(a.Members, members...) })},
		cli.Verb{Use: "leave ALIAS MEMBER …", Short: "take members out; the last cannot leave", Example: "alias leave info@example.org bob@example.net",
			Run: members(func(a *account.Alias, members []string) {
				a.Members = slices.DeleteFunc(a.Members, func(m string) bool {
					return slices.ContainsFunc(members, func(l string) bool { return strings.EqualFold(l, m) })
				})
			})},
		cli.Verb{Use: "list", Short: "all, with their members", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]account.Alias, error) {
			return o.Accounts.Aliases(ctx)
		}, account.AliasListing())},
		cli.Verb{Use: "remove ALIAS", Short: "take no more mail for it", Example: "alias remove info@example.org",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.RemoveAlias(ctx, args[0])
			})})
}
