package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/logline"
	"waxwing/internal/process"
	"waxwing/internal/server"
)

// verboseFor is how long SIGUSR1 has everything logged.
const verboseFor = 10 * time.Minute

// signals is what a running server does on signals (OPS-10): SIGHUP reloads, SIGUSR1
// logs everything for a while, SIGUSR2 hands over to a new program. SIGTERM and SIGINT end ctx, which drains.
type signals struct {
	path   string // of the configuration
	levels *logline.Levels
	server *server.Server
	log    *slog.Logger
	tell   func(states ...string) // the service manager
	// handOver has a new program take over and ends the server's run; an error leaves all
	// as it was.
	handOver func() error
}

// run obeys until ctx ends.
func (s *signals) run(ctx context.Context, got <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-got:
			do := s.reload
			switch {
			case isVerbose(sig):
				do = s.verbose
			case isHandOver(sig):
				do = s.giveWay
			}
			s.server.Guard().Do(guard.Signals, do) // a reload never ends the server
		}
	}
}

func (s *signals) verbose() {
	s.levels.Verbose(time.Now().Add(verboseFor))
	s.log.Info("everything is logged for a while", "level", slog.LevelDebug.String(), "for", config.FormatDuration(verboseFor))
}

// giveWay has the program that stands in place of ours now take over (OPS-2).
func (s *signals) giveWay() {
	if err := s.handOver(); err != nil {
		s.log.Error("the new program does not take over, this one goes on", "error", err)
	}
}

// reload reads the configuration again. One that cannot be used changes nothing.
func (s *signals) reload() {
	s.tell(process.Reloading())
	defer s.tell(process.Ready)
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
			s.log.Error("configuration not reloaded, the old one stays", "error", f)
		}
		return
	}
	change, err := s.server.Reload(next)
	if err != nil {
		s.log.Error("not everything was reloaded", "error", err)
	}
	s.levels.Configure(next.Log)
	s.log.Info("reloaded", "config", s.path, "changed", strings.Join(change.Live, " "))
	if len(change.Restart) > 0 {
		s.log.Warn("these changes need a restart of the server", "keys", strings.Join(change.Restart, " "))
	}
}
