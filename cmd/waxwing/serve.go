package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"

	"github.com/spf13/pflag"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/logline"
	"waxwing/internal/server"
)

// serveVerb runs the server until it is told to stop.
func (p *program) serveVerb() verb {
	var profile string
	return verb{use: "serve [--config FILE]", short: "run the mail server", example: "serve --config /etc/waxwing/waxwing.toml", flags: func(fs *pflag.FlagSet) {
		fs.StringVar(&profile, "cpuprofile", "", "write a profile of the processor time, for \"go tool pprof\", to this `file`")
	}, run: func(ctx context.Context, _ []string) error {
		cfg, err := checkedConfig(p.config)
		if err != nil {
			return err
		}
		return runServer(ctx, p.stderr, p.config, cfg, func() (func(), error) {
			spareGC()
			return startProfile(profile)
		})
	}}
}

// startProfile writes a profile to a file, if one is named, until stop is called.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// runServer builds the server of a configuration and runs it, obeying signals. Between
// the two it calls prepare, and at the end what that returned.
func runServer(ctx context.Context, stderr io.Writer, path string, cfg *config.Config, prepare func() (func(), error)) error {
	got, stop := watchSignals() // from now on: one that comes early must not end us
	defer stop()
	level := new(slog.LevelVar)
	log := newLog(stderr, cfg.Log, level)
	tellRisks(cfg, log)
	s, err := server.New(ctx, server.Options{Config: cfg, Log: log, Version: version})
	if err != nil {
		return err
	}
	end, err := prepare()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer end()
	limit, of := limitMemory()
	log.Info("memory", "limit", limit, "of", of)
	return runObeying(ctx, s, &signals{path: path, level: level, normal: logLevel(cfg.Log), server: s, log: log}, got)
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
