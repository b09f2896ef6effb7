package main

import (
	"context"
	"time"
)

// runAddress keeps which address leads to which account.
func runAddress(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "remove")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "address "+what)
	f.add(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	want := map[string]int{"add": 2, "list": 0, "remove": 1}[what]
	if len(rest) != want {
		return usagef("address add ADDRESS ACCOUNT, address remove ADDRESS, address list (\"*@domain\" is a domain's catchall)")
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
	return table(e.stdout, []string{"ADDRESS", "ACCOUNT", "MAILBOX"}, rows)
}
