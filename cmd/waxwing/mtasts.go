package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/server"
	"waxwing/internal/stspolicy"
	"waxwing/mtasts"
)

func mtastsActions() []action {
	return []action{
		{"list", "", "the policies of other domains that are cached here"},
		{"lookup", "DOMAIN", "look a policy up as a stranger would, past the cache"},
		{"refresh", "DOMAIN", "look up and fetch a cached policy anew"},
		{"forget", "DOMAIN", "take a policy out of the cache"},
		{"publish", "DOMAIN", "serve a policy for a domain of ours, print its records"},
		{"published", "", "the policies that this server serves"},
		{"unpublish", "DOMAIN", "serve a policy no more"},
	}
}

// runMTASTS looks at the cached policies of other domains.
func runMTASTS(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "mtasts", args)
	if err != nil {
		return err
	}
	if strings.Contains(what, "publish") {
		return runPublish(ctx, e, what, args)
	}
	var f storeFlags
	fs := flags(e, "mtasts", what)
	f.addJSON(fs, what, "list", "lookup", "refresh")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		if err := only(rest); err != nil {
			return err
		}
		return withStore(ctx, e, f, func(o *opened) error { return listPolicies(ctx, e, o, f.json) })
	}
	if err := wants(what, rest, "domain"); err != nil {
		return err
	}
	domain, err := parseDomain(rest[0])
	if err != nil {
		return err
	}
	if what == "lookup" {
		return lookupPolicy(ctx, e, f.config, domain, f.json)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		cache, err := server.STSCache(o.options, o.store)
		if err != nil {
			return err
		}
		if what == "forget" {
			return forgetPolicy(ctx, cache, domain)
		}
		return refreshPolicy(ctx, e, cache, domain, f.json)
	})
}

// refreshPolicy looks a domain's policy up and fetches it, whatever is cached. That a
// domain has none is an answer, and no failure.
func refreshPolicy(ctx context.Context, e env, cache *stspolicy.Cache, domain dns.Name, asJSON bool) error {
	finding, err := cache.Refresh(ctx, domain)
	var failed *mtasts.Error
	none := finding.Policy == nil && (err == nil || errors.As(err, &failed) && failed.Word == mtasts.NoRecord)
	if err != nil && !none {
		return fmt.Errorf("%s: %w", domain, err)
	}
	row := policyRow{Domain: domain, ID: finding.ID, Fetched: finding.Fetched}
	text := fmt.Sprintf("%s has no MTA-STS", domain)
	if failed != nil {
		row.Failure = failed.Error()
		text += ": " + failed.Detail
	}
	if p := finding.Policy; p != nil {
		row.Mode, row.MX = string(p.Mode), p.Patterns()
		row.ValidUntil = finding.Fetched.Add(p.MaxAge)
		text = fmt.Sprintf("%s: mode %s, id %s, mx %s", domain, p.Mode, finding.ID, strings.Join(row.MX, " "))
	}
	if asJSON {
		return printJSON(e.stdout, row)
	}
	_, err = fmt.Fprintln(e.stdout, text)
	return err
}

func forgetPolicy(ctx context.Context, cache *stspolicy.Cache, domain dns.Name) error {
	there, err := cache.Forget(ctx, domain)
	if err == nil && !there {
		err = fmt.Errorf("no policy of %s is cached; \"waxwing mtasts list\" shows those that are", domain)
	}
	return err
}

// policyRow is one cached policy as -json prints it.
type policyRow struct {
	Domain     dns.Name  `json:"domain"`
	Mode       string    `json:"mode,omitempty"`
	ID         string    `json:"id,omitempty"`
	MX         []string  `json:"mx,omitempty"`
	Fetched    time.Time `json:"fetched,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Failure    string    `json:"failure,omitempty"`
}

func listPolicies(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := (&stspolicy.Cache{Store: o.store}).List(ctx)
	if err != nil {
		return err
	}
	rows := []policyRow{}
	cells := [][]string{}
	for _, x := range all {
		r := policyRow{Domain: x.Domain, ID: x.ID, Fetched: x.Fetched, ValidUntil: x.ValidUntil}
		if x.Policy != nil {
			r.Mode, r.MX = string(x.Policy.Mode), x.Policy.Patterns()
		}
		if x.Failure != nil {
			r.Failure = x.Failure.Error()
		}
		rows = append(rows, r)
		cells = append(cells, []string{r.Domain.ASCII(), r.Mode, r.ID, strings.Join(r.MX, " "), moment(r.ValidUntil), r.Failure})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"DOMAIN", "MODE", "ID", "MX", "VALID UNTIL", "FAILURE"}, cells, "ID", "VALID UNTIL")
}
