// Package daemon is a server as a process of its machine: the user it is, the sockets that it
// was given, its log, the signals and the service manager that it obeys, and the program
// that takes it over (OPS-2, OPS-10, SET-7).
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/guard"
	"waxwing/internal/logline"
	"waxwing/internal/process"
	"waxwing/internal/server"
	"waxwing/internal/text"
)

// Service is a server as a process of its machine.
type Service struct {
	Stderr  io.Writer
	Screen  *text.Terminal // that Stderr is; nil: a file, a pipe, the journal
	Path    string         // of the configuration
	Config  *config.Config
	User    string                 // to become, once the ports are bound; "": as we are
	Prepare func() (func(), error) // is called before it serves, and what it returned at the end; nil: nothing is
	Version string

	manager process.Manager
	next    *process.Successor // nil: none
}

// Run builds the server and runs it, obeying signals, until ctx ends or another program
// takes it over.
func (v *Service) Run(ctx context.Context) error {
	got, stop := watchSignals() // from now on: one that comes early must not end us
	defer stop()
	v.manager = process.ManagerOf(os.Getenv, os.Getpid())
	levels := logline.NewLevels(v.Config.Log, time.Now)
	log := v.newLog(levels)
	sockets, err := process.Inherit(os.Getenv, os.Unsetenv, os.Getpid())
	if err != nil {
		return err
	}
	if err := v.dropRoot(sockets); err != nil {
		return err
	}
	tellRisks(v.Config, log)
	s, err := server.New(ctx, server.Options{Config: v.Config, Log: log, Levels: levels, Version: v.Version, Inherited: sockets})
	if err != nil {
		return err
	}
	if left := sockets.Close(); len(left) > 0 {
		log.Warn("this process was given sockets that no [[listen]] names: they are closed", "sockets", strings.Join(left, ", "))
	}
	end := func() {}
	if v.Prepare != nil {
		if end, err = v.Prepare(); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	if err := v.confine(log); err != nil {
		end()
		return errors.Join(err, s.Close())
	}
	limit, of := process.LimitMemory()
	log.Info("memory", "limit", limit, "of", of)
	err = v.obeying(ctx, s, &signals{path: v.Path, levels: levels, server: s, log: log, tell: v.tell(log)}, got)
	end()
	if v.next == nil {
		return err
	}
	if err != nil || ctx.Err() != nil { // a stop beats the change
		return errors.Join(err, v.next.Close())
	}
	log.Info("handing over")
	ignoreSignals() // until the next program listens to them: they must not end it
	return v.next.Exec(os.Environ())
}

// confine leaves this process its own files. What runs as root keeps what root may.
func (v *Service) confine(log *slog.Logger) error {
	if v.Config.Landlock == config.LandlockOff {
		return nil
	}
	if program := v.Config.Companion.Program(); program != "" {
		log.Info("this server can use all files that its user may: companion.report_relay is a program, with files and rights of its own", "program", program)
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	is, err := process.Confine(process.RoomsOf(v.Config, v.Path, program))
	if err == nil && !is {
		log.Info("this kernel has no Landlock: the server can use all files that its user may")
	}
	return err
}

// tell tells the service manager. Without it all goes on; it may think that we have died.
func (v *Service) tell(log *slog.Logger) func(...string) {
	return func(states ...string) {
		if err := v.manager.Tell(states...); err != nil {
			log.Warn("the service manager does not hear of this server", "error", err)
		}
	}
}

// obeying runs a server, and obeys signals meanwhile.
func (v *Service) obeying(ctx context.Context, s *server.Server, sig *signals, got <-chan os.Signal) error {
	serving, end := context.WithCancel(ctx)
	defer end()
	over, ended := context.WithCancel(context.WithoutCancel(ctx))
	defer ended()
	sig.handOver = func() error {
		next, err := v.successor(serving, s)
		if err == nil {
			v.next = next
			sig.tell(process.Reloading())
			end()
		}
		return err
	}
	s.Guard().Go(guard.Signals, func() { sig.run(serving, got) })
	s.Guard().Go(guard.Signals, func() { sig.levels.Run(serving, sig.log) })
	s.Guard().Go(guard.Signals, func() { v.watchdog(over, sig.tell) })
	defer context.AfterFunc(ctx, s.Guard().Func(guard.Signals, func() { sig.tell(process.Stopping) }))()
	sig.tell(process.Ready, "STATUS=serving "+s.Hostname())
	return s.Run(serving)
}

// watchdog tells the manager that this process lives, until ctx ends: also while it drains.
func (v *Service) watchdog(ctx context.Context, tell func(...string)) {
	if v.manager.Watchdog == 0 {
		return
	}
	tick := time.NewTicker(v.manager.Watchdog / 3)
	defer tick.Stop()
	for {
		tell(process.Alive)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// checkFor is how long a new program has to read the configuration.
const checkFor = 30 * time.Second

// successor is the program that now stands where ours was started from, ready to take
// over. One that does not run, or finds a fault in the configuration, is an error.
func (v *Service) successor(ctx context.Context, s *server.Server) (*process.Successor, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, "config", "check", "--config", v.Path).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s config check: %w: %s", path, err, strings.TrimSpace(string(out)))
	}
	return process.Succeed(path, os.Args, s.Sockets())
}

// dropRoot binds what root alone may bind, and becomes another user for good.
func (v *Service) dropRoot(sockets *process.Inherited) error {
	if v.User == "" {
		return nil
	}
	uid, gid, err := process.LookUp(v.User)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if os.Geteuid() != 0 {
		if uid == os.Geteuid() {
			return nil // a server that was root has handed over
		}
		return fmt.Errorf("--user %s: only root can become another user, and this is %s", v.User, datadir.UserName(os.Geteuid()))
	}
	for _, l := range v.Config.Listen {
		if l.Socket != "" {
			continue // that user makes it
		}
		at := config.TCP(l.Address)
		if err := sockets.Bind(string(l.Kind), at.Network, at.Address); err != nil {
			return err
		}
	}
	if err := process.Become(uid, gid); err != nil {
		return fmt.Errorf("become the user %s: %w", v.User, err)
	}
	return nil
}

// newLog makes the log that the configuration asks for, at levels that can change.
func (v *Service) newLog(levels *logline.Levels) *slog.Logger {
	return slog.New(logline.New(v.Stderr, logline.Options{Areas: levels, JSON: v.Config.Log.Format == "json",
		Journal: logline.IsJournal(v.Stderr, os.Getenv("JOURNAL_STREAM")), Terminal: v.Screen}))
}
