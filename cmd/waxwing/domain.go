package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
)

func domainActions() []action {
	return []action{
		{"add", "DOMAIN", "take mail for a domain"},
		{"list", "", "all domains"},
		{"remove", "DOMAIN", "take no more mail for a domain without addresses"},
	}
}

// runDomain keeps the list of hosted domains.
func runDomain(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "domain", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "domain", what)
	f.addJSON(fs, what, "list")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		if err := only(rest); err != nil {
			return err
		}
		return withStore(ctx, e, f, func(o *opened) error { return listDomains(ctx, e, o, f.json) })
	}
	if err := wants(what, rest, "domain"); err != nil {
		return err
	}
	name, err := parseDomain(rest[0])
	if err != nil {
		return err
	}
	return withStore(ctx, e, f, func(o *opened) error {
		if what == "add" {
			err = o.accounts.AddDomain(ctx, name)
		} else {
			err = o.accounts.RemoveDomain(ctx, name)
		}
		if errors.Is(err, accounts.ErrInUse) {
			return fmt.Errorf("%w: remove its addresses first; \"waxwing address list\" shows them", err)
		}
		return err
	})
}

// domainRow is one hosted domain as -json prints it.
type domainRow struct {
	Domain  dns.Name  `json:"domain"`
	Created time.Time `json:"created"`
}

func listDomains(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := o.accounts.Domains(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []domainRow{}
	for _, d := range all {
		objects = append(objects, domainRow{d.Name, d.Created})
		rows = append(rows, []string{d.Name.Unicode(), day(d.Created)})
	}
	if asJSON {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"DOMAIN", "SINCE"}, rows)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
