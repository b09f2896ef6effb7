package operating

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"waxwing/internal/cli"
	"waxwing/internal/server"
	"waxwing/internal/store"
	"waxwing/internal/upkeep"
)

// alertNoun is about what the operator is told by itself.
func (p *program) alertNoun() *cobra.Command {
	return p.Noun("alert", "what the operator is told by itself",
		cli.Verb{Use: "test", Short: "send an alert that says it is a test, by mail and webhook as all others", Run: p.OnStore(p.testAlert)})
}

func (p *program) testAlert(ctx context.Context, o *upkeep.Opened, _ []string) error {
	r, err := server.Reports(o.Options, o.Store)
	if err != nil {
		return err
	}
	told, err := r.Alerts.Test(ctx)
	if err != nil {
		return err
	}
	// The running server sends it.
	if err := o.Store.Write(ctx, func(tx *store.Tx) error { return tx.Raise(server.QueueArea) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, "An alert is on its way to %s.\n", told)
	return err
}
