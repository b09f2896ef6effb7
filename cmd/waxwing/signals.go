package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/server"
)

// verboseFor is how long SIGUSR1 has everything logged.
const verboseFor = 10 * time.Minute

// signals is what a running server does on signals (OPS-10): SIGHUP reloads, SIGUSR1
// logs everything for a while. SIGTERM and SIGINT end ctx, which drains.
type signals struct {
	path   string // of the configuration
	level  *slog.LevelVar
	normal slog.Level // of the configuration
	server *server.Server
	log    *slog.Logger
	quiet  *time.Timer // nil: not verbose
}

// run obeys until ctx ends.
func (s *signals) run(ctx context.Context, got <-chan os.Signal) {
	for {
		var over <-chan time.Time
		if s.quiet != nil {
			over = s.quiet.C
		}
		select {
		case <-ctx.Done():
			return
		case <-over:
			s.quiet = nil
			s.level.Set(s.normal)
			s.log.Info("the log is back at its level", "level", s.normal.String())
		case sig := <-got:
			do := s.reload
			if isVerbose(sig) {
				do = s.verbose
			}
			s.server.Guard().Do(guard.Signals, do) // a reload never ends the server
		}
	}
}

func (s *signals) verbose() {
	if s.quiet != nil {
		s.quiet.Stop()
	}
	s.quiet = time.NewTimer(verboseFor)
	s.level.Set(slog.LevelDebug)
	s.log.Info("everything is logged for a while", "level", slog.LevelDebug.String(), "for", config.FormatDuration(verboseFor))
}

// reload reads the configuration again. One that cannot be used changes nothing.
func (s *signals) reload() {
	next, err := config.Load(s.path)
	if err == nil {
		err = next.Check()
	}
	if err != nil {
		var faults config.Errors
		if !errors.As(err, &faults) {
			s.log.Error("configuration not reloaded, the old one stays", "error", err)
			return
		}
		for _, f := range faults {
			s.log.Error("configuration not reloaded, the old one stays", "fault", f.Error())
		}
		return
	}
	change, err := s.server.Reload(next)
	if err != nil {
		s.log.Error("not everything was reloaded", "error", err)
	}
	s.normal = logLevel(next.Log)
	if s.quiet == nil {
		s.level.Set(s.normal)
	}
	s.log.Info("reloaded", "config", s.path, "changed", strings.Join(change.Live, " "))
	if len(change.Restart) > 0 {
		s.log.Warn("these changes need a restart of the server", "keys", strings.Join(change.Restart, " "))
	}
}
