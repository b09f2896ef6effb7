// Package mail has the commands about mail and the ways that it takes, and those with which programs
// hand it in and hear of it.
package mail

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
	return cli.Group{ID: "mail", Title: "Mail and its ways:", Commands: []*cobra.Command{
		p.queueNoun(),
		p.mailNoun(),
		p.junkNoun(),
		p.sieveNoun(),
		p.holdNoun(),
		p.suppressionNoun(),
		p.routeNoun(),
		p.transportNoun(),
		p.sendmailCommand(),
		p.apiNoun(),
		p.webhookNoun(),
	}}
}
