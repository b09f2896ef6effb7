package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"waxwing/internal/account"
	"waxwing/peers"
	"waxwing/smtpserver"
)

// Conn is one connection. Its methods belong to the goroutine of Server.Handle, but
// for Ring. It is an io.ReadWriter whose reads and writes are bounded in time.
type Conn struct {
	srv    *Server
	raw    *smtpserver.Wire // the TCP connection
	nc     net.Conn         // raw, or TLS over it
	in     deadliner        // what is read from: nc, or what decompresses it
	remote netip.AddrPort
	local  netip.AddrPort

	tls      *tls.ConnectionState
	identity string
	until    time.Time // without an identity the connection ends then
	client   string    // what it calls itself
	failures int       // of logins
	faults   int       // of the client's, in all
	shaking  bool      // the gate has counted a handshake with the connection
	over     bool      // the end was told
	cleanup  func()    // of what decompresses

	mu       sync.Mutex
	waiting  bool // for a command: may be interrupted
	rung     bool
	draining bool
	ousted   bool

	unwatch func() // ends the look-out for what the client has logged in by; nil: there is none
}

// deadliner is a connection as far as reading goes.
type deadliner interface {
	Read(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
}

func (s *Server) newConn(nc net.Conn) *Conn {
	w := smtpserver.NewWire(nc)
	return &Conn{srv: s, raw: w, nc: w, in: w, until: time.Now().Add(s.timeouts().Login), remote: peers.AddrPort(nc.RemoteAddr()), local: peers.AddrPort(nc.LocalAddr())}
}

// What a login wants to know (smtpserver.Conn).

// Remote is the client's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local is ours.
func (c *Conn) Local() netip.AddrPort { return c.local }

// TLS is nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// ServerCertificate is the one that was presented.
func (c *Conn) ServerCertificate() *x509.Certificate { return c.raw.Presented() }

// HELO is what the client calls itself.
func (c *Conn) HELO() string { return c.client }

// ESMTP is for SMTP alone.
func (c *Conn) ESMTP() bool { return false }

// Identity is the account that has logged in; "" before.
func (c *Conn) Identity() string { return c.identity }

// Protocol is what is spoken.
func (c *Conn) Protocol() account.Protocol { return c.srv.Protocol }

// Call notes what the client calls itself, for the login's log.
func (c *Conn) Call(name string) { c.client = name }

// Log is the log of this connection.
func (c *Conn) Log() *slog.Logger { return c.srv.logger().With("remote", c.remote.String()) }

// Read reads, for as long as a client may take for more of a command.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.waiting { // only this goroutine changes it
		_ = c.in.SetReadDeadline(c.deadline(c.srv.timeouts().Read))
	}
	return c.in.Read(p)
}

// deadline is when reading ends that may take so long.
func (c *Conn) deadline(most time.Duration) time.Time {
	t := time.Now().Add(most)
	if c.identity == "" && t.After(c.until) {
		return c.until
	}
	return t
}

// Write writes in pieces, each of which the client must take in time.
func (c *Conn) Write(p []byte) (int, error) {
	done := 0
	for len(p) > 0 {
		_ = c.raw.SetWriteDeadline(time.Now().Add(c.srv.timeouts().Write))
		n, err := c.nc.Write(p[:min(len(p), 16<<10)])
		if done += n; err != nil {
			return done, err
		}
		p = p[n:]
	}
	return done, nil
}

// News is what ended a wait.
type News int

// What ends a wait.
const (
	Input    News = iota // the client has begun to say something
	Rung                 // Ring was called
	TimedOut             // neither, in time
	Drained              // the server is to stop
	Ousted               // what the client has logged in by holds no more
	Lost                 // the connection is over
)

// Await waits for the client to begin a command, where in reads from the Conn, or for
// Ring. Bells that rang while nobody waited end the next wait.
func (c *Conn) Await(in *bufio.Reader, most time.Duration) News {
	if n, ended := c.beginWait(in.Buffered() > 0, most); ended {
		return n
	}
	_, err := in.Peek(1)
	return c.endWait(err)
}

// beginWait has Await interrupted from now on; ended: there is nothing to wait for.
func (c *Conn) beginWait(buffered bool, most time.Duration) (n News, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining:
		return Drained, true
	case c.ousted:
		return Ousted, true
	case c.rung:
		c.rung = false
		return Rung, true
	case buffered:
		return Input, true
	}
	c.waiting = true
	_ = c.in.SetReadDeadline(c.deadline(most))
	return 0, false
}

func (c *Conn) endWait(err error) News {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	switch {
	case c.ousted:
		return Ousted
	case err == nil:
		return Input
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return Lost
	case c.draining:
		return Drained
	case c.rung:
		c.rung = false
		return Rung
	}
	return TimedOut
}

// Ring ends Await. It may be called on any goroutine.
func (c *Conn) Ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rung = true
	c.interrupt()
}

func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	c.interrupt()
}

func (c *Conn) interrupt() {
	if c.waiting {
		_ = c.in.SetReadDeadline(time.Unix(1, 0))
	}
}

// Draining reports that the server is to stop.
func (c *Conn) Draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// MayStartTLS is false while too many handshakes are under way; with true, EndTLS
// must be called.
func (c *Conn) MayStartTLS() bool {
	if !c.srv.gate.BeginTLS(c.srv.Limits.Shares, c.remote.Addr()) {
		return false
	}
	c.shaking = true
	return true
}

// OffersTLS reports that STARTTLS can be had.
func (c *Conn) OffersTLS() bool { return c.tls == nil && c.srv.wireTLS != nil }

// StartTLS is the handshake, after MayStartTLS.
func (c *Conn) StartTLS(ctx context.Context) error {
	defer c.endTLS()
	return c.handshake(ctx)
}

func (c *Conn) endTLS() {
	if c.shaking {
		c.shaking = false
		c.srv.gate.EndTLS(c.remote.Addr())
	}
}

func (c *Conn) handshake(ctx context.Context) error {
	limit := c.srv.timeouts().Handshake
	if c.srv.gate.HurryTLS(c.srv.Limits.Shares) {
		limit = min(limit, 10*time.Second)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = c.raw.SetDeadline(time.Now().Add(limit))
	defer c.raw.SetDeadline(time.Time{})
	if c.srv.wireTLS == nil {
		return errors.New("wire: no TLS configuration")
	}
	tc := tls.Server(c.raw, c.srv.wireTLS)
	err := c.raw.Handshake(ctx, tc, c.srv.lane)
	cs := tc.ConnectionState()
	if t := c.srv.Trace.TLS; t != nil {
		t(c.remote.Addr(), &cs, err)
	}
	if err != nil {
		c.Log().Info("TLS handshake failed", "error", err)
		return err
	}
	c.nc, c.in, c.tls = tc, tc, &cs
	return nil
}

// ended tells how the connection ended, once.
func (c *Conn) ended(why string) {
	if c.over {
		return
	}
	c.over = true
	if t := c.srv.Trace.Disconnected; t != nil {
		t(c.remote.Addr(), why)
	}
}

// End says why the connection ends.
func (c *Conn) End(why string) { c.ended(why) }

func (c *Conn) close() {
	c.ended("closed")
	if c.cleanup != nil {
		c.cleanup()
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		_ = t.SetWriteDeadline(time.Now().Add(time.Second))
		_ = t.Close() // with close_notify
	}
}

// maxFaults is how many malformed commands of a client that has logged in are answered.
const maxFaults = 19

// Fault notes an error of the client's, with false if the connection is to be closed
// for it. The answer to a stranger waits, longer from one to the next (INB-3).
func (c *Conn) Fault(ctx context.Context) (goOn bool) {
	c.faults++
	a := peers.Answer{End: c.faults > maxFaults}
	if c.identity == "" && c.srv.Peers != nil {
		t := peers.Three{Connection: peers.Conduct{Errors: c.faults}}
		t.Client, t.Network = c.srv.Peers.Erred(c.remote.Addr())
		a = c.srv.Peers.Patience.Answer(t)
		a.End = a.End || c.faults > maxFaults
	}
	if !a.End && a.Wait > 0 {
		a.End = !c.pause(ctx, a.Wait)
	}
	if t := c.srv.Trace.Erred; t != nil {
		t(c.remote.Addr(), a)
	}
	return !a.End
}

// pause waits before an answer, and reports whether there was room to wait.
func (c *Conn) pause(ctx context.Context, d time.Duration) bool {
	g := &c.srv.gate
	if g.Crowded() || !g.Wait(c.srv.Limits.Shares, c.remote.Addr()) {
		return false
	}
	defer g.Waited(c.remote.Addr())
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return !c.Draining()
}

// Limited tells which limit the client has reached.
func (c *Conn) Limited(limit string) {
	if t := c.srv.Trace.Limited; t != nil {
		t(limit)
	}
}
