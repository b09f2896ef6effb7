package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/accounts"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
)

// routeNoun keeps which mail takes which transport.
func (p *program) routeNoun() *cobra.Command {
	var r routeFlags
	return p.noun("route", "which mail takes which way",
		verb{use: "add TRANSPORT [CRITERIA]", short: "send mail that meets all criteria by a transport", json: true, flags: r.add,
			example: "route add isp\nroute add direct --to .partner.example --first", run: func(ctx context.Context, args []string) error { return p.addRoute(ctx, &r, args[0]) }},
		verb{use: "list", short: "all routes, in the order in which they are asked", json: true, run: list(p, p.onStore, p.routeRows,
			cli.List[routes.Row]{Columns: columns("ID|ROUTE"), Cells: func(r *routes.Row) []any { return []any{r.ID, r.Text} }})},
		verb{use: "remove ID", short: "forget one", run: onOne(p, idOf("waxwing route list"), func(ctx context.Context, o *opened, id delivery.ID) error {
			err := o.routes.RemoveRule(ctx, int64(id))
			if errors.Is(err, routes.ErrUnknown) {
				return fmt.Errorf("%w; \"waxwing route list\" shows all", err)
			}
			return err
		})},
		verb{use: "test ADDRESS", short: "say which way a mail would take, and why no other", json: true, flags: r.test,
			example: "route test someone@example.net --account joe", run: p.onStore(func(ctx context.Context, o *opened, args []string) error {
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
	rule := route.Rule{Scope: route.OfServer, MinAttempts: r.attempts, Transport: transport}
	switch {
	case r.account != "" && r.domain != "":
		return rule, usagef("--account and --domain exclude each other: a route belongs to one of them (--from goes with both)")
	case r.account != "":
		rule.Scope, rule.Owner = route.OfAccount, r.account
	case r.domain != "":
		d, err := parseDomain(r.domain)
		if err != nil {
			return rule, parseFlag("domain", err)
		}
		rule.Scope, rule.Owner = route.OfDomain, d.ASCII()
	}
	var err error
	for _, p := range []struct {
		flag, text string
		into       *route.Pattern
	}{{"to", r.to, &rule.Recipient}, {"from", r.from, &rule.Sender}} {
		if p.text == "" {
			continue
		}
		if *p.into, err = route.ParsePattern(p.text); err != nil {
			return rule, parseFlag(p.flag, err)
		}
	}
	if r.need != "" {
		need, err := delivery.ParseTLSNeed(r.need)
		if err != nil {
			return rule, parseFlag("need", err)
		}
		rule.Need = &need
	}
	if err := rule.Check(); err != nil {
		return rule, usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return rule, nil
}

func (p *program) addRoute(ctx context.Context, r *routeFlags, transport string) error {
	rule, err := r.rule(transport)
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(o *opened) error {
		rule, err := o.routes.AddRule(ctx, rule, r.first)
		if errors.Is(err, routes.ErrUnknown) {
			return fmt.Errorf("%w: add it first", err)
		}
		if err != nil {
			return err
		}
		return p.answer(routes.RowOf(&rule), "route %s: %s", delivery.ID(rule.ID), &rule)
	})
}

// routeRows lists the rules, and says on stderr which cannot be used.
func (p *program) routeRows(ctx context.Context, o *opened, _ []string) ([]routes.Row, error) {
	t, err := p.routeTable(ctx, o, "route")
	if err != nil {
		return nil, err
	}
	var rows []routes.Row
	for i := range t.Rules {
		rows = append(rows, routes.RowOf(&t.Rules[i]))
	}
	return rows, nil
}

func (p *program) routeTable(ctx context.Context, o *opened, noun string) (*routes.Table, error) {
	t, err := o.routes.Table(ctx)
	if err != nil {
		return nil, err
	}
	for what, err := range t.Broken {
		fmt.Fprintf(p.stderr, "waxwing %s: %s cannot be used, and mail waits: %v\n", noun, what, err)
	}
	return t, nil
}

// subject makes what is tested of the flags and an address.
func (r *routeFlags) subject(address string) (route.Subject, error) {
	s := route.Subject{Account: r.account, Attempts: r.attempts, Own: r.transport}
	var err error
	if _, s.Recipient, err = parseAddress(address); err != nil {
		return s, err
	}
	if r.from != "" {
		_, from, err := parseAddress(r.from)
		if err != nil {
			return s, parseFlag("from", err)
		}
		s.Sender = from.Name // an address literal has none, and matches none
	}
	if r.need != "" {
		if s.Need, err = delivery.ParseTLSNeed(r.need); err != nil {
			return s, parseFlag("need", err)
		}
	}
	return s, nil
}

// testRoute says which way a mail would take, and why no other.
func (p *program) testRoute(ctx context.Context, o *opened, r *routeFlags, address string) error {
	s, err := r.subject(address)
	if err != nil {
		return err
	}
	hosted, err := hosts(ctx, o.accounts, s.Recipient)
	if err != nil {
		return err
	}
	t, err := o.routes.Table(ctx)
	if err != nil {
		return err
	}
	choice := route.Choose(t.Rules, s)
	if hosted {
		choice = route.Choice{Transport: route.LocalName, Why: "the domain is hosted here; routes are for mail that leaves"}
	}
	_, known := t.Transports[choice.Transport]
	test := routes.Test{Transport: choice.Transport, Exists: known, Why: choice.Why, Routes: []routes.Row{}}
	for i := range t.Rules {
		row := routes.RowOf(&t.Rules[i])
		row.Skipped = route.Mismatch(&t.Rules[i], s)
		test.Routes = append(test.Routes, row)
	}
	if p.json {
		return printJSON(p.stdout, test)
	}
	fmt.Fprintf(p.stdout, "transport %s: %s\n", choice.Transport, choice.Why)
	for _, row := range test.Routes {
		if hosted || choice.Rule == nil && s.Own != "" {
			break
		}
		if choice.Rule != nil && row.ID == delivery.ID(choice.Rule.ID) {
			fmt.Fprintf(p.stdout, "  route %s: this one\n", row.ID)
			break
		}
		fmt.Fprintf(p.stdout, "  route %s, %s: no, %s\n", row.ID, row.Text, row.Skipped)
	}
	if !known {
		return fmt.Errorf("there is no transport %s: the mail would wait; \"waxwing transport list\" shows all", choice.Transport)
	}
	return nil
}

func hosts(ctx context.Context, a *accounts.Store, d delivery.RecipientDomain) (bool, error) {
	if d.IsLiteral() {
		return false, nil
	}
	return a.IsHosted(ctx, d.Name)
}
