package self

import (
	"context"

	"github.com/spf13/cobra"

	"waxwing/internal/cli"
)

// manVerb writes the manual pages.
func (p *program) manVerb(build func(*cli.Program) *cobra.Command) cli.Verb {
	return cli.Verb{Use: "man DIR", Short: "write a manual page for each command into a directory", Bare: true, Example: "man /usr/local/share/man/man1",
		Run: func(_ context.Context, args []string) error {
			return cli.Manual(build(&cli.Program{Env: p.Env}), "Waxwing "+p.Version, args[0])
		}}
}
