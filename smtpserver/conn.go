package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/peers"
	"waxwing/smtp"
)

// maxLine is the longest line read, CRLF included: RFC 4954 §4 sets 12288
// octets for AUTH. Other commands are held to maxCommand.
const (
	maxLine    = 12288
	maxCommand = 4096
)

// conn is one connection. All fields belong to its goroutine but those of wait.
type conn struct {
	srv    *Server
	raw    *Wire             // the TCP connection
	nc     net.Conn          // raw, or TLS over it
	in     *inbox            // nil while an idle client is waited for
	bw     *bufio.Writer     // nil while there is nothing to say
	first  [firstOctets]byte // what ended the wait of an idle client
	unread []byte            // of first
	remote netip.AddrPort
	local  netip.AddrPort

	tls      *tls.ConnectionState
	mechs    []string // of a ConnAuthenticator, for this tls: it may be costly to find out
	helo     string
	esmtp    bool
	identity string
	session  Session
	ext      smtp.Extensions // as offered by the last EHLO; zero after HELO
	tx       transaction
	utf8     bool // the last MAIL had SMTPUTF8: replies may hold UTF-8

	commands, mails, errors, logins int
	accepted                        int   // recipients of accepted messages: they make up for errors
	shaking                         bool  // the gate has counted a handshake with the connection
	known                           bool  // when it connected (package peers)
	received                        int64 // octets read of the client's

	ended string // why the connection is to be closed; empty while it goes on
	wait  wait
}

// transaction is what MAIL began.
type transaction struct {
	open   bool
	rcpts  int
	seen   recipients // different ones among them
	octets int64      // of its envelope, by and large
	lent   int64      // octets of Server.lent among them
	utf8   bool
	failed bool // a BDAT failed: RFC 3030 §2, only RSET helps
	began  bool // BDAT was seen: DATA and RCPT are out of order
}

// wait is how long input is waited for. The drainer looks at it from outside.
type wait struct {
	mu       sync.Mutex
	idle     time.Duration // per read
	until    time.Time     // in all
	armed    time.Time     // when the running read began; zero: none runs
	command  bool          // waiting for a command: may be interrupted
	wake     chan struct{} // not nil while an answer waits: closed to end that
	draining atomic.Bool
}

var errDraining = errors.New("server is shutting down")

func newConn(s *Server, nc net.Conn) *conn {
	w := &Wire{Conn: nc}
	return &conn{srv: s, raw: w, nc: w, identity: s.Identity, remote: peers.AddrPort(nc.RemoteAddr()), local: peers.AddrPort(nc.LocalAddr())}
}

// log is made when there is something to say: most connections have nothing.
func (c *conn) log() *slog.Logger { return c.srv.logger().With("remote", c.remote.String()) }

// await says what is waited for next.
func (c *conn) await(command bool, idle, all time.Duration) {
	c.wait.mu.Lock()
	c.wait.command, c.wait.idle, c.wait.until = command, idle, time.Now().Add(all)
	c.wait.mu.Unlock()
}

// drain interrupts the wait for a command; a message under way goes on.
func (c *conn) drain() {
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	c.wait.draining.Store(true)
	if c.wait.command {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
	if c.wait.wake != nil {
		close(c.wait.wake)
		c.wait.wake = nil
	}
}

// hurry holds a read that has begun to the timeout of a crowded server.
func (c *conn) hurry(limit time.Duration) {
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	if c.wait.armed.IsZero() || c.wait.idle <= limit || c.wait.command && c.wait.draining.Load() {
		return
	}
	c.wait.idle = limit
	c.raw.SetReadDeadline(earlier(c.wait.armed.Add(limit), c.wait.until))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// The live view (Conn).

func (c *conn) Remote() netip.AddrPort               { return c.remote }
func (c *conn) Local() netip.AddrPort                { return c.local }
func (c *conn) TLS() *tls.ConnectionState            { return c.tls }
func (c *conn) ServerCertificate() *x509.Certificate { return c.raw.Presented() }
func (c *conn) HELO() string                         { return c.helo }
func (c *conn) ESMTP() bool                          { return c.esmtp }
func (c *conn) Identity() string                     { return c.identity }

// serve runs the dialogue to its end.
func (c *conn) serve(ctx context.Context) {
	defer c.closeSession()
	if c.srv.ImplicitTLS && !c.firstTLS(ctx) {
		return
	}
	c.watchEvent("connected", "")
	c.greet()
	for c.ended == "" {
		line, err := c.readLine()
		if err != nil {
			c.reply("", c.lineFault(err))
			continue
		}
		c.command(ctx, line)
	}
	c.flush()
}

// firstTLS is the handshake that a connection begins with (RFC 8314).
func (c *conn) firstTLS(ctx context.Context) bool {
	defer c.endTLS()
	if err := c.handshake(ctx); err != nil {
		c.end("tls")
		return false
	}
	return true
}

// endTLS gives back the handshake that the gate has counted with the connection.
func (c *conn) endTLS() {
	if c.shaking {
		c.shaking = false
		c.srv.gate.EndTLS(c.remote.Addr())
	}
}

func (c *conn) greet() {
	text := c.srv.Greeting
	if text == "" {
		text = map[bool]string{false: "ESMTP", true: "LMTP"}[c.srv.LMTP]
	}
	r := c.hook("", "")
	if r == nil {
		r = smtp.NewReply(220, smtp.Enhanced{}, "%s %s", c.srv.Hostname, text)
	}
	c.reply("", r)
	if !r.Positive() {
		c.end("refused")
	}
}

func (c *conn) end(why string) {
	if c.ended == "" {
		c.ended = why
	}
}

// readLine waits for the next line, with the command timeout.
func (c *conn) readLine() ([]byte, error) {
	if c.wait.draining.Load() {
		return nil, errDraining
	}
	t := c.timeouts().Command
	c.await(true, t, t)
	line, err := c.nextLine()
	c.wait.mu.Lock()
	c.wait.command = false
	c.wait.mu.Unlock()
	return line, err
}

// lineFault is the reply to a line that could not be read; nil where nobody
// is there to read it. It ends the connection unless the dialogue is in step.
func (c *conn) lineFault(err error) *smtp.Reply {
	switch {
	case errors.Is(err, smtp.ErrBareCR), errors.Is(err, smtp.ErrBareLF):
		// INB-2. Whatever follows may have been meant as message data of
		// another dialogue: better to start afresh.
		c.end("bare-newline")
		return smtp.NewReply(500, status(5, 5, 2), "bare CR or LF in a command: lines must end in CRLF")
	case errors.Is(err, smtp.ErrLineTooLong):
		return c.mistake("", smtp.NewReply(500, status(5, 5, 6), "line too long"))
	case errors.Is(err, smtp.ErrEndless):
		c.end("endless-line")
		return smtp.NewReply(421, status(4, 5, 0), "%s line without end, closing connection", c.srv.Hostname)
	}
	return c.ioFault(err)
}

// ioFault ends the connection after a failed read.
func (c *conn) ioFault(err error) *smtp.Reply {
	var ne net.Error
	switch {
	case errors.Is(err, errDraining):
		c.end("drain")
		return smtp.NewReply(421, status(4, 3, 2), "%s shutting down, try again", c.srv.Hostname)
	case errors.As(err, &ne) && ne.Timeout():
		c.end("timeout")
		return smtp.NewReply(421, status(4, 4, 2), "%s timeout, closing connection", c.srv.Hostname)
	case errors.Is(err, io.EOF):
		c.end("closed")
	default:
		c.end("lost")
	}
	return nil
}

func (c *conn) closeSession() {
	if c.session != nil {
		c.session.Close()
		c.session = nil
	}
}

func (c *conn) resetTransaction() {
	if c.tx.open && c.session != nil {
		c.session.Reset()
	}
	c.begin(transaction{})
}

func (c *conn) hook(verb, arg string) *smtp.Reply {
	if c.srv.Hooks.Command == nil {
		return nil
	}
	return c.srv.Hooks.Command(c, verb, arg)
}

// reply queues r; it is written when the server next waits, or at the end.
func (c *conn) reply(verb string, r *smtp.Reply) {
	if r == nil {
		return
	}
	if r == Drop {
		c.end("dropped") // what was replied before still goes out
		return
	}
	if r.Code == 421 {
		c.end("421")
	}
	if r.Cause != nil {
		c.log().Info("refused", "verb", verb, "reply", r.String(), "error", r.Cause)
	}
	if t := c.srv.Trace.Command; t != nil {
		t(verb, r)
	}
	c.watchReply(r)
	writeReply(c.out(), r, c.utf8)
}
