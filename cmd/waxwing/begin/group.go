// Package begin has the commands with which one begins: the lab, setting a machine up, looking
// whether it is fit, and what would happen to a mail.
package begin

import (
	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
)

// program is one call of waxwing.
type program struct{ *command.Call }

// Group is the commands, as help shows them.
func Group(c *command.Call) cli.Group {
	p := &program{c}
	return cli.Group{ID: "begin", Title: "To begin with:", Commands: []*cobra.Command{
		p.Command(p.labVerb()),
		p.Command(p.quickstartVerb()),
		p.Command(p.doctorVerb()),
		p.Command(p.explainVerb()),
	}}
}
