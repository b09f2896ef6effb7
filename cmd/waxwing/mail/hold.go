package mail

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/holds"
	"waxwing/internal/upkeep"
)

// holdNoun keeps the rules by which new mail is held back (QUE-6). What it holds,
// "queue unhold" releases.
func (p *program) holdNoun() *cobra.Command {
	var r holds.Rule
	return p.Noun("hold", "rules by which new mail is held back",
		cli.Verb{Use: "add CRITERIA", Short: "hold new mail that meets all criteria", JSON: true, Example: "hold add --domain far.example --note 'ask first'",
			Long: "What is held waits until \"waxwing queue unhold\" releases it.",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&r.Account, "account", "", "mail that this `account` submits")
				fs.StringVar(&r.SenderDomain, "sender-domain", "", "mail from addresses of this `domain`")
				fs.StringVar(&r.RecipientDomain, "domain", "", "mail to this `domain`")
				fs.StringVar(&r.Note, "note", "", "`reason`, shown with what is held")
			}, Run: func(ctx context.Context, _ []string) error { return p.addHold(ctx, r) }},
		cli.Verb{Use: "list", Short: "all rules", JSON: true, Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]holds.Rule, error) {
			return (&holds.Store{DB: o.Store}).List(ctx)
		}, holds.Listing())},
		cli.Verb{Use: "remove ID", Short: "forget one", Run: command.OnOne(p.Call, cli.IDOf("waxwing hold list"), func(ctx context.Context, o *upkeep.Opened, id delivery.ID) error {
			return (&holds.Store{DB: o.Store}).Remove(ctx, id)
		})})
}

func (p *program) addHold(ctx context.Context, r holds.Rule) error {
	if err := checkHold(&r); err != nil {
		return err
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		r, err := (&holds.Store{DB: o.Store}).Add(ctx, r)
		if err != nil {
			return err
		}
		return p.Answer(&r, "%s: %s", r.ID, &r)
	})
}

// checkHold refuses criteria that no mail could meet, and none at all.
func checkHold(r *holds.Rule) error {
	if r.Account == "" && r.SenderDomain == "" && r.RecipientDomain == "" {
		return cli.Usagef("it needs --account, --sender-domain or --domain: without any it would hold all mail")
	}
	for name, d := range map[string]string{"sender-domain": r.SenderDomain, "domain": r.RecipientDomain} {
		if d == "" {
			continue
		}
		if _, err := delivery.ParseRecipientDomain(d); err != nil {
			return cli.FlagError(name, err)
		}
	}
	return nil
}
