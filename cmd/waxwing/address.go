package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"waxwing/internal/account"
	"waxwing/internal/cli"
)

// addressNoun keeps which address leads to which account.
func (p *program) addressNoun() *cobra.Command {
	return p.noun("address", "which addresses lead to which account",
		verb{use: "add ADDRESS ACCOUNT", short: "let mail to an address go to an account", long: "*@DOMAIN is the catchall: it takes what no other address of the domain takes.",
			example: "address add joe@example.org joe\naddress add '*@example.org' joe", run: p.onAddress(func(ctx context.Context, o *opened, args []string) error {
				return o.accounts.AddAddress(ctx, args[0], args[1])
			})},
		verb{use: "list", short: "all addresses", json: true, run: list(p, p.onStore, func(ctx context.Context, o *opened, _ []string) ([]account.Address, error) {
			return o.accounts.Addresses(ctx)
		}, cli.List[account.Address]{Columns: columns("ADDRESS|ACCOUNT|MAILBOX"), Cells: func(a *account.Address) []any { return []any{a.Address, a.Account, a.Mailbox} }})},
		verb{use: "remove ADDRESS", short: "take no more mail for an address", example: "address remove joe@example.org",
			run: p.onAddress(func(ctx context.Context, o *opened, args []string) error {
				return o.accounts.RemoveAddress(ctx, args[0])
			})})
}

// onAddress is onStore for commands whose first argument is an address of ours.
func (p *program) onAddress(fn func(context.Context, *opened, []string) error) action {
	return func(ctx context.Context, args []string) error {
		if !strings.HasPrefix(args[0], account.CatchAll+"@") {
			if _, _, err := parseAddress(args[0]); err != nil {
				return err
			}
		}
		return p.onStore(fn)(ctx, args)
	}
}
