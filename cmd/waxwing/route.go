package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
)

func routeActions() []action {
	return []action{
		{"add", "TRANSPORT [CRITERIA]", "send mail that meets all criteria by a transport"},
		{"list", "", "all routes, in the order in which they are asked"},
		{"remove", "ID", "forget one"},
		{"test", "ADDRESS", "say which way a mail would take, and why no other"},
	}
}

// runRoute keeps which mail takes which transport.
func runRoute(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "route", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "route", what)
	f.addJSON(fs, what, "add", "list", "test")
	var r routeFlags
	switch what {
	case "add":
		r.add(fs)
	case "test":
		r.test(fs)
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	names := map[string][]string{"add": {"transport"}, "remove": {"route's id"}, "test": {"address"}}[what]
	if err := wants(what, rest, names...); err != nil {
		return err
	}
	switch what {
	case "list":
		return withRoutes(ctx, e, f, func(s *routes.Store) error { return listRoutes(ctx, e, s, f.json) })
	case "add":
		return addRoute(ctx, e, f, &r, rest[0])
	case "test":
		return withStore(ctx, e, f, func(o *opened) error { return testRoute(ctx, e, o, &r, rest[0], f.json) })
	}
	id, err := parseID(rest[0], "waxwing route list")
	if err != nil {
		return err
	}
	return withRoutes(ctx, e, f, func(s *routes.Store) error {
		err := s.RemoveRule(ctx, int64(id))
		if errors.Is(err, routes.ErrUnknown) {
			return fmt.Errorf("%w; \"waxwing route list\" shows all", err)
		}
		return err
	})
}

// routeFlags are a rule, or what one is tested with, as it is typed.
type routeFlags struct {
	account, domain, to, from string
	attempts                  int
	need, transport           string
	first                     bool
}

func (r *routeFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&r.account, "account", "", "only mail that this `account` submitted; comes before the routes of domains and of the server")
	fs.StringVar(&r.domain, "domain", "", "only mail from this hosted `domain`; comes before the routes of the server")
	fs.StringVar(&r.to, "to", "", "only mail to this `domain`; .example.org is example.org with all below it")
	fs.StringVar(&r.from, "from", "", "only mail whose sender is at this `domain`, or with a dot before it at one below")
	fs.IntVar(&r.attempts, "attempts", 0, "only after `N` failed attempts")
	fs.StringVar(&r.need, "need", "", "only mail with this TLS `need`: follow-policy, require-tls, tls-optional")
	fs.BoolVar(&r.first, "first", false, "put it before the routes of the same account, domain or server, not behind them")
}

func (r *routeFlags) test(fs *flag.FlagSet) {
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
		return rule, usagef("-account and -domain exclude each other: a route belongs to one of them (-from goes with both)")
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
			return rule, usagef("-%s: %v", p.flag, err)
		}
	}
	if r.need != "" {
		need, err := delivery.ParseTLSNeed(r.need)
		if err != nil {
			return rule, usagef("-need: %v", err)
		}
		rule.Need = &need
	}
	if err := rule.Check(); err != nil {
		return rule, usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return rule, nil
}

func addRoute(ctx context.Context, e env, f storeFlags, r *routeFlags, transport string) error {
	rule, err := r.rule(transport)
	if err != nil {
		return err
	}
	return withRoutes(ctx, e, f, func(s *routes.Store) error {
		rule, err := s.AddRule(ctx, rule, r.first)
		if errors.Is(err, routes.ErrUnknown) {
			return fmt.Errorf("%w: add it first", err)
		}
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, newRouteRow(&rule))
		}
		_, err = fmt.Fprintf(e.stdout, "route %s: %s\n", delivery.ID(rule.ID), &rule)
		return err
	})
}

// routeRow is one route as -json prints it.
type routeRow struct {
	ID        delivery.ID `json:"id"`
	Scope     string      `json:"scope"`
	Owner     string      `json:"owner,omitempty"`
	To        string      `json:"to,omitempty"`
	From      string      `json:"from,omitempty"`
	Attempts  int         `json:"attempts,omitempty"`
	Need      string      `json:"need,omitempty"`
	Transport string      `json:"transport"`
	Skipped   string      `json:"skipped,omitempty"` // of route test: why it is not for this mail
}

func newRouteRow(r *route.Rule) routeRow {
	row := routeRow{ID: delivery.ID(r.ID), Scope: r.Scope.String(), Owner: r.Owner, To: r.Recipient.String(), From: r.Sender.String(), Attempts: r.MinAttempts, Transport: r.Transport}
	if r.Need != nil {
		row.Need = r.Need.String()
	}
	return row
}

func listRoutes(ctx context.Context, e env, s *routes.Store, asJSON bool) error {
	t, err := s.Table(ctx)
	if err != nil {
		return err
	}
	for what, err := range t.Broken {
		fmt.Fprintf(e.stderr, "waxwing route: %s cannot be used, and mail waits: %v\n", what, err)
	}
	objects := []routeRow{}
	rows := [][]string{}
	for i := range t.Rules {
		r := &t.Rules[i]
		objects = append(objects, newRouteRow(r))
		rows = append(rows, []string{delivery.ID(r.ID).String(), r.String()})
	}
	if asJSON {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"ID", "ROUTE"}, rows)
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
			return s, usagef("-need: %v", err)
		}
	}
	return s, nil
}

// testRoute says which way a mail would take, and why no other.
func testRoute(ctx context.Context, e env, o *opened, r *routeFlags, address string, asJSON bool) error {
	s, err := r.subject(address)
	if err != nil {
		return err
	}
	hosted, err := hosts(ctx, o.accounts, s.Recipient)
	if err != nil {
		return err
	}
	t, err := (&routes.Store{DB: o.store}).Table(ctx)
	if err != nil {
		return err
	}
	choice := route.Choose(t.Rules, s)
	if hosted {
		choice = route.Choice{Transport: route.LocalName, Why: "the domain is hosted here; routes are for mail that leaves"}
	}
	_, known := t.Transports[choice.Transport]
	rows := []routeRow{}
	for i := range t.Rules {
		row := newRouteRow(&t.Rules[i])
		row.Skipped = route.Mismatch(&t.Rules[i], s)
		rows = append(rows, row)
	}
	if asJSON {
		return printJSON(e.stdout, map[string]any{"transport": choice.Transport, "exists": known, "why": choice.Why, "routes": rows})
	}
	fmt.Fprintf(e.stdout, "transport %s: %s\n", choice.Transport, choice.Why)
	for i, row := range rows {
		if hosted || choice.Rule == nil && s.Own != "" {
			break
		}
		if choice.Rule != nil && row.ID == delivery.ID(choice.Rule.ID) {
			fmt.Fprintf(e.stdout, "  route %s: this one\n", row.ID)
			break
		}
		fmt.Fprintf(e.stdout, "  route %s, %s: no, %s\n", row.ID, &t.Rules[i], row.Skipped)
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
