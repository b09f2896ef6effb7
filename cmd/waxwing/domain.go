package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/cli"
)

// domainNoun keeps the list of hosted domains.
func (p *program) domainNoun() *cobra.Command {
	return p.noun("domain", "the domains this server takes mail for",
		verb{use: "add DOMAIN", short: "take mail for a domain", example: "domain add example.org",
			run: onOne(p, parseDomain, func(ctx context.Context, o *opened, d dns.Name) error { return o.accounts.AddDomain(ctx, d) })},
		verb{use: "list", short: "all domains", json: true, run: list(p, p.onStore, func(ctx context.Context, o *opened, _ []string) ([]account.Domain, error) {
			return o.accounts.Domains(ctx)
		}, cli.List[account.Domain]{Columns: columns("DOMAIN|SINCE"), Cells: func(d *account.Domain) []any { return []any{d.Name.Unicode(), day(d.Created)} }})},
		verb{use: "remove DOMAIN", short: "take no more mail for a domain without addresses", example: "domain remove example.org",
			run: onOne(p, parseDomain, func(ctx context.Context, o *opened, d dns.Name) error {
				err := o.accounts.RemoveDomain(ctx, d)
				if errors.Is(err, accounts.ErrInUse) {
					return fmt.Errorf("%w: remove its addresses first; \"waxwing address list\" shows them", err)
				}
				return err
			})})
}
