package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
)

// program is one call of waxwing: what it may touch, and the flags that most commands
// have. The tree of commands is made from it, and from the tree the help, the
// completions and the manual pages.
type program struct {
	env
	config string // --config
	json   bool   // --json
}

// action is what a command does with its arguments. It returns nil, a usageError, or an
// error that says what happened, to what, and what to do.
type action = func(ctx context.Context, args []string) error

// verb is one command that does something.
type verb struct {
	use     string // its name and arguments, see parseUse
	short   string // what it does, in a line
	long    string // what else one must know
	example string // lines as they are typed, without the program's name
	flags   func(*pflag.FlagSet)
	bare    bool                 // it has no --config
	json    bool                 // it prints an answer, with --json as JSON
	refuse  func([]string) error // arguments that are wrong in a way of their own; nil: none
	run     action
}

// The groups of commands, in the order in which help has them.
var groups = []cobra.Group{
	{ID: "begin", Title: "To begin with:"},
	{ID: "server", Title: "The server:"},
	{ID: "mail", Title: "Mail and its ways:"},
	{ID: "who", Title: "Who lives here:"},
	{ID: "security", Title: "How mail is protected:"},
	{ID: "self", Title: "About this program:"},
}

// root makes the whole tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{Use: "waxwing", Short: "a mail server that proves how each message travels", Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return p.wantsVerb(c, args) }}
	for i := range groups {
		root.AddGroup(&groups[i])
	}
	for group, commands := range map[string][]*cobra.Command{
		"begin":    {p.command(p.labVerb()), p.command(p.quickstartVerb()), p.command(p.explainVerb())},
		"server":   {p.command(p.serveVerb()), p.command(p.companionVerb()), p.configNoun(), p.storeNoun(), p.command(p.backupVerb())},
		"mail":     {p.queueNoun(), p.mailNoun(), p.holdNoun(), p.suppressionNoun(), p.routeNoun(), p.transportNoun(), p.sendmailCommand()},
		"who":      {p.domainNoun(), p.accountNoun(), p.addressNoun()},
		"security": {p.tlsrptNoun(), p.mtastsNoun(), p.daneNoun(), p.dnsNoun(), p.dkimNoun()},
		"self":     {p.command(p.completionVerb()), p.command(p.manVerb()), p.command(p.versionVerb())},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { p.help(p.stdout, c) })
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().BoolP("help", "h", false, "say what a command does")
	root.PersistentFlags().Lookup("help").Hidden = true
	return root
}

// noun makes a command whose verbs do something.
func (p *program) noun(name, short string, verbs ...verb) *cobra.Command {
	c := &cobra.Command{Use: name + " ACTION …", Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, args []string) error { return p.wantsVerb(c, args) }}
	for _, v := range verbs {
		c.AddCommand(p.command(v))
	}
	return c
}

// wantsVerb is what a command does that only has others below it.
func (p *program) wantsVerb(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usagef("say what to do")
	case args[0] == "help":
		p.help(p.stdout, c)
		return nil
	}
	why := fmt.Sprintf("there is no action %q", args[0])
	if !c.HasParent() {
		why = fmt.Sprintf("no command %q; \"waxwing help\" lists them", args[0])
	}
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		why += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{why}
}

// command makes a command of a verb.
func (p *program) command(v verb) *cobra.Command {
	c := &cobra.Command{Use: v.use, Short: v.short, Long: v.long, DisableFlagsInUseLine: true}
	for line := range strings.Lines(v.example) {
		c.Example += "  waxwing " + line
	}
	f := c.Flags()
	f.SortFlags = false
	if v.flags != nil {
		v.flags(f)
	}
	if v.json {
		f.BoolVar(&p.json, "json", false, "print JSON")
	}
	if !v.bare {
		f.StringVar(&p.config, "config", "waxwing.toml", "configuration `file`")
	}
	u := parseUse(v.use)
	c.Args = func(_ *cobra.Command, args []string) error {
		if v.refuse != nil {
			if err := v.refuse(args); err != nil {
				return err
			}
		}
		return u.check(args)
	}
	c.RunE = func(c *cobra.Command, args []string) error { return v.run(c.Context(), args) }
	p.complete(c, u)
	return c
}

// usage is how a command is called.
type usage struct {
	name     string
	words    []string // the arguments' names
	required int      // of words
	several  bool     // the last may be repeated
}

var useWord = regexp.MustCompile(`\[[^]]*\]|\S+`)

// parseUse reads a line such as "add DOMAIN", "show ID …", "list [ACCOUNT]" or
// "add NAME --kind KIND [FLAGS]": flags stand behind the arguments and are not told.
func parseUse(line string) usage {
	words := useWord.FindAllString(line, -1)
	u := usage{name: words[0]}
	for _, w := range words[1:] {
		inner := strings.Trim(w, "[]")
		switch {
		case strings.HasPrefix(inner, "-"), slices.Contains([]string{"FLAGS", "FILTERS", "CRITERIA"}, inner):
			return u
		case w == "…":
			u.several = true
			continue
		}
		if w != "["+inner+"]" {
			u.required++
		}
		name, more := strings.CutSuffix(inner, " …")
		u.words, u.several = append(u.words, name), u.several || more
	}
	return u
}

// check refuses a wrong number of arguments.
func (u usage) check(args []string) error {
	switch {
	case len(args) >= u.required && (u.several || len(args) <= len(u.words)):
		return nil
	case u.required == 0:
		return usagef("unexpected %q", args[len(u.words)])
	}
	var names []string
	for _, w := range u.words {
		names = append(names, "one "+strings.ReplaceAll(strings.ToLower(w), "|", " or "))
	}
	return usagef("%s needs %s", u.name, strings.Join(names, " and "))
}

// flagError makes an error of package pflag one that says what was perhaps meant.
func flagError(c *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return usageError{err.Error()}
	}
	near := &cobra.Command{SuggestionsMinimumDistance: 2} // which knows the distance of words
	c.Flags().VisitAll(func(f *pflag.Flag) {
		near.AddCommand(&cobra.Command{Use: f.Name, Hidden: f.Hidden, Run: func(*cobra.Command, []string) {}})
	})
	why := err.Error()
	if names := near.SuggestionsFor(name); len(names) > 0 {
		why += "; did you mean --" + strings.Join(names, " or --") + "?"
	}
	return usageError{why}
}

// spelled is a command line as cobra reads it. "waxwing help X" is "waxwing X -h", and
// a flag may have one dash, as it had once: there are no short flags to mix it up with.
func spelled(root *cobra.Command, args []string) []string {
	if len(args) > 1 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		last := len(args) - 1 // the word that is being typed: a flag only once its value begins
		out := append(slices.Clone(args[:1]), spelled(root, args[1:last])...)
		if strings.Contains(args[last], "=") {
			return append(out, twoDashes(args[last]))
		}
		return append(out, args[last])
	}
	if len(args) > 1 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	c, rest := below(root, args)
	out := slices.Clone(args[:len(args)-len(rest)])
	if c.DisableFlagParsing {
		return append(out, rest...)
	}
	for i := 0; i < len(rest); i++ {
		arg := rest[i]
		if arg == "--" {
			return append(out, rest[i:]...)
		}
		arg = twoDashes(arg)
		out = append(out, arg)
		if f := c.Flags().Lookup(strings.TrimPrefix(arg, "--")); strings.HasPrefix(arg, "--") && f != nil && f.NoOptDefVal == "" && i+1 < len(rest) {
			i++
			out = append(out, rest[i]) // its value, whatever it looks like
		}
	}
	return out
}

func twoDashes(arg string) string {
	if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
		return "-" + arg
	}
	return arg
}

// below goes down the tree as far as args name commands.
func below(c *cobra.Command, args []string) (*cobra.Command, []string) {
	for len(args) > 0 {
		i := slices.IndexFunc(c.Commands(), func(x *cobra.Command) bool { return x.Name() == args[0] })
		if i < 0 {
			break
		}
		c, args = c.Commands()[i], args[1:]
	}
	return c, args
}

// helpWidth is how long the lines of help are, unless the terminal is narrower.
const helpWidth = 80

// help says all about a command.
func (p *program) help(w io.Writer, c *cobra.Command) {
	width := helpWidth
	if n := p.terminal.Width; n > 0 {
		width = min(n, width)
	}
	out := cli.NewProse(w, cli.Terminal{Width: width})
	defer out.Flush()
	fmt.Fprintf(out, "%s: %s\n", c.CommandPath(), c.Short)
	p.usage(out, c)
	if c.Long != "" {
		fmt.Fprintf(out, "\n%s\n", c.Long)
	}
	if c.HasAvailableLocalFlags() {
		fmt.Fprintf(out, "\nFlags:\n%s", c.LocalFlags().FlagUsagesWrapped(width))
	}
	if c.HasExample() {
		fmt.Fprintf(out, "\nExamples:\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	if !c.HasParent() {
		fmt.Fprint(out, "\nListings and answers are printed as JSON with --json.\nExit codes: 0 done, 1 failed, 2 wrong usage.\n")
	}
}

// usage says how a command is called, or which there are below it.
func (p *program) usage(w io.Writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "usage: %s\n", c.UseLine())
		return
	}
	what := "ACTION"
	if !c.HasParent() {
		what = "COMMAND"
	}
	fmt.Fprintf(w, "usage: %s %s …\n", c.CommandPath(), what)
	for _, g := range append([]*cobra.Group{{}}, c.Groups()...) {
		t := cli.Table{Columns: []cli.Column{{}, {Wrap: 30}}}
		for _, x := range c.Commands() {
			if x.GroupID == g.ID && x.IsAvailableCommand() && x.Name() != "help" {
				name := x.Name()
				if c.HasParent() {
					name = strings.TrimSuffix(x.Use, " ACTION …")
				}
				t.Rows = append(t.Rows, []cli.Cell{{Text: "  " + name}, {Text: x.Short}})
			}
		}
		if len(t.Rows) == 0 {
			continue
		}
		if g.Title != "" {
			fmt.Fprintf(w, "\n%s\n", g.Title)
		}
		t.Write(w, cli.Terminal{Width: helpWidth})
	}
	fmt.Fprintf(w, "\n\"%s %s -h\" says what one does, and its flags.\n", c.CommandPath(), what)
}
