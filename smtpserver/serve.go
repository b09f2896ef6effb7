package smtpserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"waxwing/internal/guard"
	"waxwing/peers"
	"waxwing/smtp"
)

func (s *Server) limits() Limits {
	l := s.Limits
	return Limits{
		Connections:        cmp.Or(l.Connections, 1000),
		ConnectionsPerAddr: cmp.Or(l.ConnectionsPerAddr, 50),
		ConnectionsPerNet:  l.ConnectionsPerNet, // package peers has the defaults of these
		Handshakes:         l.Handshakes,
		Waiting:            l.Waiting,
		MessageSize:        cmp.Or(l.MessageSize, 50<<20),
		Recipients:         cmp.Or(l.Recipients, 1000),
		EnvelopeMemory:     cmp.Or(l.EnvelopeMemory, 16<<20),
		Transactions:       cmp.Or(l.Transactions, 1000),
		Commands:           cmp.Or(l.Commands, 1000),
		Errors:             cmp.Or(l.Errors, 19),
		LoginFailures:      cmp.Or(l.LoginFailures, 3),
	}
}

func (s *Server) timeouts() Timeouts {
	t := s.Timeouts
	return Timeouts{
		Command:   cmp.Or(t.Command, 5*time.Minute),
		Data:      cmp.Or(t.Data, 3*time.Minute),
		Message:   cmp.Or(t.Message, time.Hour),
		Handshake: cmp.Or(t.Handshake, 30*time.Second),
		Write:     cmp.Or(t.Write, time.Minute),
		Drain:     cmp.Or(t.Drain, 30*time.Second),
		Crowded:   cmp.Or(t.Crowded, 10*time.Second),
	}
}

// hurried are the timeouts of a crowded server. Who is known keeps the time that a
// message takes: over a slow line it is long.
func (t Timeouts) hurried(known bool) Timeouts {
	for _, d := range []*time.Duration{&t.Command, &t.Data, &t.Handshake, &t.Write} {
		*d = min(*d, t.Crowded)
	}
	if !known {
		t.Message = min(t.Message, 10*t.Crowded)
	}
	return t
}

func (c *conn) timeouts() Timeouts {
	t := c.srv.timeouts()
	if c.srv.gate.Crowded() {
		t = t.hurried(c.known || c.identity != "")
	}
	return t
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) prepare() {
	s.once.Do(func() {
		if s.TLS != nil {
			s.wireTLS = Noting(s.TLS)
		}
		s.gate.Ledger, s.gate.TLS = s.Peers, s.ImplicitTLS
		s.lane = peers.NewLane()
	})
}

// Serve accepts connections on l until ctx ends. Then it closes l, tells idle
// clients 421, lets messages under way finish for Timeouts.Drain, closes what is
// left and returns nil once all connections have ended. Any other end of l is an
// error. Serve may run on several listeners at once; they share the limits.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.Backend == nil || s.Hostname == "" {
		return errors.New("smtpserver: Backend and Hostname must be set")
	}
	s.prepare()
	// Work goes on while draining: only the wait for commands ends with ctx.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	live := &crowd{conns: map[*conn]struct{}{}}
	unhook := context.AfterFunc(ctx, s.Guard.Func(guard.SMTP, func() { l.Close(); live.drain() }))
	defer unhook()
	err := s.accept(work, l, live)
	if ctx.Err() == nil {
		live.drain()
	}
	live.wait(s.timeouts().Drain, s.Guard, stop)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener, live *crowd) error {
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if err != nil {
			if passing(err) {
				s.logger().Warn("accept failed, trying again", "error", err, "pause", pause)
				time.Sleep(pause)
				pause = min(2*pause, time.Second)
				continue
			}
			return err
		}
		pause = 5 * time.Millisecond
		if !s.Guard.Do(guard.SMTP, func() { s.admit(ctx, nc, live) }) {
			nc.Close()
		}
	}
}

// passing reports a failure to accept that says nothing about the listener: no
// descriptors or memory left just now, or a client that went away.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts a connection's goroutine, or refuses it.
func (s *Server) admit(ctx context.Context, nc net.Conn, live *crowd) {
	addr := peers.AddrPort(nc.RemoteAddr()).Addr()
	refused := s.gate.enter(addr, s.limits())
	var c *conn
	admitted := false
	defer func() {
		if refused != "" || admitted {
			return
		}
		if c != nil { // a panic
			live.remove(c)
		} else if s.ImplicitTLS {
			s.gate.EndTLS(addr)
		}
		s.gate.leave(addr)
	}()
	if t := s.Trace.Connected; t != nil {
		t(addr, refused)
	}
	if refused != "" {
		s.refuse(nc, addr, refused)
		return
	}
	c = newConn(s, nc)
	c.shaking, c.known = s.ImplicitTLS, s.Peers.Known(addr)
	live.add(c)
	live.crowded(s.gate.Crowded(), s.timeouts().Crowded)
	admitted = true
	s.Guard.Go(guard.SMTP, func() {
		defer func() {
			live.remove(c)
			s.gate.leave(addr)
		}()
		s.run(ctx, c)
	})
}

// run serves one connection to its end.
func (s *Server) run(ctx context.Context, c *conn) {
	// A connection's context ends with it, so that lookups made for it do too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.raw.Close()
	s.dialogue(ctx, c)
	c.linger()
	if t, ok := c.nc.(*tls.Conn); ok && c.ended != "lost" {
		t.SetWriteDeadline(time.Now().Add(time.Second))
		t.Close() // with close_notify
	}
	c.watchEvent("ended: ", c.ended)
	if t := s.Trace.Disconnected; t != nil {
		t(c.remote.Addr(), c.ended)
	}
	if l := s.logger(); l.Enabled(ctx, slog.LevelDebug) {
		c.log().Debug("disconnected", "word", c.ended)
	}
}

// ServeConn serves a single connection, such as one end of a net.Pipe, without
// the limits on connections. It returns when the dialogue has ended and nc is
// closed.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	s.prepare()
	c := newConn(s, nc)
	stop := context.AfterFunc(ctx, s.Guard.Func(guard.SMTP, c.drain))
	defer stop()
	s.run(context.WithoutCancel(ctx), c)
}

// crowd is the live connections of one Serve.
type crowd struct {
	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool
	hurried  bool // since it became crowded
	wg       sync.WaitGroup
}

// crowded tells the state of the server. When it becomes crowded, those who wait
// already are held to limit; whoever comes later has it from the start.
func (w *crowd) crowded(is bool, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if is && !w.hurried {
		for c := range w.conns {
			c.hurry(limit)
		}
	}
	w.hurried = is
}

func (w *crowd) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = struct{}{}
	w.wg.Add(1)
	if w.draining {
		c.drain()
	}
}

func (w *crowd) remove(c *conn) {
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
	c.release()
	c.endTLS()
	c.begin(transaction{})
	w.wg.Done()
}

func (w *crowd) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	for c := range w.conns {
		c.drain()
	}
}

// wait returns when all have ended; after grace they are closed and stop is called.
func (w *crowd) wait(grace time.Duration, g *guard.Guard, stop func()) {
	t := time.AfterFunc(grace, g.Func(guard.SMTP, func() {
		stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		for c := range w.conns {
			c.raw.Close()
		}
	}))
	defer t.Stop()
	w.wg.Wait()
}

// asReply is the reply for an error of the backend.
func asReply(err error) *smtp.Reply {
	var r *smtp.Reply
	if errors.As(err, &r) {
		return r
	}
	return smtp.NewReply(451, status(4, 3, 0), "local error, try again later").WithCause(err)
}
