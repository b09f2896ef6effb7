// Package command has what the commands of waxwing have in common: how one comes by the
// configuration, the store and the running server, and how it lists.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/daemon"
	"waxwing/internal/datadir"
	"waxwing/internal/desk"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
	"waxwing/internal/server"
	"waxwing/internal/text"
	"waxwing/internal/upkeep"
)

// Call is one call of waxwing.
type Call struct {
	*cli.Program
	Version string // of waxwing
}

// New is a call that has its time and what a shell is offered from the configuration.
func New(p *cli.Program, version string) *Call {
	c := &Call{Program: p, Version: version}
	p.Now, p.Offer = c.now, c.offer
	return c
}

// WithStore reads the configuration, opens the store, runs fn and closes it.
func (c *Call) WithStore(ctx context.Context, fn func(*upkeep.Opened) error) error {
	o, err := c.LoadOptions()
	if err != nil {
		return err
	}
	if err := daemon.BecomeOwner(o.Config); err != nil {
		return err
	}
	o.Log = slog.New(logline.New(c.Stderr, logline.Options{Level: slog.LevelWarn}))
	db, err := datadir.OpenStore(ctx, o.Config, o.Log)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(upkeep.Opening(o, db))
}

// OnStore is what a command does with the store.
func (c *Call) OnStore(fn func(context.Context, *upkeep.Opened, []string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		return c.WithStore(ctx, func(o *upkeep.Opened) error { return fn(ctx, o, args) })
	}
}

// OnOne is what a command does with the store and its one argument, which is read before
// the store is opened.
func OnOne[T any](c *Call, parse func(string) (T, error), fn func(context.Context, *upkeep.Opened, T) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		x, err := parse(args[0])
		if err != nil {
			return err
		}
		return c.WithStore(ctx, func(o *upkeep.Opened) error { return fn(ctx, o, x) })
	}
}

// OnDesk is what a command does with what answers commands: the running server, so that
// what it holds in memory obeys at once, or the store where none runs. A server that runs
// and cannot be asked is an error: nobody goes behind its back.
func (c *Call) OnDesk(fn func(context.Context, desk.Desk, []string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		cfg, err := c.LoadConfig()
		if err != nil {
			return err
		}
		running, err := control.Dial(ctx, cfg.DataDir)
		switch {
		case err == nil:
			return fn(ctx, running, args)
		case !errors.Is(err, control.ErrNotRunning):
			return err
		}
		return c.WithStore(ctx, func(o *upkeep.Opened) error {
			desk, err := server.Desk(o.Options, o.Store)
			if err != nil {
				return err
			}
			return fn(ctx, desk, args)
		})
	}
}

// OnRunning is what a command does with a server that runs: what it asks, the store cannot
// answer.
func (c *Call) OnRunning(fn func(context.Context, *control.Client, []string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		cfg, err := c.LoadConfig()
		if err != nil {
			return err
		}
		running, err := control.Dial(ctx, cfg.DataDir)
		if errors.Is(err, control.ErrNotRunning) {
			return fmt.Errorf("%w: start one with \"waxwing serve\"", err)
		}
		if err != nil {
			return err
		}
		return fn(ctx, running, args)
	}
}

// offer is what may be typed in a place.
func (c *Call) offer(ctx context.Context, place string) (words []string, known bool) {
	return upkeep.Offer(ctx, place, c.LoadOptions)
}

// LoadOptions reads the configuration, and where it is one of a lab that stays up,
// has what is made of it go the lab's way.
func (c *Call) LoadOptions() (server.Options, error) {
	cfg, err := c.LoadConfig()
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{Config: cfg, Now: time.Now}
	w, err := lab.WorldOf(c.Config)
	if w != nil {
		o.Now, o.Dialer = w.Now, w
	}
	return o, err
}

// now is the time on the machine of the configuration.
func (c *Call) now() time.Time {
	if w, err := lab.WorldOf(c.Config); err == nil && w != nil {
		return w.Now()
	}
	return time.Now()
}

// LoadConfig reads the configuration of the call.
func (c *Call) LoadConfig() (*config.Config, error) { return LoadConfig(c.Config) }

// LoadConfig reads a configuration, and says what to do where there is none.
func LoadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: say with --config where it is, or make one with \"waxwing quickstart\"", err)
	}
	return cfg, err
}

// List is a command that lists: rows that fetch finds, as JSON or as a table.
func List[S, T any](c *Call, on func(func(context.Context, S, []string) error) cli.Action, fetch func(context.Context, S, []string) ([]T, error), l text.List[T]) cli.Action {
	return on(func(ctx context.Context, s S, args []string) error {
		rows, err := fetch(ctx, s, args)
		if err != nil {
			return err
		}
		return cli.Show(c.Program, rows, l)
	})
}

// Of is rows that a room finds without arguments, for List.
func Of[S, T any](rows func(S, context.Context) ([]T, error)) func(context.Context, S, []string) ([]T, error) {
	return func(ctx context.Context, s S, _ []string) ([]T, error) { return rows(s, ctx) }
}
