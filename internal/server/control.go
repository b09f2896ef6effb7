package server

import (
	"context"
	"errors"
	"net"

	"waxwing/internal/accounts"
	"waxwing/internal/control"
	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/metrics"
	"waxwing/internal/signing"
	"waxwing/internal/store"
)

// buildControl opens the control socket. A second server on one data directory is
// an error; a file system that takes no sockets is not: commands then go to the
// store, and the server sees what they did within a second.
func (s *Server) buildControl() error {
	l, err := control.Listen(s.cfg.DataDir)
	switch {
	case errors.Is(err, control.ErrRunning):
		return err
	case err != nil:
		s.log.Error("commands cannot reach this server, and use its store instead", "error", err)
		return nil
	}
	s.control = l
	return nil
}

// serveControl answers commands until ctx ends.
func (s *Server) serveControl(ctx context.Context, l net.Listener) error {
	srv := &control.Server{Desk: s.desk(), Program: s.o.Version, Log: s.area("control"), Guard: s.guard}
	return srv.Serve(ctx, l)
}

func (s *Server) desk() *control.Rooms {
	return &control.Rooms{Queue: s.Queue, Reports: s.TLSReport, Routes: s.Routes}
}

// Desk makes the rooms that answer commands where no server runs. What they
// change in the store, a server on another machine sees within a second.
func Desk(o Options, db *store.Store) (*control.Rooms, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return nil, err
	}
	s.Metrics = metrics.New()
	s.Accounts = &accounts.Store{DB: db, Now: s.o.Now}
	s.Mailboxes = &mailboxes.Store{DB: db, Now: s.o.Now}
	s.Signing = &signing.Service{Store: db, Now: s.o.Now, Log: s.log}
	if err := s.buildReports(); err != nil {
		return nil, err
	}
	s.buildQueue()
	s.Queue.Owner = "command"
	d := s.desk()
	d.Changed = func(ctx context.Context) error {
		return db.Write(ctx, func(tx *store.Tx) error { return tx.Raise(QueueArea) })
	}
	return d, nil
}

// attempted is told of every attempt once it is settled.
func (s *Server) attempted(job *delivery.Job, res *delivery.Result) {
	s.Metrics.Attempt(job, res)
	s.Posture.Note(job, res)
}
