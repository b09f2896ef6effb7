package main

import (
	"context"
	"fmt"
	"log/slog"

	"waxwing/internal/server"
)

// runCompanion runs what stands beside a Postfix until it is told to stop, and
// the daily TLS reports with it.
func runCompanion(ctx context.Context, e env, args []string) error {
	fs := flags(e, "companion")
	path := fs.String("config", "companion.toml", "configuration `file`")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := only(rest); err != nil {
		return err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	if !cfg.Companion.On() {
		return fmt.Errorf("%s has no [companion] table with datagrams or policies: see docs/operating/postfix.md", *path)
	}
	if cfg.ServesMail() {
		return fmt.Errorf("%s has listeners for mail: \"waxwing serve\" serves them, and the companion with them", *path)
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	got, stop := watchSignals()
	defer stop()
	level := new(slog.LevelVar)
	log := newLog(e.stderr, cfg.Log, level)
	tellRisks(cfg, log)
	limitMemory()
	s, err := server.New(ctx, server.Options{Config: cfg, Log: log})
	if err != nil {
		return err
	}
	return runObeying(ctx, s, &signals{path: *path, level: level, normal: logLevel(cfg.Log), server: s, log: log}, got)
}
