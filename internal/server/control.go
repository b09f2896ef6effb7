package server

import (
	"context"
	"errors"

	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/desk"
	"waxwing/internal/guard"
	"waxwing/internal/outbox"
)

// control opens the control socket. A second server on one data directory is
// an error; a file system that takes no sockets is not: commands then go to the
// store, and the server sees what they did within a second.
func (f *front) control() error {
	l, err := control.Listen(f.cfg.DataDir)
	switch {
	case errors.Is(err, control.ErrRunning):
		return err
	case err != nil:
		f.Log.Error("commands cannot reach this server, and use its store instead", "error", err)
		return nil
	}
	f.onClose(l)
	running := &control.Running{Levels: f.Levels, Traces: f.traces, DNS: f.rooms.DNS, DNSSEC: f.rooms.dnssec, Milters: f.milterLast.All, Now: f.Now, Log: f.area(config.LogControl)}
	srv := &control.Server{Desk: f.rooms.desk(), Running: running, Program: f.Version, Log: f.area(config.LogControl), Guard: f.guard}
	f.face("control", guard.Control, func(ctx context.Context) error {
		if err := srv.Serve(ctx, l); err != nil && ctx.Err() == nil {
			f.Log.Error("commands cannot reach this server any more, and use its store instead", "error", err)
		}
		return nil
	})
	return nil
}

// desk answers commands.
func (r *Rooms) desk() *desk.Rooms {
	return &desk.Rooms{Queue: r.Queue, Reports: []*outbox.Box{r.TLSReport.Box, r.DMARCReport.Box}, Routes: r.Routes}
}
