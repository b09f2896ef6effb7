// Package residents has the commands about who lives here: hosted domains, accounts, addresses and aliases.
package residents

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
	return cli.Group{ID: "residents", Title: "Who lives here:", Commands: []*cobra.Command{
		p.domainNoun(),
		p.accountNoun(),
		p.addressNoun(),
		p.aliasNoun(),
	}}
}
