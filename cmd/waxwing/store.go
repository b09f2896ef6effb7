package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"waxwing/internal/server"
)

// storeNoun makes the store. It is the one command that does: a server or a command
// that finds none says so, for there may be one that is not mounted.
func (p *program) storeNoun() *cobra.Command {
	return p.noun("store", "the database that holds all",
		verb{use: "init [--config FILE]", short: "make the store where there is none yet", run: p.initStore})
}

func (p *program) initStore(ctx context.Context, _ []string) error {
	cfg, err := loadConfig(p.config)
	if err != nil {
		return err
	}
	if err := becomeOwner(cfg); err != nil {
		return err
	}
	made, err := server.InitStore(ctx, cfg, nil)
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
	_, err = fmt.Fprintf(p.stdout, text, where)
	return err
}
