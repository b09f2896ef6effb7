package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
)

// runAccount keeps accounts. Passwords come from standard input, so that they
// stand in no process list and no shell history.
func runAccount(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "remove", "password", "disable", "enable")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "account "+what)
	f.add(fs)
	generate := fs.Bool("generate", false, "make a password and print it, instead of reading one line from standard input")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		return withStore(ctx, e, f, func(o *opened) error { return listAccounts(ctx, e, o, f.json) })
	}
	if len(rest) != 1 {
		return usagef("%s needs one account name", what)
	}
	name := rest[0]
	password := ""
	if what == "add" || what == "password" {
		if password, err = askPassword(e, *generate); err != nil {
			return err
		}
	}
	return withStore(ctx, e, f, func(o *opened) error {
		switch what {
		case "add":
			err = o.accounts.AddAccount(ctx, name, password)
		case "password":
			err = o.accounts.SetPassword(ctx, name, password)
		case "remove":
			err = o.accounts.RemoveAccount(ctx, name)
		default:
			err = o.accounts.SetDisabled(ctx, name, what == "disable")
		}
		if err != nil {
			return fmt.Errorf("account %s: %w", name, err)
		}
		if *generate && password != "" {
			fmt.Fprintln(e.stdout, password)
		}
		return nil
	})
}

func askPassword(e env, generate bool) (string, error) {
	if generate {
		return newPassword(), nil
	}
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", fmt.Errorf("no password on standard input (%v): give one on the first line, or use -generate", err)
	}
	return password, nil
}

// newPassword has 120 bits.
func newPassword() string {
	b := make([]byte, 15)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

func listAccounts(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := o.accounts.Accounts(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	rows := [][]string{}
	for _, a := range all {
		state := "enabled"
		if a.Disabled {
			state = "disabled"
		}
		rows = append(rows, []string{a.Name, state, day(a.Created)})
	}
	return table(e.stdout, []string{"ACCOUNT", "STATE", "SINCE"}, rows)
}
