// Command waxwing is a mail server that proves how each message travels.
// Its commands stand in a folder for each group of "waxwing help": a file a noun.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/begin"
	"waxwing/cmd/waxwing/command"
	"waxwing/cmd/waxwing/mail"
	"waxwing/cmd/waxwing/operating"
	"waxwing/cmd/waxwing/residents"
	"waxwing/cmd/waxwing/security"
	"waxwing/cmd/waxwing/self"
	"waxwing/internal/cli"
	"waxwing/internal/sendmail"
)

// version is set when a release is built.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.SystemEnv(), sendmail.Args(os.Args), commands)
	stop()
	os.Exit(code)
}

// commands makes the whole tree.
func commands(c *cli.Program) *cobra.Command {
	p := command.New(c, version)
	return c.Root("waxwing", "a mail server that proves how each message travels",
		begin.Group(p), operating.Group(p), mail.Group(p), residents.Group(p), security.Group(p), self.Group(p, commands))
}
