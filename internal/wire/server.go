// Package wire has the connections of the programs that people read their mail with:
// IMAP, and what else speaks in lines after a login. It accepts them within bounds,
// secures them (STARTTLS, or TLS from the first octet), has them log in by SASL, and
// waits for a client and for news at the same time with one goroutine a connection.
// What is said on them is the matter of others.
package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/login"
	"waxwing/peers"
	"waxwing/smtpserver"
)

// Server accepts connections of one listener, or of several. Its fields are not
// changed once it serves.
type Server struct {
	Protocol    account.Protocol // that is spoken, for the login's rules and its log
	TLS         *tls.Config      // for STARTTLS, or from the first octet; nil: none
	ImplicitTLS bool
	Auth        smtpserver.Authenticator // required
	Limits      Limits
	Timeouts    Timeouts
	Peers       *peers.Ledger // nil: nothing is remembered of clients
	Log         *slog.Logger  // nil: discard
	Guard       *guard.Guard
	Area        guard.Area // of panics
	Trace       Trace
	// Lookout ends the connections of those who could not log in any more as they did (IMP-5); nil: they go on.
	Lookout *login.Lookout
	// Handle speaks with one client, and returns when that is over.
	Handle func(ctx context.Context, c *Conn)
	// Refuse says to a client that it is refused, in a line, and why; nil: nothing is said.
	Refuse func(why string) string

	once    sync.Once
	wireTLS *tls.Config
	gate    peers.Gate
	lane    peers.Lane
	mu      sync.Mutex
	open    map[string]int // connections by account
}

// Limits bound what clients can have. Zero values mean the defaults given.
type Limits struct {
	Shares        peers.Limits
	PerAccount    int // connections at one time that are logged in as one account; 30
	LoginFailures int // on one connection; 3
}

// Timeouts are how long a client may keep us waiting. Zero values mean the defaults given.
type Timeouts struct {
	Read      time.Duration // for more of a command that has begun; 2 min
	Write     time.Duration // for what we say to be taken, of each 16 KiB; 1 min
	Handshake time.Duration // 30 s
	Login     time.Duration // from the beginning until a client has logged in, whatever it says meanwhile; 3 min
	Drain     time.Duration // after the end of Serve's context, for commands under way; 30 s
}

// Trace tells observers what happens; nil fields are not called.
type Trace struct {
	Connected    func(remote netip.Addr, refused string)
	Disconnected func(remote netip.Addr, why string)
	Erred        func(remote netip.Addr, answer peers.Answer)
	Limited      func(limit string)
	TLS          func(remote netip.Addr, cs *tls.ConnectionState, err error)
}

func (s *Server) timeouts() Timeouts {
	t := s.Timeouts
	return Timeouts{
		Read: cmp.Or(t.Read, 2*time.Minute), Write: cmp.Or(t.Write, time.Minute),
		Handshake: cmp.Or(t.Handshake, 30*time.Second), Login: cmp.Or(t.Login, 3*time.Minute), Drain: cmp.Or(t.Drain, 30*time.Second),
	}
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
			s.wireTLS = smtpserver.Noting(s.TLS)
		}
		s.gate.Ledger, s.gate.TLS = s.Peers, s.ImplicitTLS
		s.lane, s.open = peers.NewLane(), map[string]int{}
	})
}

// Serve accepts connections until ctx ends; then it lets commands under way end, for
// Timeouts.Drain, and returns nil when all connections have ended. Any other end of l
// is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.prepare()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	live := &crowd{conns: map[*Conn]struct{}{}}
	unhook := context.AfterFunc(ctx, s.Guard.Func(s.Area, func() { l.Close(); live.drain() }))
	defer unhook()
	err := s.accept(work, l, live)
	live.drain()
	live.wait(s, stop)
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
		if !s.Guard.Do(s.Area, func() { s.admit(ctx, nc, live) }) {
			nc.Close()
		}
	}
}

// passing reports a failure to accept that says nothing about the listener.
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
	refused := string(s.gate.Enter(s.Limits.Shares, addr).Refused)
	admitted := false
	defer func() {
		if refused == "" && !admitted { // a panic
			if s.ImplicitTLS {
				s.gate.EndTLS(addr)
			}
			s.gate.Leave(addr)
		}
	}()
	if t := s.Trace.Connected; t != nil {
		t(addr, refused)
	}
	if refused != "" {
		s.refuse(nc, addr, refused)
		return
	}
	c := s.newConn(nc)
	c.shaking = s.ImplicitTLS
	live.add(c)
	admitted = true
	s.Guard.Go(s.Area, func() {
		defer func() {
			live.remove(c)
			if c.unwatch != nil {
				c.unwatch()
			}
			c.endTLS()
			s.leave(c.identity)
			s.gate.Leave(addr)
			c.raw.Close()
		}()
		s.run(ctx, c)
	})
}

func (s *Server) refuse(nc net.Conn, addr netip.Addr, why string) {
	if s.Peers.Tell(addr) {
		s.logger().Info("connection refused", "remote", addr.String(), "word", why)
	}
	if s.Refuse != nil && !s.ImplicitTLS {
		nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = nc.Write([]byte(s.Refuse(why)))
	}
	nc.Close()
}

// run serves one connection to its end.
func (s *Server) run(ctx context.Context, c *Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.raw.Close()
	if s.ImplicitTLS {
		err := c.handshake(ctx)
		c.endTLS()
		if err != nil {
			c.ended("tls")
			return
		}
	}
	s.Handle(ctx, c)
	c.close()
}

// ServeConn serves a single connection, such as one end of a net.Pipe, without the
// limits on connections. It returns when the dialogue has ended.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) {
	s.prepare()
	c := s.newConn(nc)
	defer func() { s.leave(c.identity) }()
	stop := context.AfterFunc(ctx, s.Guard.Func(s.Area, c.drain))
	defer stop()
	s.run(context.WithoutCancel(ctx), c)
}

// enter counts a connection of an account; false: it has all that it may have.
func (s *Server) enter(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[account] >= cmp.Or(s.Limits.PerAccount, 30) {
		return false
	}
	s.open[account]++
	return true
}

func (s *Server) leave(account string) {
	if account == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[account]--; s.open[account] <= 0 {
		delete(s.open, account)
	}
}

// crowd is the live connections of one Serve.
type crowd struct {
	mu       sync.Mutex
	conns    map[*Conn]struct{}
	draining bool
	wg       sync.WaitGroup
}

func (w *crowd) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = struct{}{}
	w.wg.Add(1)
	if w.draining {
		c.drain()
	}
}

func (w *crowd) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
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

// wait returns when all have ended; after a while they are closed and stop is called.
func (w *crowd) wait(s *Server, stop func()) {
	t := time.AfterFunc(s.timeouts().Drain, s.Guard.Func(s.Area, func() {
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
