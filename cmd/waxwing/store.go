package main

import (
	"context"
	"fmt"

	"waxwing/internal/server"
)

func storeActions() []action {
	return []action{
		{"init", "[-config FILE]", "make the store where there is none yet"},
	}
}

// runStore makes the store. It is the one command that does: a server or a command
// that finds none says so, for there may be one that is not mounted.
func runStore(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "store", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "store", what)
	f.add(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := only(rest); err != nil {
		return err
	}
	cfg, err := loadConfig(f.config)
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
	if !made {
		_, err = fmt.Fprintf(e.stdout, "There is a store %s already; it is left as it is.\n", where)
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "The store %s is made.\n", where)
	return err
}
