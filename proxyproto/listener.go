package proxyproto

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"waxwing/internal/guard"
	"waxwing/peers"
)

// Listener takes headers off the connections of another listener. Its fields
// are not changed once it is in use.
type Listener struct {
	net.Listener
	From    []netip.Prefix // proxies: from them a header is required
	Timeout time.Duration  // for the whole header; 0: 10 s
	Pending int            // connections that owe their header, at one time; 0: 1000
	// Refused is told of each connection that was closed for want of a good header:
	// "garbage", "timeout", "lost", "empty" (lost before any octet, as a bare check of
	// the port does), or "limit-pending". Nil: nobody. It must be quick.
	Refused func(proxy netip.Addr, why string)
	Guard   *guard.Guard // contains panics

	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan accepted
	slots  chan struct{}
}

// accepted is what one Accept returns.
type accepted struct {
	nc  net.Conn
	err error
}

// start begins to accept, with the first Accept: a client that is slow with its
// header must keep no other waiting. What it starts ends with Close.
func (l *Listener) start(run bool) {
	l.once.Do(func() {
		l.ctx, l.cancel = context.WithCancel(context.Background())
		l.ready = make(chan accepted)
		l.slots = make(chan struct{}, cmp.Or(l.Pending, 1000))
		if run {
			l.Guard.Go(guard.Proxy, l.run)
		}
	})
}

// Accept returns the next connection whose header was read, or that needs none.
func (l *Listener) Accept() (net.Conn, error) {
	l.start(true)
	select {
	case a := <-l.ready:
		return a.nc, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and the connections that still owe their header.
func (l *Listener) Close() error {
	l.start(false)
	l.cancel()
	return l.Listener.Close()
}

func (l *Listener) run() {
	defer l.cancel()
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			l.hand(accepted{err: err})
			if l.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l.contained(nc, l.take)
	}
}

// contained has fn work on a connection, and closes that after a panic.
func (l *Listener) contained(nc net.Conn, fn func(net.Conn)) {
	if !l.Guard.Do(guard.Proxy, func() { fn(nc) }) {
		nc.Close()
	}
}

// take hands a connection on, at once or when its header was read.
func (l *Listener) take(nc net.Conn) {
	if !l.owes(nc) {
		l.hand(accepted{nc: nc})
		return
	}
	select {
	case l.slots <- struct{}{}:
		l.Guard.Go(guard.Proxy, func() { l.contained(nc, l.greet) })
	default:
		l.refuse(nc, "limit-pending")
	}
}

// hand gives to an Accept, however long it takes until there is one.
func (l *Listener) hand(a accepted) {
	select {
	case l.ready <- a:
	case <-l.ctx.Done():
		if a.nc != nil {
			a.nc.Close()
		}
	}
}

func (l *Listener) owes(nc net.Conn) bool {
	a := addrOf(nc)
	return slices.ContainsFunc(l.From, func(p netip.Prefix) bool { return p.Contains(a) })
}

func addrOf(nc net.Conn) netip.Addr { return peers.AddrPort(nc.RemoteAddr()).Addr().WithZone("") }

// greet reads the header of a proxy.
func (l *Listener) greet(nc net.Conn) {
	defer func() { <-l.slots }()
	nc.SetReadDeadline(time.Now().Add(cmp.Or(l.Timeout, 10*time.Second)))
	stop := context.AfterFunc(l.ctx, func() { nc.Close() })
	read := &counted{Reader: nc}
	br := bufio.NewReaderSize(read, 512)
	h, err := Read(br)
	if !stop() {
		return // closed
	}
	if err != nil {
		l.refuse(nc, why(err, read.n == 0))
		return
	}
	nc.SetReadDeadline(time.Time{})
	c := &conn{Conn: nc, br: br, remote: nc.RemoteAddr(), local: nc.LocalAddr()}
	if !h.Local {
		c.remote, c.local = net.TCPAddrFromAddrPort(h.Source), net.TCPAddrFromAddrPort(h.Destination)
	}
	l.hand(accepted{nc: c})
}

// counted counts the octets that are read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func why(err error, empty bool) string {
	var ne net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case empty:
		return "empty"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &ne):
		return "lost"
	}
	return "garbage"
}

func (l *Listener) refuse(nc net.Conn, why string) {
	nc.Close()
	if l.Refused != nil {
		l.Refused(addrOf(nc), why)
	}
}

// conn is a connection behind its header. Like any net.Conn it has one reader at
// a time.
type conn struct {
	net.Conn
	br            *bufio.Reader // what was read with the header; nil when that is used up
	remote, local net.Addr
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }
func (c *conn) LocalAddr() net.Addr  { return c.local }

func (c *conn) Read(p []byte) (int, error) {
	if c.br != nil && c.br.Buffered() > 0 {
		return c.br.Read(p)
	}
	c.br = nil
	return c.Conn.Read(p)
}
