// Command waxwing is a mail server that proves how each message travels.
// Each subcommand stands in a file of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"waxwing/internal/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// env is what a command may touch of the outside.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one subcommand. Run returns nil, a usageError, or an error that
// says what happened, to what, and what to do.
type command struct {
	name, args, short string
	run               func(ctx context.Context, e env, args []string) error
}

// usageError is a wrong call: exit code 2.
type usageError struct{ text string }

func (u usageError) Error() string { return u.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errQuiet is an error that was already told in full on stdout or stderr.
var errQuiet = errors.New("failed")

func commands() []command {
	return []command{
		{"lab", "[-exit] [-json]", "run a small internet in this process and show how mail travels in it", runLab},
		{"quickstart", "-local [-dir DIR] user@domain", "write a configuration, keys and a first account", runQuickstart},
		{"serve", "[-config FILE]", "run the mail server", runServe},
		{"companion", "[-config FILE]", "count and report the TLS sessions of a Postfix, and tell it TLS policies", runCompanion},
		{"config", "check|describe|example [-config FILE]", "check the configuration, or print its reference", runConfig},
		{"explain", "[-connect] [-need NEED] [-from ADDRESS] [-json] ADDRESS|DOMAIN", "say what would happen to a mail, and why", runExplain},
		{"domain", "add|list|remove [DOMAIN]", "the domains this server takes mail for", runDomain},
		{"account", "add|list|remove|password|disable|enable|limit [NAME]", "who may log in, and how much they send", runAccount},
		{"address", "add|list|remove [ADDRESS [ACCOUNT]]", "which addresses lead to which account", runAddress},
		{"transport", "add|set|list|show|test|remove [NAME] [-kind KIND …]", "the ways that mail can take out of here", runTransport},
		{"route", "add|list|remove|test [TRANSPORT|ID|ADDRESS] [CRITERIA]", "which mail takes which way", runRoute},
		{"dkim", "add|list|retire [DOMAIN]", "the keys that outgoing mail is signed with", runDKIM},
		{"mail", "list|show", "read delivered mail", runMail},
		{"hold", "add|list|remove", "rules by which new mail is held back", runHold},
		{"suppression", "add|list|remove [ACCOUNT [ADDRESS]]", "recipients that an account sends no more mail to", runSuppression},
		{"queue", "list|show|count|hold|unhold|retry|fail|drop|set-tls|set-transport [ID|FILTERS]", "mail that waits, what became of it, and what is to become of it", runQueue},
		{"tlsrpt", "results|send|sent|outcomes|reports|refused|summary|show|parse|lookup|suppress", "TLS reports, both ways", runTLSRPT},
		{"mtasts", "list|lookup|forget|refresh|publish|published|unpublish", "MTA-STS: the policies of others in the cache, and our own", runMTASTS},
		{"dane", "lookup|verify|record HOST|DOMAIN|FILE", "TLSA records: what is published, whether it holds, what to publish", runDANE},
		{"dns", "selftest", "test whether the resolver's DNSSEC answers can be trusted", runDNS},
		{"sendmail", "[-t] [-i] [-f SENDER] [RECIPIENT …]", "send the message on standard input, as sendmail does", runSendmail},
		{"version", "", "print the version", runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, env{os.Stdin, os.Stdout, os.Stderr}, programArgs(os.Args))
	stop()
	os.Exit(code)
}

// run carries out one call of the program and returns its exit code.
func run(ctx context.Context, e env, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		w := e.stdout
		code := exitDone
		if len(args) == 0 {
			w, code = e.stderr, exitUsage
		}
		usage(w)
		return code
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, e, args[1:])
		var u usageError
		var coded exitError
		var faults config.Errors
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return exitDone
		case errors.Is(err, errQuiet):
			return exitFailed
		case errors.As(err, &coded):
			fmt.Fprintf(e.stderr, "waxwing %s: %v\n", c.name, err)
			return coded.code
		case errors.As(err, &u):
			fmt.Fprintf(e.stderr, "waxwing %s: %s\nusage: waxwing %s %s\n", c.name, u.text, c.name, c.args)
			return exitUsage
		case errors.As(err, &faults):
			fmt.Fprintf(e.stderr, "waxwing %s: the configuration has %s:\n%v\n", c.name, number(len(faults), "fault"), faults)
			return exitFailed
		}
		fmt.Fprintf(e.stderr, "waxwing %s: %v\n", c.name, err)
		return exitFailed
	}
	fmt.Fprintf(e.stderr, "waxwing: no command %q; \"waxwing help\" lists them\n", args[0])
	return exitUsage
}

// number counts things in words: "1 fault", "3 faults".
func number(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Waxwing is a mail server that proves how each message travels.")
	fmt.Fprintln(w, "\nusage: waxwing COMMAND …")
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", c.name, c.args, c.short)
	}
	tw.Flush()
	fmt.Fprintln(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage. Every listing takes -json.")
}

// flags makes a flag set whose errors come back as usage errors. The name is
// the command's, and its action's where it has one; help goes to stdout.
func flags(e env, name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		first, _, _ := strings.Cut(name, " ")
		for _, c := range commands() {
			if c.name == first {
				fmt.Fprintf(e.stdout, "waxwing %s: %s\nusage: waxwing %s %s\n", first, c.short, first, c.args)
			}
		}
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
	}
	return fs
}

// parse reads the flags of a command. They may stand before and after its
// other arguments, which are returned.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if err != nil {
			return nil, usageError{err.Error()}
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// version is set when a release is built.
var version = "development"

func runVersion(_ context.Context, e env, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected %q", args[0])
	}
	_, err := fmt.Fprintln(e.stdout, "waxwing", version)
	return err
}
