package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// command is one subcommand. Run returns nil, a usageError, or an error that
// says what happened, to what, and what to do.
type command struct {
	name, args, short string
	actions           []action // what it can do, by the word after its name; args then stays empty
	run               func(ctx context.Context, e env, args []string) error
}

// action is one thing that a command does: "waxwing NAME VERB ARGS". Its flags
// are told by its flag set.
type action struct{ verb, args, short string }

func commands() []command {
	return []command{
		{"lab", "[-exit] [-json] [-v]", "run a small internet in this process and show how mail travels", nil, runLab},
		{"quickstart", "-local [-dir DIR] ADDRESS", "write a configuration, keys and a first account", nil, runQuickstart},
		{"serve", "[-config FILE]", "run the mail server", nil, runServe},
		{"companion", "[-config FILE]", "count and report a Postfix's TLS sessions, tell it policies", nil, runCompanion},
		{"backup", "[-config FILE] FILE", "copy the embedded store to a new file, also while it is in use", nil, runBackup},
		{"config", "", "check the configuration, or print its reference", configActions(), runConfig},
		{"explain", "[FLAGS] ADDRESS|DOMAIN", "say what would happen to a mail, and why", nil, runExplain},
		{"store", "", "the database that holds all", storeActions(), runStore},
		{"domain", "", "the domains this server takes mail for", domainActions(), runDomain},
		{"account", "", "who may log in, and how much they send", accountActions(), runAccount},
		{"address", "", "which addresses lead to which account", addressActions(), runAddress},
		{"transport", "", "the ways that mail can take out of here", transportActions(), runTransport},
		{"route", "", "which mail takes which way", routeActions(), runRoute},
		{"dkim", "", "the keys that outgoing mail is signed with", dkimActions(), runDKIM},
		{"mail", "", "read delivered mail", mailActions(), runMail},
		{"hold", "", "rules by which new mail is held back", holdActions(), runHold},
		{"suppression", "", "recipients that an account sends no more mail to", suppressionActions(), runSuppression},
		{"queue", "", "mail that waits, what became of it, and what is to become of it", queueActions(), runQueue},
		{"tlsrpt", "", "TLS reports, both ways", tlsrptActions(), runTLSRPT},
		{"mtasts", "", "MTA-STS: policies of others in the cache, and our own", mtastsActions(), runMTASTS},
		{"dane", "", "TLSA records: what is published, does it hold, what to publish", daneActions(), runDANE},
		{"dns", "", "whether the resolver's DNSSEC answers can be trusted", dnsActions(), runDNS},
		{"sendmail", "[FLAGS] [RECIPIENT …]", "send the message on standard input, as sendmail does", nil, runSendmail},
		{"version", "", "print the version", nil, runVersion},
	}
}

// commandNamed finds a command, also one that is an action of another.
func commandNamed(name string) (command, bool) {
	if name == "tlsrpt suppress" {
		return command{name: name, short: "report addresses that are left alone", actions: suppressActions(), run: suppressReports}, true
	}
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
		return all[i], true
	}
	return command{}, false
}

// action is the one that args begin with.
func (c command) action(args []string) (action, bool) {
	if len(args) == 0 {
		return action{}, false
	}
	if i := slices.IndexFunc(c.actions, func(a action) bool { return a.verb == args[0] }); i >= 0 {
		return c.actions[i], true
	}
	return action{}, false
}

// isHelp: every level of the program tells its usage under these words.
func isHelp(arg string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Waxwing is a mail server that proves how each message travels.")
	fmt.Fprintln(w, "\nusage: waxwing COMMAND …")
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(tw, "  %s\t%s\n", c.name, c.short)
	}
	tw.Flush()
	fmt.Fprintln(w, `
"waxwing COMMAND -h" tells what a command can do, and its flags. Listings and
answers are printed as JSON with -json.
Exit codes: 0 done, 1 failed, 2 wrong usage.`)
}

// usage tells how the command is called, with the arguments that were given:
// an action's line where they name one, else all actions.
func (c command) usage(w io.Writer, args []string) {
	if a, ok := c.action(args); ok {
		if below, ok := commandNamed(c.name + " " + a.verb); ok {
			below.usage(w, args[1:])
			return
		}
		fmt.Fprintf(w, "usage: waxwing %s\n", words(c.name, a.verb, a.args))
		return
	}
	if len(c.actions) == 0 {
		fmt.Fprintf(w, "usage: waxwing %s\n", words(c.name, c.args))
		return
	}
	fmt.Fprintf(w, "usage: waxwing %s ACTION …\n", c.name)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, a := range c.actions {
		fmt.Fprintf(tw, "  %s\t%s\n", words(a.verb, a.args), a.short)
	}
	tw.Flush()
	fmt.Fprintf(w, "\"waxwing %s ACTION -h\" tells the flags of one.\n", c.name)
}

// words joins those that are there.
func words(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}

// flags makes a flag set whose errors come back as usage errors. The name is
// the command's, and its action's where it has one; help goes to stdout.
func flags(e env, name ...string) *flag.FlagSet {
	fs := flag.NewFlagSet(strings.Join(name, " "), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		c, _ := commandNamed(name[0])
		short := c.short
		if a, ok := c.action(name[1:]); ok {
			short = a.short
		}
		fmt.Fprintf(e.stdout, "waxwing %s: %s\n", strings.Join(name, " "), short)
		c.usage(e.stdout, name[1:])
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
	}
	return fs
}

// parse reads the flags of a command. They may stand before and after its
// other arguments, which are returned.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	help := fs.Usage
	fs.Usage = func() {} // package flag calls it for errors too, which are no help
	var rest []string
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			help()
			return nil, err
		}
		if err != nil {
			return nil, usageError{err.Error()}
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			return append(rest, fs.Args()...), nil // nothing behind it is a flag
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// verb takes the action of a command off its arguments. A call for help is
// answered here.
func verb(e env, name string, args []string) (string, []string, error) {
	c, _ := commandNamed(name)
	switch a, ok := c.action(args); {
	case ok:
		return a.verb, args[1:], nil
	case len(args) == 0:
		return "", nil, usagef("say what to do")
	case isHelp(args[0]):
		fmt.Fprintf(e.stdout, "waxwing %s: %s\n", c.name, c.short)
		c.usage(e.stdout, nil)
		return "", nil, flag.ErrHelp
	}
	return "", nil, usagef("there is no action %q", args[0])
}

// only refuses arguments where a command takes none but flags.
func only(rest []string) error {
	if len(rest) > 0 {
		return usagef("unexpected %q", rest[0])
	}
	return nil
}

// wants checks the number of an action's arguments, by their names.
func wants(what string, rest []string, names ...string) error {
	switch {
	case len(names) == 0:
		return only(rest)
	case len(rest) == len(names):
		return nil
	}
	return usagef("%s needs one %s", what, strings.Join(names, " and one "))
}
