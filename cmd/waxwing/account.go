package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/internal/accounts"
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
		if errors.Is(err, accounts.ErrInUse) {
			return fmt.Errorf("%w: remove its addresses first (\"waxwing address list\" shows them), or disable it", err)
		}
		if err != nil {
			return err
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
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password from standard input: %w", err)
		}
		return "", errors.New("no password on standard input: give one on the first line, or use -generate")
	}
	return password, nil
}

// newPassword has 120 bits.
func newPassword() string {
	b := make([]byte, 15)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// accountRow is one account as -json prints it.
type accountRow struct {
	Account  string    `json:"account"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
}

func listAccounts(ctx context.Context, e env, o *opened, asJSON bool) error {
	all, err := o.accounts.Accounts(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []accountRow{}
	for _, a := range all {
		objects = append(objects, accountRow{a.Name, a.Disabled, a.Created})
		state := "enabled"
		if a.Disabled {
			state = "disabled"
		}
		rows = append(rows, []string{a.Name, state, day(a.Created)})
	}
	if asJSON {
		return printJSON(e.stdout, objects)
	}
	return table(e.stdout, []string{"ACCOUNT", "STATE", "SINCE"}, rows)
}
