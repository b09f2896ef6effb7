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
	"waxwing/internal/guard"
	"waxwing/internal/logline"
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
	got, stop := watchSignals() // from now on: one that comes early must not end us
	defer stop()
	level := new(slog.LevelVar)
	log := newLog(e.stderr, cfg.Log, level)
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
	return runObeying(ctx, s, &signals{path: *path, level: level, normal: logLevel(cfg.Log), server: s, log: log}, got)
}

// runObeying runs a server, and obeys signals meanwhile.
func runObeying(ctx context.Context, s *server.Server, sig *signals, got <-chan os.Signal) error {
	ended, end := context.WithCancel(ctx)
	defer end()
	s.Guard().Go(guard.Signals, func() { sig.run(ended, got) })
	return s.Run(ctx)
}

// logLevel is the level that the configuration names.
func logLevel(c config.Log) slog.Level {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo // config has checked it
	}
	return level
}

// newLog makes the log that the configuration asks for, at a level that can change.
func newLog(w io.Writer, c config.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(logLevel(c))
	return slog.New(logline.New(w, logline.Options{Level: level, JSON: c.Format == "json", Journal: logline.IsJournal(w, os.Getenv("JOURNAL_STREAM"))}))
}
