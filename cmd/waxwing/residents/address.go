package residents

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/account"
	"waxwing/internal/cli"
	"waxwing/internal/upkeep"
)

// addressNoun keeps which address leads to which account.
func (p *program) addressNoun() *cobra.Command {
	return p.Noun("address", "which addresses lead to which account",
		cli.Verb{Use: "add ADDRESS ACCOUNT", Short: "let mail to an address go to an account", Long: "*@DOMAIN is the catchall: it takes what no other address of the domain takes.",
			Example: "address add joe@example.org joe\naddress add '*@example.org' joe", Run: p.onAddress(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.AddAddress(ctx, args[0], args[1])
			})},
		cli.Verb{Use: "list", Short: "all addresses", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]account.Address, error) {
			return o.Accounts.Addresses(ctx)
		}, account.AddressListing())},
		cli.Verb{Use: "refuse ADDRESS", Short: "refuse its mail, though the domain has a catchall", Example: "address refuse sales@example.org",
			Run: p.onAddress(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.RefuseAddress(ctx, args[0])
			})},
		cli.Verb{Use: "remove ADDRESS", Short: "take no more mail for an address", Example: "address remove joe@example.org",
			Run: p.onAddress(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return o.Accounts.RemoveAddress(ctx, args[0])
			})})
}

// onAddress is onStore for commands whose first argument is an address of ours.
func (p *program) onAddress(fn func(context.Context, *upkeep.Opened, []string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		if !strings.HasPrefix(args[0], account.CatchAll+"@") {
			if _, _, err := cli.ParseAddress(args[0]); err != nil {
				return err
			}
		}
		return p.OnStore(fn)(ctx, args)
	}
}
