package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waxwing/dns"
	"waxwing/internal/server"
	"waxwing/internal/stspolicy"
	"waxwing/mtasts"
)

// runMTASTS looks at the cached policies of other domains.
func runMTASTS(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "list", "lookup", "refresh", "forget", "publish", "published", "unpublish")
	if err != nil {
		return err
	}
	if strings.Contains(what, "publish") {
		return runPublish(ctx, e, what, args)
	}
	var f storeFlags
	fs := flags(e, "mtasts "+what)
	f.add(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		return withStore(ctx, e, f, func(o *opened) error { return listPolicies(ctx, e, o, f.json) })
	}
	if len(rest) != 1 {
		return usagef("%s needs one domain", what)
	}
	domain, err := dns.ParseName(rest[0])
	if err != nil {
		return usagef("%v", err)
	}
	if what == "lookup" {
		return lookupPolicy(ctx, e, f.config, domain, f.json)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		cache, err := server.STSCache(o.cfg, o.store)
		if err != nil {
			return err
		}
		if what == "forget" {
			return forgetPolicy(ctx, cache, domain)
		}
		finding, err := cache.Refresh(ctx, domain)
		var failed *mtasts.Error
		switch {
		case errors.As(err, &failed) && failed.Word == mtasts.NoRecord && finding.Policy == nil:
			_, err = fmt.Fprintf(e.stdout, "%s has no MTA-STS: %s\n", domain, failed.Detail)
			return err
		case err != nil:
			return fmt.Errorf("%s: %w", domain, err)
		case finding.Policy == nil:
			_, err = fmt.Fprintf(e.stdout, "%s has no MTA-STS\n", domain)
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s: mode %s, id %s, mx %s\n", domain, finding.Policy.Mode, finding.ID, strings.Join(finding.Policy.Patterns(), " "))
		return err
	})
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
	Domain     dns.Name `json:"domain"`
	Mode       string   `json:"mode,omitempty"`
	ID         string   `json:"id,omitempty"`
	MX         []string `json:"mx,omitempty"`
	Fetched    string   `json:"fetched"`
	ValidUntil string   `json:"valid_until"`
	Failure    string   `json:"failure,omitempty"`
}

func listPolicies(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := (&stspolicy.Cache{Store: o.store}).List(ctx)
	if err != nil {
		return err
	}
	rows := []policyRow{}
	cells := [][]string{}
	for _, x := range all {
		r := policyRow{Domain: x.Domain, ID: x.ID, Fetched: moment(x.Fetched), ValidUntil: moment(x.ValidUntil)}
		if x.Policy != nil {
			r.Mode, r.MX = string(x.Policy.Mode), x.Policy.Patterns()
		}
		if x.Failure != nil {
			r.Failure = x.Failure.Error()
		}
		rows = append(rows, r)
		cells = append(cells, []string{r.Domain.ASCII(), r.Mode, r.ID, strings.Join(r.MX, " "), r.ValidUntil, r.Failure})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e.stdout, []string{"DOMAIN", "MODE", "ID", "MX", "VALID UNTIL", "FAILURE"}, cells)
}
