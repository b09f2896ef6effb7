package main

import (
	"context"
	"errors"

	"waxwing/internal/control"
	"waxwing/internal/server"
)

// withDesk gives fn what answers commands: the running server, so that what it
// holds in memory obeys at once, or the store where none runs. A server that runs
// and cannot be asked is an error: nobody goes behind its back.
func withDesk(ctx context.Context, e env, f storeFlags, fn func(control.Desk) error) error {
	cfg, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	c, err := control.Dial(ctx, cfg.DataDir)
	switch {
	case err == nil:
		return fn(c)
	case !errors.Is(err, control.ErrNotRunning):
		return err
	}
	return withStore(ctx, e, f, func(o *opened) error {
		desk, err := server.Desk(o.options, o.store)
		if err != nil {
			return err
		}
		return fn(desk)
	})
}
