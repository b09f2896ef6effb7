package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Program is one call of the program: what it may touch, and the flags that most
// commands have. The tree of commands is made from it, and from the tree the help, the
// completions and the manual pages.
type Program struct {
	Env
	Config string // --config
	JSON   bool   // --json

	// Now is the time on the machine of the configuration. Offer finds what may stand in a
	// place of the command line, see offer; known is false for places it knows nothing of.
	// Who builds the tree sets both.
	Now   func() time.Time
	Offer func(ctx context.Context, place string) (words []string, known bool)
}

// Action is what a command does with its arguments. It returns nil, an error of Usagef, or
// an error that says what happened, to what, and what to do.
type Action = func(ctx context.Context, args []string) error

// Verb is one command that does something.
type Verb struct {
	Use     string // its name and arguments, see ParseUse
	Short   string // what it does, in a line
	Long    string // what else one must know
	Example string // lines as they are typed, without the program's name
	Flags   func(*pflag.FlagSet)
	Bare    bool                 // it has no --config
	JSON    bool                 // it prints an answer, with --json as JSON
	Refuse  func([]string) error // arguments that are wrong in a way of their own; nil: none
	Run     Action
}

// Group is commands that stand together in help.
type Group struct {
	ID, Title string
	Commands  []*cobra.Command
}

// Root makes the whole tree.
func (p *Program) Root(name, short string, groups ...Group) *cobra.Command {
	root := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return p.wantsVerb(c, args) }}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.ID, Title: g.Title})
		for _, c := range g.Commands {
			c.GroupID = g.ID
			root.AddCommand(c)
		}
	}
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { p.help(p.Stdout, c) })
	root.SetFlagErrorFunc(wrongFlag)
	root.PersistentFlags().BoolP("help", "h", false, "say what a command does")
	root.PersistentFlags().Lookup("help").Hidden = true
	return root
}

// Noun makes a command whose verbs do something.
func (p *Program) Noun(name, short string, verbs ...Verb) *cobra.Command {
	c := &cobra.Command{Use: name + " ACTION …", Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, args []string) error { return p.wantsVerb(c, args) }}
	for _, v := range verbs {
		c.AddCommand(p.Command(v))
	}
	return c
}

// wantsVerb is what a command does that only has others below it.
func (p *Program) wantsVerb(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return Usagef("say what to do")
	case args[0] == "help":
		p.help(p.Stdout, c)
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

// Command makes a command of a verb.
func (p *Program) Command(v Verb) *cobra.Command {
	c := &cobra.Command{Use: v.Use, Short: v.Short, Long: v.Long, DisableFlagsInUseLine: true}
	for line := range strings.Lines(v.Example) {
		c.Example += "  waxwing " + line
	}
	f := c.Flags()
	f.SortFlags = false
	if v.Flags != nil {
		v.Flags(f)
	}
	if v.JSON {
		f.BoolVar(&p.JSON, "json", false, "print JSON")
	}
	if !v.Bare {
		f.StringVar(&p.Config, "config", "", "configuration `file`; else $WAXWING_CONFIG, "+ServerConfig+" or ./"+hereConfig)
	}
	u := ParseUse(v.Use)
	c.Args = func(_ *cobra.Command, args []string) error {
		if v.Refuse != nil {
			if err := v.Refuse(args); err != nil {
				return err
			}
		}
		return u.check(args)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		p.findConfig()
		return v.Run(c.Context(), args)
	}
	p.complete(c, u)
	return c
}
