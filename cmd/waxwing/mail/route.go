package mail

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/upkeep"
)

// routeNoun keeps which mail takes which transport.
func (p *program) routeNoun() *cobra.Command {
	var r routeFlags
	return p.Noun("route", "which mail takes which way",
		cli.Verb{Use: "add TRANSPORT [CRITERIA]", Short: "send mail that meets all criteria by a transport", JSON: true, Flags: r.add,
			Example: "route add isp\nroute add direct --to .partner.example --first", Run: func(ctx context.Context, args []string) error { return p.addRoute(ctx, &r, args[0]) }},
		cli.Verb{Use: "list", Short: "all routes, in the order in which they are asked", JSON: true, Run: command.List(p.Call, p.OnStore, p.routeRows,
			routes.RuleListing())},
		cli.Verb{Use: "remove ID", Short: "forget one", Run: command.OnOne(p.Call, cli.IDOf("waxwing route list"), func(ctx context.Context, o *upkeep.Opened, id delivery.ID) error {
			err := o.Routes.RemoveRule(ctx, int64(id))
			if errors.Is(err, routes.ErrUnknown) {
				return fmt.Errorf("%w; \"waxwing route list\" shows all", err)
			}
			return err
		})},
		cli.Verb{Use: "test ADDRESS", Short: "say which way a mail would take, and why no other", JSON: true, Flags: r.test,
			Example: "route test someone@example.net --account joe", Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return p.testRoute(ctx, o, &r, args[0])
			})})
}

// routeFlags are a rule, or what one is tested with, as it is typed.
type routeFlags struct {
	account, domain, to, from string
	attempts                  int
	need, transport           string
	first                     bool
}

func (r *routeFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&r.account, "account", "", "only mail that this `account` submitted; comes before the routes of domains and of the server")
	fs.StringVar(&r.domain, "domain", "", "only mail from this hosted `domain`; comes before the routes of the server")
	fs.StringVar(&r.to, "to", "", "only mail to this `domain`; .example.org is example.org with all below it")
	fs.StringVar(&r.from, "from", "", "only mail whose sender is at this `domain`, or with a dot before it at one below")
	fs.IntVar(&r.attempts, "attempts", 0, "only after `N` failed attempts")
	fs.StringVar(&r.need, "need", "", "only mail with this TLS `need`: follow-policy, require-tls, tls-optional")
	fs.BoolVar(&r.first, "first", false, "put it before the routes of the same account, domain or server, not behind them")
}

func (r *routeFlags) test(fs *pflag.FlagSet) {
	fs.StringVar(&r.account, "account", "", "as if this `account` had submitted the mail")
	fs.StringVar(&r.from, "from", "", "as if this `address` were the sender")
	fs.IntVar(&r.attempts, "attempts", 0, "as if `N` attempts had failed")
	fs.StringVar(&r.need, "need", "", "as if it had this TLS `need`: follow-policy, require-tls, tls-optional")
	fs.StringVar(&r.transport, "transport", "", "as if it had this `transport` of its own")
}

// rule makes a Rule of the flags.
func (r *routeFlags) rule(transport string) (route.Rule, error) {
	typed := routes.TypedRule{Account: r.account, Domain: r.domain, To: r.to, From: r.from, Attempts: r.attempts, Need: r.need}
	rule, err := typed.Rule(transport)
	return rule, cli.Faults(err)
}

func (p *program) addRoute(ctx context.Context, r *routeFlags, transport string) error {
	rule, err := r.rule(transport)
	if err != nil {
		return err
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		rule, err := o.Routes.AddRule(ctx, rule, r.first)
		if errors.Is(err, routes.ErrUnknown) {
			return fmt.Errorf("%w: add it first", err)
		}
		if err != nil {
			return err
		}
		return p.Answer(routes.RowOf(&rule), "route %s: %s", delivery.ID(rule.ID), &rule)
	})
}

// routeRows lists the rules, and says on stderr which cannot be used.
func (p *program) routeRows(ctx context.Context, o *upkeep.Opened, _ []string) ([]routes.Row, error) {
	t, err := p.routeTable(ctx, o, "route")
	if err != nil {
		return nil, err
	}
	return t.Rows(), nil
}

func (p *program) routeTable(ctx context.Context, o *upkeep.Opened, noun string) (*routes.Table, error) {
	t, err := o.Routes.Table(ctx)
	if err != nil {
		return nil, err
	}
	for what, err := range t.Broken {
		fmt.Fprintf(p.Stderr, "waxwing %s: %s cannot be used, and mail waits: %v\n", noun, what, err)
	}
	return t, nil
}

// testRoute says which way a mail would take, and why no other.
func (p *program) testRoute(ctx context.Context, o *upkeep.Opened, r *routeFlags, address string) error {
	s, err := routes.Tried{Account: r.account, From: r.from, Attempts: r.attempts, Need: r.need, Transport: r.transport}.Subject(address)
	if err != nil {
		return cli.Usagef("%v", err)
	}
	hosted, err := explain.AskHosted(ctx, o.Accounts, s.Recipient, "", address)
	if err != nil {
		return err
	}
	t, err := o.Routes.Table(ctx)
	if err != nil {
		return err
	}
	test := t.Test(s, hosted.Hosted)
	err = p.Prose(test, test.Print)
	if err == nil && test.Transport == "" {
		err = fmt.Errorf("%s: the mail would wait; remove that route and make it anew", test.Why)
	}
	if err == nil && !test.Exists {
		err = fmt.Errorf("there is no transport %s: the mail would wait; \"waxwing transport list\" shows all", test.Transport)
	}
	return err
}
