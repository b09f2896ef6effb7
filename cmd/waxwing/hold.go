package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/holds"
)

// holdNoun keeps the rules by which new mail is held back (QUE-6). What it holds,
// "queue unhold" releases.
func (p *program) holdNoun() *cobra.Command {
	var r holds.Rule
	return p.noun("hold", "rules by which new mail is held back",
		verb{use: "add CRITERIA", short: "hold new mail that meets all criteria", json: true, example: "hold add --domain far.example --note 'ask first'",
			long: "What is held waits until \"waxwing queue unhold\" releases it.",
			flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&r.Account, "account", "", "mail that this `account` submits")
				fs.StringVar(&r.SenderDomain, "sender-domain", "", "mail from addresses of this `domain`")
				fs.StringVar(&r.RecipientDomain, "domain", "", "mail to this `domain`")
				fs.StringVar(&r.Note, "note", "", "`reason`, shown with what is held")
			}, run: func(ctx context.Context, _ []string) error { return p.addHold(ctx, r) }},
		verb{use: "list", short: "all rules", json: true, run: list(p, p.onStore, func(ctx context.Context, o *opened, _ []string) ([]holds.Rule, error) {
			return (&holds.Store{DB: o.store}).List(ctx)
		}, cli.List[holds.Rule]{Columns: columns("ID|ACCOUNT|SENDER DOMAIN|RECIPIENT DOMAIN|SINCE|NOTE", "SINCE", "NOTE"), Cells: func(r *holds.Rule) []any {
			return []any{r.ID, cmp.Or(r.Account, "*"), cmp.Or(r.SenderDomain, "*"), cmp.Or(r.RecipientDomain, "*"), r.Created, r.Note}
		}})},
		verb{use: "remove ID", short: "forget one", run: onOne(p, idOf("waxwing hold list"), func(ctx context.Context, o *opened, id delivery.ID) error {
			return (&holds.Store{DB: o.store}).Remove(ctx, id)
		})})
}

func (p *program) addHold(ctx context.Context, r holds.Rule) error {
	if err := checkHold(&r); err != nil {
		return err
	}
	return p.withStore(ctx, func(o *opened) error {
		r, err := (&holds.Store{DB: o.store}).Add(ctx, r)
		if err != nil {
			return err
		}
		return p.answer(&r, "%s: %s", r.ID, &r)
	})
}

// checkHold refuses criteria that no mail could meet, and none at all.
func checkHold(r *holds.Rule) error {
	if r.Account == "" && r.SenderDomain == "" && r.RecipientDomain == "" {
		return usagef("it needs --account, --sender-domain or --domain: without any it would hold all mail")
	}
	for name, d := range map[string]string{"sender-domain": r.SenderDomain, "domain": r.RecipientDomain} {
		if d == "" {
			continue
		}
		if _, err := delivery.ParseRecipientDomain(d); err != nil {
			return parseFlag(name, err)
		}
	}
	return nil
}
