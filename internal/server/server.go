// Package server builds a whole Waxwing from its configuration, starts it and
// stops it. It is the only package that knows all the others.
//
// Read build.go for what there is and what needs what; then the file of the room
// that you look for. run.go starts and stops; commands.go is for commands that
// need no running server.
package server

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/disk"
	"waxwing/internal/guard"
	"waxwing/internal/logline"
	"waxwing/internal/process"
	"waxwing/internal/session"
)

// Options are a configuration and, for tests and the lab, what stands in for
// the world around the server. The zero value of everything but Config is what
// a real machine wants.
type Options struct {
	Config *config.Config
	Log    *slog.Logger                                        // nil: discard
	Levels *logline.Levels                                     // of Log, which commands show and change; nil: those of the configuration, which nothing obeys
	Now    func() time.Time                                    // nil: time.Now
	Dialer session.Dialer                                      // SMTP, and HTTPS to policy hosts; nil: net.Dialer
	Roots  *x509.CertPool                                      // trusted authorities; nil: as the configuration says
	Listen func(network, address string) (net.Listener, error) // nil: net.Listen
	// Inherited are listening sockets that the process was started with, which are used
	// rather than new ones (OPS-2); nil: none.
	Inherited *process.Inherited
	// Commit stands around every commit of the store, as store.Options.Commit; nil: nothing does.
	Commit func(commit func() error) error
	// Version of the program, told at the control socket.
	Version string
}

// complete fills in what a real machine has.
func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Levels == nil {
		o.Levels = logline.NewLevels(o.Config.Log, o.Now)
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	if o.Dialer == nil {
		o.Dialer = &net.Dialer{KeepAlive: -1} // every step of a session has a time of its own
	}
}

// Server is a Waxwing, whole: no room is missing and every port is bound. Its rooms
// are for tests and the lab.
type Server struct {
	*Rooms
	log   *slog.Logger
	guard *guard.Guard
	live  *live
	disk  *disk.Reserve
	plan
}

// New opens the store, builds the rooms and binds the listeners, so that a port
// that is taken is an error here; with an error all is closed again. Close the
// server, or Run it, which closes it.
func New(ctx context.Context, o Options) (*Server, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	s, err := b.server(ctx)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return s, nil
}

// Hostname is the server's name.
func (s *Server) Hostname() string { return s.live.Load().Hostname.ASCII() }

// Sockets are those that clients connect to, for a program that takes this one over.
func (s *Server) Sockets() []process.Socket { return s.bound }

// Guard contains panics of what runs beside the server.
func (s *Server) Guard() *guard.Guard { return s.guard }

// Close releases what New took. It is not needed after Run.
func (s *Server) Close() error { return s.close() }

// Addr is where the first listener of a kind listens; nil if there is none.
func (s *Server) Addr(kind config.Kind) net.Addr {
	for _, l := range s.listeners {
		if l.kind == kind {
			return l.Addr()
		}
	}
	return nil
}
