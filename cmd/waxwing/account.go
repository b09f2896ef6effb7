package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/cli"
	"waxwing/internal/control"
	"waxwing/internal/server"
)

// accountNoun keeps accounts.
func (p *program) accountNoun() *cobra.Command {
	var generate bool
	var l limits
	generates := func(fs *pflag.FlagSet) {
		fs.BoolVar(&generate, "generate", false, "make a password and print it, instead of asking for one or reading it from the first line of standard input")
	}
	disable := func(disabled bool) action {
		return onOne(p, accountName, func(ctx context.Context, o *opened, name string) error {
			return o.accounts.SetDisabled(ctx, name, disabled)
		})
	}
	return p.noun("account", "who may log in, and how much they send",
		verb{use: "add ACCOUNT [--generate]", short: "make one; asks for its password", example: "account add joe", flags: generates, refuse: refusePassword,
			run: p.withPassword(&generate, (*accounts.Store).AddAccount)},
		verb{use: "list", short: "all, with what they sent today", json: true, run: list(p, p.onStore, func(ctx context.Context, o *opened, _ []string) ([]control.Account, error) {
			return control.Accounts(ctx, o.accounts, server.Allowance(o.cfg, o.store))
		}, accountColumns())},
		verb{use: "remove ACCOUNT", short: "forget one without addresses", run: onOne(p, accountName, removeAccount)},
		verb{use: "password ACCOUNT [--generate]", short: "set another password", example: "account password joe", flags: generates, refuse: refusePassword,
			run: p.withPassword(&generate, (*accounts.Store).SetPassword)},
		verb{use: "disable ACCOUNT", short: "let it log in no more; its mail is still taken", run: disable(true)},
		verb{use: "enable ACCOUNT", short: "let it log in again", run: disable(false)},
		verb{use: "limit ACCOUNT", short: "show or set what it may send in a day", json: true, flags: l.flags,
			example: "account limit joe\naccount limit joe --messages 20000 --recipients none",
			run: onOne(p, accountName, func(ctx context.Context, o *opened, name string) error {
				return p.limitAccount(ctx, o, name, l)
			})})
}

func refusePassword(args []string) error {
	if len(args) == 2 {
		return usagef("a password is no argument: others could read it in the list of processes, and it stays in the shell's history; it is asked for, or read from standard input")
	}
	return nil
}

// accountName reads the name of an account that stands as an argument.
func accountName(s string) (string, error) {
	if err := account.CheckName(s); err != nil {
		return "", usageError{err.Error()}
	}
	return s, nil
}

// withPassword is a command that gives an account a password.
func (p *program) withPassword(generate *bool, set func(*accounts.Store, context.Context, string, string) error) action {
	return func(ctx context.Context, args []string) error {
		name, err := accountName(args[0])
		if err != nil {
			return err
		}
		password := newPassword()
		if !*generate {
			if password, err = askPassword(ctx, p.env, wanted{of: name, isNew: true}); err != nil {
				return err
			}
		}
		return p.withStore(ctx, func(o *opened) error {
			if err := set(o.accounts, ctx, name, password); err != nil || !*generate {
				return err
			}
			_, err := fmt.Fprintln(p.stdout, password)
			return err
		})
	}
}

func removeAccount(ctx context.Context, o *opened, name string) error {
	err := o.accounts.RemoveAccount(ctx, name)
	if errors.Is(err, accounts.ErrInUse) {
		return fmt.Errorf("%w: remove its addresses first (\"waxwing address list\" shows them), or disable it", err)
	}
	return err
}

// limits are an account's own, as far as they are given.
type limits struct{ messages, recipients dailyLimit }

func (l *limits) flags(fs *pflag.FlagSet) {
	fs.Var(&l.messages, "messages", "how many messages the account may send in a day: `N`, \"none\" or \"default\" (as the configuration says)")
	fs.Var(&l.recipients, "recipients", "to how many recipients in a day: `N`, \"none\" or \"default\"")
}

// dailyLimit is a flag that may be left out.
type dailyLimit struct {
	given bool
	n     *int64 // nil: as the configuration says; 0: none
}

func (l *dailyLimit) String() string { return "" }
func (l *dailyLimit) Type() string   { return "limit" }

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
func (p *program) limitAccount(ctx context.Context, o *opened, name string, l limits) error {
	rooms := server.Allowance(o.cfg, o.store)
	if l.messages.given || l.recipients.given {
		err := rooms.SetLimit(ctx, name, func(own allowance.Own) allowance.Own {
			if l.messages.given {
				own.Messages = l.messages.n
			}
			if l.recipients.given {
				own.Recipients = l.recipients.n
			}
			return own
		})
		if err != nil {
			return err
		}
	}
	all, err := control.Accounts(ctx, o.accounts, rooms)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == name {
			return show(p, []control.Account{a}, accountColumns())
		}
	}
	return fmt.Errorf("account %s: %w", name, accounts.ErrNoSuchAccount)
}

func accountColumns() cli.List[control.Account] {
	return cli.List[control.Account]{Columns: columns("ACCOUNT|STATE|SINCE|MESSAGES TODAY|RECIPIENTS TODAY", "SINCE", "RECIPIENTS TODAY"),
		Cells: func(a *control.Account) []any {
			state := cli.Cell{Text: "enabled"}
			if a.Disabled {
				state = cli.Cell{Text: "disabled", Tone: cli.Waits}
			}
			return []any{a.Name, state, day(a.Created), ofLimit(a.Messages, a.MessagesLimit), ofLimit(a.Recipients, a.RecipientsLimit)}
		}}
}

func ofLimit(used, limit int64) string {
	if limit == 0 {
		return fmt.Sprint(used)
	}
	return fmt.Sprintf("%d of %d", used, limit)
}
