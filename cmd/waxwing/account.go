package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/server"
)

func accountActions() []action {
	return []action{
		{"add", "NAME [-generate]", "make one; asks for its password"},
		{"list", "", "all, with what they sent today"},
		{"remove", "NAME", "forget one without addresses"},
		{"password", "NAME [-generate]", "set another password"},
		{"disable", "NAME", "let it log in no more; its mail is still taken"},
		{"enable", "NAME", "let it log in again"},
		{"limit", "NAME", "show or set what it may send in a day"},
	}
}

// runAccount keeps accounts.
func runAccount(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "account", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "account", what)
	f.addJSON(fs, what, "list", "limit")
	generate := new(bool)
	if what == "add" || what == "password" {
		fs.BoolVar(generate, "generate", false, "make a password and print it, instead of asking for one or reading it from the first line of standard input")
	}
	var messages, recipients dailyLimit
	if what == "limit" {
		fs.Var(&messages, "messages", "how many messages the account may send in a day: `N`, \"none\" or \"default\" (as the configuration says)")
		fs.Var(&recipients, "recipients", "to how many recipients in a day: `N`, \"none\" or \"default\"")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" {
		if err := only(rest); err != nil {
			return err
		}
		return withStore(ctx, e, f, func(o *opened) error { return listAccounts(ctx, e, o, accountList{json: f.json}) })
	}
	if (what == "add" || what == "password") && len(rest) == 2 {
		return usagef("a password is no argument: others could read it in the list of processes, and it stays in the shell's history; it is asked for, or read from standard input")
	}
	if err := wants(what, rest, "account"); err != nil {
		return err
	}
	name := rest[0]
	if err := account.CheckName(name); err != nil {
		return usageError{err.Error()}
	}
	if what == "limit" {
		return limitAccount(ctx, e, f, name, messages, recipients)
	}
	password := ""
	if what == "add" || what == "password" {
		password = newPassword()
		if !*generate {
			if password, err = askPassword(ctx, e, wanted{of: name, isNew: true}); err != nil {
				return err
			}
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

// dailyLimit is a flag that may be left out.
type dailyLimit struct {
	given bool
	n     *int64 // nil: as the configuration says; 0: none
}

func (l *dailyLimit) String() string { return "" }

func (l *dailyLimit) Set(s string) error {
	l.given = true
	switch s {
	case "default":
		l.n = nil
		return nil
	case "none":
		l.n = new(int64)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		return errors.New("write a number above 0, \"none\" or \"default\"")
	}
	l.n = &n
	return nil
}

// limitAccount sets an account's own limits (INB-3) and says which hold then. A
// running server knows at its next look: within seconds where it has refused,
// at the end of a block where it has not.
func limitAccount(ctx context.Context, e env, f storeFlags, name string, messages, recipients dailyLimit) error {
	return withStore(ctx, e, f, func(o *opened) error {
		rooms := server.Allowance(o.cfg, o.store)
		if messages.given || recipients.given {
			err := rooms.SetLimit(ctx, name, func(own allowance.Own) allowance.Own {
				if messages.given {
					own.Messages = messages.n
				}
				if recipients.given {
					own.Recipients = recipients.n
				}
				return own
			})
			if err != nil {
				return err
			}
		}
		return listAccounts(ctx, e, o, accountList{name, f.json})
	})
}

// accountRow is one account as -json prints it.
type accountRow struct {
	Account  string    `json:"account"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	// Today is what it has sent since midnight UTC; a limit of 0 is none.
	Messages        int64 `json:"messages_today"`
	MessagesLimit   int64 `json:"messages_per_day"`
	Recipients      int64 `json:"recipients_today"`
	RecipientsLimit int64 `json:"recipients_per_day"`
}

// accountList says what to list.
type accountList struct {
	only string // this account; "" is all
	json bool
}

func listAccounts(ctx context.Context, e env, o *opened, l accountList) error {
	all, err := o.accounts.Accounts(ctx)
	if err != nil {
		return err
	}
	rooms := server.Allowance(o.cfg, o.store)
	today, err := rooms.Today(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []accountRow{}
	for _, a := range all {
		if l.only != "" && a.Name != l.only {
			continue
		}
		t, ok := today[a.Name]
		if !ok {
			t.Limit = rooms.Limit
		}
		objects = append(objects, accountRow{a.Name, a.Disabled, a.Created, t.Used.Messages, t.Limit.Messages, t.Used.Recipients, t.Limit.Recipients})
		state := "enabled"
		if a.Disabled {
			state = "disabled"
		}
		rows = append(rows, []string{a.Name, state, day(a.Created), ofLimit(t.Used.Messages, t.Limit.Messages), ofLimit(t.Used.Recipients, t.Limit.Recipients)})
	}
	if len(rows) == 0 && l.only != "" {
		return fmt.Errorf("account %s: %w", l.only, accounts.ErrNoSuchAccount)
	}
	if l.json {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"ACCOUNT", "STATE", "SINCE", "MESSAGES TODAY", "RECIPIENTS TODAY"}, rows)
}

func ofLimit(used, limit int64) string {
	if limit == 0 {
		return fmt.Sprint(used)
	}
	return fmt.Sprintf("%d of %d", used, limit)
}
