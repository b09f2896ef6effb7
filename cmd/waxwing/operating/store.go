package operating

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"waxwing/internal/cli"
	"waxwing/internal/daemon"
	"waxwing/internal/datadir"
)

// storeNoun makes the store. It is the one command that does: a server or a command
// that finds none says so, for there may be one that is not mounted.
func (p *program) storeNoun() *cobra.Command {
	return p.Noun("store", "the database that holds all",
		cli.Verb{Use: "init [--config FILE]", Short: "make the store where there is none yet", Run: p.initStore})
}

func (p *program) initStore(ctx context.Context, _ []string) error {
	cfg, err := p.LoadConfig()
	if err != nil {
		return err
	}
	if err := daemon.BecomeOwner(cfg); err != nil {
		return err
	}
	made, err := datadir.InitStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	where := "in " + cfg.DataDir
	if cfg.Postgres != "" {
		where = "in the PostgreSQL database"
	}
	text := "There is a store %s already; it is left as it is.\n"
	if made {
		text = "The store %s is made.\n"
	}
	_, err = fmt.Fprintf(p.Stdout, text, where)
	return err
}
