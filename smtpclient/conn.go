package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"waxwing/smtp"
)

// Timeouts bound each step of the dialogue; a zero field takes its default,
// which is that of RFC 5321 §4.5.3.2 where it names one. Each is for the whole
// of a reply, not for each byte of it.
type Timeouts struct {
	Connect  time.Duration // for who dials; 30 s
	Greeting time.Duration // 5 min
	Hello    time.Duration // 5 min
	StartTLS time.Duration // the reply to STARTTLS, and then the handshake, each; 2 min
	Auth     time.Duration // each round; 2 min
	Mail     time.Duration // 5 min
	Rcpt     time.Duration // 5 min
	Data     time.Duration // the reply to DATA; 2 min
	Block    time.Duration // each write of message data; 3 min
	Final    time.Duration // the reply to the final dot; 10 min
	Quit     time.Duration // the reply to QUIT; 5 s, for by then all is done
	// MinRate is the least throughput of message data, in octets per second; 1024.
	// It is asked of the first MiB; what is beyond must be as fast as manyTimes
	// that. See BodyTime.
	MinRate int64
	Body    time.Duration // all of a message's data, whatever its size; 2 h
}

const (
	slowSize  = 1 << 20 // octets that may go at MinRate
	manyTimes = 16      // how much faster the rest must be
)

// BodyTime is how long after the reply to DATA the peer may take to read n octets
// (SES-7): Block, and what they take at the least rate, and never more than Body.
// It is asked at every moment of what was sent so far, so that a peer which trickles
// is parted from in minutes: 50 MB may take 70 min, and at 200 octets a second
// nothing lasts longer than four.
func (t Timeouts) BodyTime(n int64) time.Duration {
	t = t.orDefault()
	slow := min(n, slowSize)
	seconds := (float64(slow) + float64(n-slow)/manyTimes) / float64(t.MinRate)
	if seconds >= t.Body.Seconds() {
		return t.Body
	}
	return min(t.Block+time.Duration(seconds*float64(time.Second)), t.Body)
}

// Settle is how long after Transaction.BeforeFinal it is known at the latest what
// became of the message.
func (t Timeouts) Settle() time.Duration {
	t = t.orDefault()
	return t.Block + t.Final + afterWriteError
}

func (t Timeouts) orDefault() Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Connect, 30*time.Second)
	set(&t.Greeting, 5*time.Minute)
	set(&t.Hello, 5*time.Minute)
	set(&t.StartTLS, 2*time.Minute)
	set(&t.Auth, 2*time.Minute)
	set(&t.Mail, 5*time.Minute)
	set(&t.Rcpt, 5*time.Minute)
	set(&t.Data, 2*time.Minute)
	set(&t.Block, 3*time.Minute)
	set(&t.Final, 10*time.Minute)
	set(&t.Quit, 5*time.Second)
	set(&t.Body, 2*time.Hour)
	if t.MinRate <= 0 {
		t.MinRate = 1024
	}
	return t
}

// WithDefaults is t with every zero field set to its default.
func (t Timeouts) WithDefaults() Timeouts { return t.orDefault() }

// Options are the settings of one connection.
type Options struct {
	HELO     string // name to greet with; needed
	LMTP     bool   // speak LMTP (RFC 2033)
	Timeouts Timeouts
	Limits   smtp.ReplyLimits
	// Transcript is who watches a connection with a peer; nil: nobody. It is asked before
	// each line, so that a watch begins and ends while connections are open, and must cost
	// nothing while there is none.
	Transcript func(Peer) smtp.Transcript
	Peer       Peer // for Transcript
}

// Sizes in octets: replies are short, messages are not.
const (
	readBuffer  = 4 << 10
	writeBuffer = 16 << 10
)

// Conn is one connection. It is for one goroutine at a time. Every method
// observes ctx: its end, and its deadline, interrupt the step, after which the
// connection cannot be used.
type Conn struct {
	nc       net.Conn // the TCP connection, or TLS over it
	raw      net.Conn // the TCP connection
	socket   *socket  // of raw; nil: not looked at yet
	br       *bufio.Reader
	bw       *bufio.Writer
	opts     Options
	t        Timeouts
	ext      smtp.Extensions
	hello    *smtp.Reply
	esmtp    bool
	mech     string // of the last Auth
	secret   string // what was last said in the course of Auth, for a peer that repeats it
	tls      *tls.Conn
	cork     *corked          // below tls, where we made the handshake
	firstTLS bool             // nothing was read over TLS yet
	dirty    bool             // a transaction stands open: RSET before the next
	closing  bool             // 421 was seen, or the connection's end in a reply
	faults   smtp.ReplyFaults // of the replies so far
	retired  bool             // the reply to a message was malformed: no other goes over this connection (SES-13)
	mails    int              // MAIL commands answered
	dead     error
}

// New makes a Conn of a connection that is established. The Conn owns nc from
// now on. With implicit TLS nc is a *tls.Conn whose handshake is complete.
func New(nc net.Conn, opts Options) *Conn {
	c := &Conn{raw: nc, opts: opts, t: opts.Timeouts.orDefault()}
	if tc, ok := nc.(*tls.Conn); ok {
		c.tls, c.firstTLS, c.raw = tc, true, tc.NetConn()
	}
	c.use(nc)
	c.watchEvent("connected")
	return c
}

func (c *Conn) use(nc net.Conn) {
	c.nc = nc
	if c.br == nil {
		c.br, c.bw = bufio.NewReaderSize(nc, readBuffer), bufio.NewWriterSize(nc, writeBuffer)
		return
	}
	c.br.Reset(nc) // whatever came in plaintext is gone (RFC 3207 §4.2)
	c.bw.Reset(nc)
}

// Extensions is what the peer offered in its last EHLO reply; after StartTLS
// it is empty until the next Hello.
func (c *Conn) Extensions() smtp.Extensions { return c.ext }

// ESMTP reports that the peer took EHLO.
func (c *Conn) ESMTP() bool { return c.esmtp }

// HelloReply is the peer's reply to the last EHLO or HELO; nil before it.
func (c *Conn) HelloReply() *smtp.Reply { return c.hello }

// TLSState is the state of TLS; false in plaintext.
func (c *Conn) TLSState() (tls.ConnectionState, bool) {
	if c.tls == nil {
		return tls.ConnectionState{}, false
	}
	return c.tls.ConnectionState(), true
}

// Usable reports whether a further command makes sense: the connection did not
// fail, the peer did not say 421, and it answered the last message as it should.
func (c *Conn) Usable() bool { return c.dead == nil && !c.closing && !c.retired }

// Retired reports that the reply to a message was malformed, after which nothing
// more than QUIT is said over the connection (SES-13).
func (c *Conn) Retired() bool { return c.retired }

// InForm reports that every reply so far had the form of RFC 5321 §4.2.
func (c *Conn) InForm() bool { return c.faults == 0 }

// Mails is how many MAIL commands the peer has answered (LIMITS MAILMAX, RFC 9422).
func (c *Conn) Mails() int { return c.mails }

// Quiet reports whether the connection is usable and nothing came on it that
// was not asked for: neither its end nor a late 421. What can be seen is what
// has arrived; on a connection that hides its socket, only what was read.
func (c *Conn) Quiet() bool {
	c.nc.SetReadDeadline(time.Time{}) // the last one may have passed since
	return c.Usable() && c.br.Buffered() == 0 && !c.stirred()
}

// Greeting reads the peer's greeting. The error is a *ReplyError if it is not
// 220 (RFC 5321 §3.1), else a *ConnError.
func (c *Conn) Greeting(ctx context.Context) (*smtp.Reply, error) {
	r, err := c.hear(ctx, StepGreeting, c.t.Greeting)
	if err == nil && r.Code != 220 {
		err = &ReplyError{StepGreeting, r}
	}
	return r, err
}

// Hello sends EHLO, and HELO where that is refused with 500 to 504 (SES-2).
func (c *Conn) Hello(ctx context.Context) error {
	c.ext, c.hello, c.esmtp = smtp.Extensions{}, nil, false
	if err := checkArg(c.opts.HELO); err != nil || c.opts.HELO == "" {
		return errors.Join(errors.New("invalid HELO name"), err)
	}
	verb := "EHLO "
	if c.opts.LMTP {
		verb = "LHLO "
	}
	r, err := c.exchange(ctx, StepHello, c.t.Hello, verb+c.opts.HELO)
	if err != nil {
		return err
	}
	if !c.opts.LMTP && r.Code >= 500 && r.Code <= 504 {
		r, err = c.exchange(ctx, StepHello, c.t.Hello, "HELO "+c.opts.HELO)
		if err != nil {
			return err
		}
	} else if r.Code == 250 {
		c.esmtp = true
		c.ext = smtp.ParseExtensions(r.Lines[1:])
	}
	if r.Code != 250 {
		return &ReplyError{StepHello, r}
	}
	c.hello = r
	return nil
}

// StartTLS sends STARTTLS and makes the handshake. Afterwards nothing is known
// of the peer until the next Hello (RFC 3207 §4.2). Errors: *StartTLSReplyError
// (the dialogue can go on without TLS), *HandshakeError, *ConnError before the
// handshake, ErrNotOffered.
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) error {
	if !c.ext.StartTLS || c.tls != nil {
		return ErrNotOffered
	}
	r, err := c.exchange(ctx, StepStartTLS, c.t.StartTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return &StartTLSReplyError{r}
	}
	c.ext, c.hello, c.esmtp = smtp.Extensions{}, nil, false
	if c.br.Buffered() > 0 {
		c.fail(ErrInjection)
		return &HandshakeError{Err: ErrInjection}
	}
	return c.handshake(ctx, config)
}

// ImplicitTLS makes the TLS handshake at once, before the greeting (RFC 8314
// §3). Its errors are *HandshakeError, and ErrNotOffered once anything was said.
func (c *Conn) ImplicitTLS(ctx context.Context, config *tls.Config) error {
	if c.tls != nil || c.hello != nil {
		return ErrNotOffered
	}
	return c.handshake(ctx, config)
}

func (c *Conn) handshake(ctx context.Context, config *tls.Config) error {
	cork := &corked{Conn: c.nc, hold: true}
	tc := tls.Client(cork, config)
	hctx, cancel := context.WithTimeout(ctx, c.t.StartTLS)
	defer cancel()
	c.nc.SetDeadline(time.Time{})
	err := tc.HandshakeContext(hctx)
	cork.hold = false
	c.watchTLS(tc, err)
	if err != nil {
		if len(cork.waiting) > 0 { // the alert that says why
			c.nc.SetWriteDeadline(time.Now().Add(partTime))
			cork.flush()
		}
		c.fail(err)
		return &HandshakeError{Err: err}
	}
	c.tls, c.cork, c.firstTLS = tc, cork, true
	c.use(tc)
	return nil
}

// Reset ends an open transaction with RSET.
func (c *Conn) Reset(ctx context.Context) error {
	r, err := c.exchange(ctx, StepReset, c.t.Mail, "RSET")
	if err != nil {
		return err
	}
	if r.Code != 250 {
		return &ReplyError{StepReset, r}
	}
	c.dirty = false
	return nil
}

// Quit says QUIT, if the connection still works, and closes it.
func (c *Conn) Quit(ctx context.Context) error {
	if c.dead != nil {
		return c.Close()
	}
	_, err := c.exchange(ctx, StepQuit, c.t.Quit, "QUIT")
	return errors.Join(err, c.Close())
}

// Part says QUIT without waiting for its reply, and closes: for when nothing
// that could still be said matters. It takes a moment at most.
func (c *Conn) Part() error {
	if c.dead != nil || c.closing {
		return c.Close()
	}
	c.nc.SetDeadline(time.Now().Add(partTime))
	if c.cork != nil {
		c.cork.hold, c.cork.last = true, true
	}
	c.watchCommand(StepQuit, "QUIT")
	c.bw.WriteString("QUIT\r\n")
	return errors.Join(c.bw.Flush(), c.Close())
}

// partTime is for a peer whose buffers are full, which those of a peer in step
// never are.
const partTime = 100 * time.Millisecond

// Close closes the connection without a word.
func (c *Conn) Close() error {
	if c.dead == nil {
		c.dead = ErrUnusable
	}
	c.watchEvent("closed")
	return c.nc.Close()
}

// hear reads a reply that no command asked for: the greeting.
func (c *Conn) hear(ctx context.Context, step Step, d time.Duration) (*smtp.Reply, error) {
	if c.dead != nil {
		return nil, c.connError(step, ErrUnusable)
	}
	defer c.guard(ctx, d)()
	return c.read(step)
}

// exchange sends one line, which in AUTH may be empty (RFC 4954 §4), and reads its reply.
func (c *Conn) exchange(ctx context.Context, step Step, d time.Duration, command string) (*smtp.Reply, error) {
	if c.dead != nil {
		return nil, c.connError(step, ErrUnusable)
	}
	defer c.guard(ctx, d)()
	c.watchCommand(step, command)
	c.bw.WriteString(command)
	c.bw.WriteString("\r\n")
	if err := c.bw.Flush(); err != nil {
		return nil, c.writeFailed(step, err)
	}
	return c.read(step)
}

// guard sets the deadline of a step and lets the end of ctx interrupt it; the
// function it returns ends the guard.
func (c *Conn) guard(ctx context.Context, d time.Duration) func() bool {
	c.deadline(ctx, time.Now().Add(d))
	return c.watch(ctx)
}

// watch lets the end of ctx interrupt what is under way; the function it
// returns ends that.
func (c *Conn) watch(ctx context.Context) func() bool {
	if ctx.Done() == nil { // nothing can interrupt it
		return func() bool { return true }
	}
	nc := c.nc
	return context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
}

// deadline sets the connection's deadline unless ctx has ended. That of ctx
// is left to the guard: so whoever sees an interrupted step also sees ctx.Err.
func (c *Conn) deadline(ctx context.Context, at time.Time) {
	c.nc.SetDeadline(at)
	if ctx.Err() != nil {
		c.nc.SetDeadline(time.Unix(1, 0))
	}
}

// read reads one reply under the deadline that stands. It counts by its code
// (SES-13), also where the connection's end cuts it short; but lines of different
// classes may be replies to different commands.
func (c *Conn) read(step Step) (*smtp.Reply, error) {
	r, err := smtp.ReadReply(c.br, c.opts.Limits)
	switch {
	case err != nil && r != nil && (&ConnError{Err: err}).Closed():
		c.closing, err = true, nil
	case err == nil && r.Faults&smtp.FaultClass != 0:
		err = &smtp.ReplySyntaxError{Line: r.String(), Reason: r.Faults.Text()}
	}
	if err != nil {
		c.fail(err)
		if c.firstTLS && tlsFault(err) {
			return nil, &HandshakeError{Err: err, After: true}
		}
		return nil, c.connError(step, err)
	}
	c.heard(r)
	return r, nil
}

// heard notes what a reply says of the connection.
func (c *Conn) heard(r *smtp.Reply) {
	c.watchReply(r)
	c.firstTLS = false
	c.faults |= r.Faults
	if r.Code == 421 {
		c.closing = true
	}
}

// writeFailed is the error for a write that failed. The peer has often said
// why before it closed: a refusal, or, from a TLS server that refuses after its
// handshake, an alert. Then that is the error, for it tells more.
func (c *Conn) writeFailed(step Step, err error) error {
	defer c.fail(err)
	if (&ConnError{Err: err}).Timeout() {
		return c.connError(step, err)
	}
	c.nc.SetReadDeadline(time.Now().Add(afterWriteError))
	r, rerr := smtp.ReadReply(c.br, c.opts.Limits)
	c.watchReply(r)
	switch {
	case r != nil && r.Code >= 400:
		return c.connError(step, r)
	case rerr != nil && c.firstTLS && tlsFault(rerr):
		return &HandshakeError{Err: rerr, After: true}
	}
	return c.connError(step, err)
}

// afterWriteError is how long to wait for a peer's last words.
const afterWriteError = 2 * time.Second

func (c *Conn) connError(step Step, err error) error { return &ConnError{Step: step, Err: err} }

// fail marks the connection unusable.
func (c *Conn) fail(err error) {
	if c.dead == nil {
		c.dead = err
		if t := c.transcript(); t != nil {
			t.Line(smtp.FromConnection, "cannot go on: "+err.Error())
		}
	}
}

// checkArg refuses what would end a command line and begin another.
func checkArg(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ErrControl
	}
	return nil
}
