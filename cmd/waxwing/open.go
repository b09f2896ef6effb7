package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
	"waxwing/internal/mailboxes"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// opened is the store and the rooms over it, for commands that need no server.
type opened struct {
	options   server.Options
	cfg       *config.Config
	store     *store.Store
	accounts  *accounts.Store
	mailboxes *mailboxes.Store
	signing   *signing.Service
	routes    *routes.Store
}

func newOpened(o server.Options, db *store.Store) *opened {
	return &opened{options: o, cfg: o.Config, store: db, accounts: &accounts.Store{DB: db, Now: o.Now}, mailboxes: &mailboxes.Store{DB: db, Now: o.Now},
		signing: &signing.Service{Store: db, Now: o.Now, Log: o.Log}, routes: &routes.Store{DB: db}}
}

// withStore reads the configuration, opens the store, runs fn and closes it.
func (p *program) withStore(ctx context.Context, fn func(*opened) error) error {
	o, err := loadOptions(p.config)
	if err != nil {
		return err
	}
	if err := becomeOwner(o.Config); err != nil {
		return err
	}
	o.Log = slog.New(logline.New(p.stderr, logline.Options{Level: slog.LevelWarn}))
	db, err := server.OpenStore(ctx, o.Config, o.Log)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(newOpened(o, db))
}

// onStore is what a command does with the store.
func (p *program) onStore(fn func(context.Context, *opened, []string) error) action {
	return func(ctx context.Context, args []string) error {
		return p.withStore(ctx, func(o *opened) error { return fn(ctx, o, args) })
	}
}

// onOne is what a command does with the store and its one argument, which is read before
// the store is opened.
func onOne[T any](p *program, parse func(string) (T, error), fn func(context.Context, *opened, T) error) action {
	return func(ctx context.Context, args []string) error {
		x, err := parse(args[0])
		if err != nil {
			return err
		}
		return p.withStore(ctx, func(o *opened) error { return fn(ctx, o, x) })
	}
}

// onDesk is what a command does with what answers commands: the running server, so that
// what it holds in memory obeys at once, or the store where none runs. A server that runs
// and cannot be asked is an error: nobody goes behind its back.
func (p *program) onDesk(fn func(context.Context, control.Desk, []string) error) action {
	return func(ctx context.Context, args []string) error {
		cfg, err := loadConfig(p.config)
		if err != nil {
			return err
		}
		c, err := control.Dial(ctx, cfg.DataDir)
		switch {
		case err == nil:
			return fn(ctx, c, args)
		case !errors.Is(err, control.ErrNotRunning):
			return err
		}
		return p.withStore(ctx, func(o *opened) error {
			desk, err := server.Desk(o.options, o.store)
			if err != nil {
				return err
			}
			return fn(ctx, desk, args)
		})
	}
}

// onReports is what a command does with the TLS reports in the store.
func (p *program) onReports(fn func(context.Context, server.TLSReports, []string) error) action {
	return p.onStore(func(ctx context.Context, o *opened, args []string) error {
		s, err := server.Reports(o.options, o.store)
		if err != nil {
			return err
		}
		return fn(ctx, s, args)
	})
}

// loadOptions reads the configuration, and where it is one of a lab that stays up,
// has what is made of it go the lab's way.
func loadOptions(path string) (server.Options, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{Config: cfg, Now: time.Now}
	w, err := lab.WorldOf(path)
	if w != nil {
		o.Now, o.Dialer = w.Now, w
	}
	return o, err
}

// now is the time on the machine of the configuration.
func (p *program) now() time.Time {
	if w, err := lab.WorldOf(p.config); err == nil && w != nil {
		return w.Now()
	}
	return time.Now()
}

// loadConfig reads the configuration, and says what to do where there is none.
func loadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: say with --config where it is, or make one with \"waxwing quickstart\"", err)
	}
	return cfg, err
}
