// Package self has the commands about the program itself.
package self

import (
	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
)

// program is one call of waxwing.
type program struct{ *command.Call }

// Group is the commands, as help shows them. build makes the whole tree.
func Group(c *command.Call, build func(*cli.Program) *cobra.Command) cli.Group {
	p := &program{c}
	return cli.Group{ID: "self", Title: "About this program:", Commands: []*cobra.Command{
		p.Command(p.completionVerb(build)),
		p.Command(p.manVerb(build)),
		p.Command(p.versionVerb()),
	}}
}
