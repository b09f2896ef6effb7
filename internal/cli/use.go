package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Use is how a command is called.
type Use struct {
	Name     string
	Words    []string // the arguments' names
	Required int      // of Words
	Several  bool     // the last may be repeated
}

var useWord = regexp.MustCompile(`\[[^]]*\]|\S+`)

// ParseUse reads a line such as "add DOMAIN", "show ID …", "list [ACCOUNT]" or
// "add NAME --kind KIND [FLAGS]": flags stand behind the arguments and are not told.
func ParseUse(line string) Use {
	words := useWord.FindAllString(line, -1)
	u := Use{Name: words[0]}
	for _, w := range words[1:] {
		inner := strings.Trim(w, "[]")
		switch {
		case strings.HasPrefix(inner, "-"), slices.Contains([]string{"FLAGS", "FILTERS", "CRITERIA"}, inner):
			return u
		case w == "…":
			u.Several = true
			continue
		}
		if w != "["+inner+"]" {
			u.Required++
		}
		name, more := strings.CutSuffix(inner, " …")
		u.Words, u.Several = append(u.Words, name), u.Several || more
	}
	return u
}

// check refuses a wrong number of arguments.
func (u Use) check(args []string) error {
	switch {
	case len(args) >= u.Required && (u.Several || len(args) <= len(u.Words)):
		return nil
	case u.Required == 0:
		return Usagef("unexpected %q", args[len(u.Words)])
	}
	var names []string
	for _, w := range u.Words {
		names = append(names, "one "+strings.ReplaceAll(strings.ToLower(w), "|", " or "))
	}
	return Usagef("%s needs %s", u.Name, strings.Join(names, " and "))
}

// wrongFlag makes an error of package pflag one that says what was perhaps meant.
func wrongFlag(c *cobra.Command, err error) error {
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
	c, rest := Below(root, args)
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

// Below goes down the tree as far as args name commands.
func Below(c *cobra.Command, args []string) (*cobra.Command, []string) {
	for len(args) > 0 {
		i := slices.IndexFunc(c.Commands(), func(x *cobra.Command) bool { return x.Name() == args[0] })
		if i < 0 {
			break
		}
		c, args = c.Commands()[i], args[1:]
	}
	return c, args
}
