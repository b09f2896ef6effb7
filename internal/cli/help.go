package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"waxwing/internal/text"
)

// helpWidth is how long the lines of help are, unless the terminal is narrower.
const helpWidth = 80

// help says all about a command.
func (p *Program) help(w io.Writer, c *cobra.Command) {
	width := helpWidth
	if n := p.Terminal.Width; n > 0 {
		width = min(n, width)
	}
	out := text.NewProse(w, text.Terminal{Width: width})
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
func (p *Program) usage(w io.Writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "usage: %s\n", c.UseLine())
		return
	}
	what := "ACTION"
	if c.HasParent() && !strings.HasSuffix(c.Use, " ACTION …") {
		fmt.Fprintf(w, "usage: %s\n", c.UseLine()) // it does something itself
	}
	if !c.HasParent() {
		what = "COMMAND"
	}
	fmt.Fprintf(w, "usage: %s %s …\n", c.CommandPath(), what)
	for _, g := range append([]*cobra.Group{{}}, c.Groups()...) {
		t := text.Table{Columns: []text.Column{{}, {Wrap: 30}}}
		for _, x := range c.Commands() {
			if x.GroupID == g.ID && x.IsAvailableCommand() && x.Name() != "help" {
				name := x.Name()
				if c.HasParent() {
					name = strings.TrimSuffix(x.Use, " ACTION …")
				}
				t.Rows = append(t.Rows, []text.Cell{{Text: "  " + name}, {Text: x.Short}})
			}
		}
		if len(t.Rows) == 0 {
			continue
		}
		if g.Title != "" {
			fmt.Fprintf(w, "\n%s\n", g.Title)
		}
		t.Write(w, text.Terminal{Width: helpWidth})
	}
	fmt.Fprintf(w, "\n\"%s %s -h\" says what one does, and its flags.\n", c.CommandPath(), what)
}
