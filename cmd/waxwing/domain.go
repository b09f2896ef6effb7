package main

import (
	"context"
	"fmt"
	"time"

	"waxwing/dns"
)

// runDomain keeps the list of hosted domains.
func runDomain(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "remove")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "domain "+what)
	f.add(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		return withStore(ctx, e, f, func(o *opened) error { return listDomains(ctx, e, o, f.json) })
	}
	if len(rest) != 1 {
		return usagef("%s needs one domain", what)
	}
	name, err := dns.ParseName(rest[0])
	if err != nil {
		return usagef("%v", err)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		if what == "add" {
			err = o.accounts.AddDomain(ctx, name)
		} else {
			err = o.accounts.RemoveDomain(ctx, name)
		}
		if err != nil {
			return fmt.Errorf("domain %s: %w", name, err)
		}
		return nil
	})
}

func listDomains(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := o.accounts.Domains(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	rows := [][]string{}
	for _, d := range all {
		rows = append(rows, []string{d.Name.Unicode(), day(d.Created)})
	}
	return table(e.stdout, []string{"DOMAIN", "SINCE"}, rows)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
