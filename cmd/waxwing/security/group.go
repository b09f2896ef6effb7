// Package security has the commands about how mail is protected: TLS reports, MTA-STS, DANE,
// certificates, DNS and DKIM.
package security

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
	return cli.Group{ID: "security", Title: "How mail is protected:", Commands: []*cobra.Command{
		p.tlsrptNoun(),
		p.dmarcNoun(),
		p.mtastsNoun(),
		p.daneNoun(),
		p.certNoun(),
		p.dnsNoun(),
		p.dkimNoun(),
	}}
}
