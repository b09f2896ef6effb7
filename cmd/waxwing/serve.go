package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"

	"waxwing/internal/config"
	"waxwing/internal/server"
)

// runServe runs the server until it is told to stop.
func runServe(ctx context.Context, e env, args []string) error {
	fs := flags(e, "serve")
	path := fs.String("config", "waxwing.toml", "configuration `file`")
	profile := fs.String("cpuprofile", "", "write a profile of the processor time, for \"go tool pprof\", to this `file`")
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
	if err := cfg.Check(); err != nil {
		return err
	}
	log := newLog(e.stderr, cfg.Log)
	tellRisks(cfg, log)
	s, err := server.New(ctx, server.Options{Config: cfg, Log: log, Version: version})
	if err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.OpenFile(*profile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return errors.Join(fmt.Errorf("-cpuprofile: %w", err), s.Close())
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, s.Close())
		}
		defer pprof.StopCPUProfile()
	}
	spareGC()
	limit, of := limitMemory()
	log.Info("memory", "limit", limit, "of", of)
	return s.Run(ctx)
}

// newLog makes the log that the configuration asks for.
func newLog(w io.Writer, c config.Log) *slog.Logger {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
