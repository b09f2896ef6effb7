package main

import (
	"context"
	"strings"
	"time"

	"waxwing/internal/account"
)

func addressActions() []action {
	return []action{
		{"add", "ADDRESS ACCOUNT", "let mail to an address go to an account"},
		{"list", "", "all addresses"},
		{"remove", "ADDRESS", "take no more mail for an address"},
	}
}

// runAddress keeps which address leads to which account.
func runAddress(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "address", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "address", what)
	f.addJSON(fs, what, "list")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	names := map[string][]string{"add": {"address", "account"}, "remove": {"address"}}[what]
	if err := wants(what, rest, names...); err != nil {
		return err
	}
	if len(rest) > 0 && !strings.HasPrefix(rest[0], account.CatchAll+"@") {
		if _, _, err := parseAddress(rest[0]); err != nil {
			return err
		}
	}
	return withStore(ctx, e, f, func(o *opened) error {
		switch what {
		case "list":
			return listAddresses(ctx, e, o, f.json)
		case "add":
			err = o.accounts.AddAddress(ctx, rest[0], rest[1])
		default:
			err = o.accounts.RemoveAddress(ctx, rest[0])
		}
		return err
	})
}

// addressRow is one address as -json prints it.
type addressRow struct {
	Address string    `json:"address"`
	Account string    `json:"account"`
	Mailbox string    `json:"mailbox"`
	Created time.Time `json:"created"`
}

func listAddresses(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := o.accounts.Addresses(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []addressRow{}
	for _, a := range all {
		objects = append(objects, addressRow(a))
		rows = append(rows, []string{a.Address, a.Account, a.Mailbox})
	}
	if asJSON {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"ADDRESS", "ACCOUNT", "MAILBOX"}, rows)
}
