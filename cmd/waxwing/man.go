package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manVerb writes the manual pages.
func (p *program) manVerb() verb {
	return verb{use: "man DIR", short: "write a manual page for each command into a directory", bare: true, example: "man /usr/local/share/man/man1",
		run: func(_ context.Context, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := (&program{env: p.env}).root()
			tellActions(root)
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Waxwing " + version, Manual: "Waxwing"}, args[0])
		}}
}

// tellActions has each command that only has others below it name them in its page.
func tellActions(c *cobra.Command) {
	for _, x := range c.Commands() {
		if x.IsAvailableCommand() {
			c.Long += fmt.Sprintf("\n\n**%s**\n: %s", x.UseLine(), x.Short)
		}
		tellActions(x)
	}
}
