package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Manual writes a page for each command of the tree into a directory. The tree is not to
// be used afterwards: what its commands say of themselves is made longer.
func Manual(root *cobra.Command, source, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tellActions(root)
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: source, Manual: "Waxwing"}, dir)
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
