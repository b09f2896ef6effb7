package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/accounts"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/scripts"
	"waxwing/internal/server"
	"waxwing/internal/sifting"
	"waxwing/internal/upkeep"
	"waxwing/message"
)

// sieveNoun is the scripts with which accounts sort their mail (SIV-2).
func (p *program) sieveNoun() *cobra.Command {
	var t trial
	return p.Noun("sieve", "the scripts with which accounts sort their mail",
		cli.Verb{Use: "list [ACCOUNT]", Short: "stored scripts, and which of them is active", JSON: true,
			Run: command.List(p.Call, p.OnStore, p.scriptRows, scripts.Listing())},
		cli.Verb{Use: "put ACCOUNT SCRIPT FILE", Short: "store a script; FILE - is the standard input", Example: "sieve put joe main rules.sieve", Run: p.OnStore(p.putScript)},
		cli.Verb{Use: "get ACCOUNT SCRIPT", Short: "print a script", Run: p.OnStore(p.getScript)},
		cli.Verb{Use: "activate ACCOUNT [SCRIPT]", Short: "make a script the one that runs; without SCRIPT, none does", Run: p.OnStore(p.activateScript)},
		cli.Verb{Use: "delete ACCOUNT SCRIPT", Short: "remove a script that is not active", Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			return p.scripts(o).Delete(ctx, args[0], args[1])
		})},
		cli.Verb{Use: "globals", Short: "scripts of the operator, which those of accounts include as :global", JSON: true,
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]scripts.Global, error) {
				return p.scripts(o).Globals(ctx)
			}, scripts.GlobalListing())},
		cli.Verb{Use: "put-global SCRIPT FILE", Short: "store a script that those of all accounts may include", Example: "sieve put-global lists lists.sieve", Run: p.OnStore(p.putGlobal)},
		cli.Verb{Use: "get-global SCRIPT", Short: "print a script of the operator", Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			text, err := p.scripts(o).GetGlobal(ctx, args[0])
			return p.printScript(text, err)
		})},
		cli.Verb{Use: "delete-global SCRIPT", Short: "remove a script of the operator", Long: "Scripts that include it fail from then on, unless they say :optional.",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return p.scripts(o).DeleteGlobal(ctx, args[0])
			})},
		cli.Verb{Use: "check FILE", Short: "say what is wrong with a script; FILE - is the standard input", Bare: true, Run: p.checkScript},
		cli.Verb{Use: "test ACCOUNT MESSAGE", Short: "what the account's script would do with a message, rule by rule", JSON: true, Flags: t.flags,
			Long:    "MESSAGE is a file; - is the standard input. Nothing is sent, stored or counted.",
			Example: "sieve test joe mail.eml\nsieve test joe mail.eml --script rules.sieve --from them@example.org",
			Run:     p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error { return p.testScript(ctx, o, args, t) })})
}

func (p *program) scripts(o *upkeep.Opened) *scripts.Store {
	return &scripts.Store{DB: o.Store, Now: p.Now}
}

func (p *program) scriptRows(ctx context.Context, o *upkeep.Opened, args []string) ([]scripts.Script, error) {
	account := ""
	if len(args) > 0 {
		account = args[0]
		if err := o.Accounts.MustExist(ctx, account); err != nil {
			return nil, err
		}
	}
	return p.scripts(o).List(ctx, account)
}

// nameOf is what a file is called in messages.
func nameOf(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// input is a file, or the standard input.
func (p *program) input(path string, most int64) ([]byte, error) {
	from := p.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d octets", path, most)
	}
	return b, err
}

func (p *program) putScript(ctx context.Context, o *upkeep.Opened, args []string) error {
	text, err := p.input(args[2], scripts.MaxScript)
	if err != nil {
		return err
	}
	return p.scripts(o).Put(ctx, args[0], args[1], string(text))
}

func (p *program) getScript(ctx context.Context, o *upkeep.Opened, args []string) error {
	text, err := p.scripts(o).Get(ctx, args[0], args[1])
	return p.printScript(text, err)
}

func (p *program) printScript(text string, err error) error {
	if err == nil {
		_, err = io.WriteString(p.Stdout, text)
	}
	return err
}

func (p *program) putGlobal(ctx context.Context, o *upkeep.Opened, args []string) error {
	text, err := p.input(args[1], scripts.MaxScript)
	if err != nil {
		return err
	}
	return p.scripts(o).PutGlobal(ctx, args[0], string(text))
}

func (p *program) activateScript(ctx context.Context, o *upkeep.Opened, args []string) error {
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	return p.scripts(o).Activate(ctx, args[0], name)
}

func (p *program) checkScript(_ context.Context, args []string) error {
	text, err := p.input(args[0], scripts.MaxScript)
	if err != nil {
		return err
	}
	if err := scripts.Check(string(text)); err != nil {
		return fmt.Errorf("%s: %w", nameOf(args[0]), err)
	}
	return nil
}

// trial is one call of "sieve test".
type trial struct {
	script, from, to string
	junk             bool
}

func (t *trial) flags(fs *pflag.FlagSet) {
	fs.StringVar(&t.script, "script", "", "a `file` with the script to try, instead of the active one")
	fs.StringVar(&t.from, "from", "", "the envelope's sender, an `address` or <>; else the one in the Return-Path or From field")
	fs.StringVar(&t.to, "to", "", "the envelope's recipient, an `address`; else the account's first")
	fs.BoolVar(&t.junk, "junk", false, "the message was found to be junk")
}

func (p *program) testScript(ctx context.Context, o *upkeep.Opened, args []string, t trial) error {
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return err
	}
	text, err := p.input(args[1], 64<<20)
	if err != nil {
		return err
	}
	text = message.ToCRLF(string(text))
	try := sifting.Trial{Account: args[0], From: t.from, To: t.to, Junk: t.junk, Content: delivery.Bytes(text)}
	if try.Script, err = p.scriptOf(ctx, o, args[0], t.script); err != nil {
		return err
	}
	if try.To == "" {
		if try.To, err = firstAddress(ctx, o.Accounts, args[0]); err != nil {
			return err
		}
	}
	if try.From == "" {
		try.From = senderOf(text)
	} else if try.From == "<>" {
		try.From = ""
	}
	rooms, err := server.Reports(o.Options, o.Store)
	if err != nil {
		return err
	}
	report, err := rooms.Sieve.Try(ctx, try)
	switch {
	case err != nil:
		return err
	case p.JSON:
		return p.PrintJSON(report)
	}
	fmt.Fprint(p.Stdout, report)
	return nil
}

// scriptOf is the script of a file, or else the account's active one.
func (p *program) scriptOf(ctx context.Context, o *upkeep.Opened, account, path string) (string, error) {
	if path != "" {
		text, err := p.input(path, scripts.MaxScript)
		return string(text), err
	}
	all, err := p.scripts(o).List(ctx, account)
	if err != nil {
		return "", err
	}
	for _, s := range all {
		if s.Active {
			return p.scripts(o).Get(ctx, account, s.Name)
		}
	}
	return "", fmt.Errorf("%s has no active script: name one with --script, or activate one with \"waxwing sieve activate\"", account)
}

func firstAddress(ctx context.Context, a *accounts.Store, name string) (string, error) {
	all, err := a.Addresses(ctx)
	if err != nil {
		return "", err
	}
	for _, at := range all {
		if at.Account == name && at.Address[0] != '*' {
			return at.Address, nil
		}
	}
	return "", errors.New("the account has no address: say with --to to whom the message is")
}

// senderOf is the sender as the message itself tells.
func senderOf(text []byte) string {
	h, _, err := message.SplitHeader(text)
	if err != nil {
		return ""
	}
	for _, name := range []string{"Return-Path", "From"} {
		if v := h.Get(name); v == "<>" {
			return ""
		} else if list, err := message.ParseAddressList(v); err == nil && len(list) > 0 {
			return list[0].Addr()
		}
	}
	return ""
}
