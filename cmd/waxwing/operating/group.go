// Package operating has the commands about the server as a whole: running it, watching it, its
// configuration, its store and its backups.
package operating

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
	return cli.Group{ID: "operating", Title: "The server:", Commands: []*cobra.Command{
		p.Command(p.serveVerb()),
		p.Command(p.statusVerb()),
		p.Command(p.companionVerb()),
		p.logNoun(),
		p.alertNoun(),
		p.traceNoun(),
		p.configNoun(),
		p.storeNoun(),
		p.Command(p.exportVerb()),
		p.Command(p.applyVerb()),
		p.backupCommand(),
		p.Command(p.restoreVerb()),
	}}
}
