package submitsocket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"waxwing/internal/guard"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// User is what a user id of this machine may do.
type User struct {
	Account string
	// Backend takes the user's mail, as from a session that Account has logged in to.
	Backend smtpserver.Backend
}

// Server takes mail from programs on this machine. Its fields are not changed
// once it is in use.
type Server struct {
	Users map[uint32]User // by user id; all others are refused
	// Limits; zero values mean the defaults given.
	MessageSize int64         // octets; 50 MiB
	Recipients  int           // per message; 1000
	Connections int           // messages at one time; 100
	PerUser     int           // of them, one user's; 25
	Waiting     int           // programs of one user that wait for their turn; 200
	Wait        time.Duration // for a turn; 1 min
	Idle        time.Duration // for the next octets of the program; 30 s
	Timeout     time.Duration // for one message, from its turn to the answer; 10 min
	Log         *slog.Logger  // nil: discard
	Guard       *guard.Guard  // contains panics
	// Count is told of each connection, and why it was refused: "unknown-user",
	// "limit-user" (too many of its user wait), "limit-total" (it waited too long). Nil:
	// nobody. Ended is told of the end of each that was not refused.
	Count func(refused string)
	Ended func()
	// Accepted is told of each message that was taken; nil: nobody.
	Accepted func()
	// Peer names the user id at the other end; nil: the kernel does (SO_PEERCRED).
	Peer func(nc net.Conn) (uid uint32, err error)
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}

func or[T comparable](v, def T) T {
	var zero T
	if v != zero {
		return v
	}
	return def
}

// Serve takes connections of l until ctx ends; it closes l, and returns when the
// messages under way are answered. A nil error means that ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	q, told := s.queues(), refusals{}
	var work sync.WaitGroup
	defer work.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.log().Warn("connection not taken", "error", err)
			time.Sleep(50 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		if !s.Guard.Do(guard.Sendmail, func() { s.admit(ctx, nc, q, told, &work) }) {
			nc.Close()
		}
	}
}

// admit has work answer a connection, or refuses it.
func (s *Server) admit(ctx context.Context, nc net.Conn, q *queues, told refusals, work *sync.WaitGroup) {
	t := &taking{s: s, nc: nc}
	if reply := t.identify(); reply != nil {
		// Who may not send costs no goroutine and no turn.
		s.count("unknown-user")
		t.dismiss(ctx, told, reply)
		return
	}
	if !q.enter(t.uid) {
		s.count("limit-user")
		t.dismiss(ctx, told, busy("too many programs of the user with the id %d are handing in mail", t.uid))
		return
	}
	s.Guard.In(work, guard.Sendmail, func() {
		defer q.leave(t.uid)
		s.serve(ctx, q, t)
	})
}

func (s *Server) count(refused string) {
	if s.Count != nil {
		s.Count(refused)
	}
}

func busy(format string, args ...any) *smtp.Reply {
	return deny(451, 3, 2, format+": try again", args...)
}

// stopGrace is how long a program may go on sending when the server stops.
const stopGrace = 5 * time.Second

// serve answers one connection of a user who may send, when it is its turn.
func (s *Server) serve(ctx context.Context, q *queues, t *taking) {
	defer t.nc.Close()
	end, err := q.turn(ctx, t.uid)
	if err != nil {
		s.count("limit-total")
		t.answer(ctx, busy("too much mail is being handed in"))
		return
	}
	defer end() // after a panic
	s.count("")
	defer func() {
		if s.Ended != nil {
			s.Ended()
		}
	}()
	t.end = time.Now().Add(or(s.Timeout, 10*time.Minute))
	t.nc.SetWriteDeadline(t.end)
	// A program that is slow to send does not keep the server from stopping.
	stop := context.AfterFunc(ctx, s.Guard.Func(guard.Sendmail, func() { t.stop(time.Now().Add(stopGrace)) }))
	defer stop()
	t.br = bufio.NewReader(t)
	// The message is taken or refused as a whole even if the server stops meanwhile.
	reply := deny(421, 3, 0, "internal error of this server; it is in its log")
	s.Guard.Do(guard.Sendmail, func() { reply = t.take(context.WithoutCancel(ctx)) }, "uid", t.uid)
	if reply.Positive() && s.Accepted != nil {
		s.Accepted()
	}
	answered := t.answer(ctx, reply)
	end() // what still comes needs no turn
	if answered {
		t.drain()
	}
}

// taking is one message on its way in.
type taking struct {
	s    *Server
	nc   net.Conn
	br   *bufio.Reader
	uid  uint32
	user User
	req  Request

	mu  sync.Mutex
	end time.Time // nothing is read later
}

// Read gives the program a while for each piece of what it sends.
func (t *taking) Read(p []byte) (int, error) {
	if err := t.arm(); err != nil {
		return 0, err
	}
	return t.nc.Read(p)
}

func (t *taking) arm() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now().Add(or(t.s.Idle, 30*time.Second))
	if t.end.Before(at) {
		at = t.end
	}
	return t.nc.SetReadDeadline(at)
}

// stop lets nothing be read after end.
func (t *taking) stop(end time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = end
	t.nc.SetReadDeadline(end)
}

// answer writes the answer, and reports whether it could be written. The log has a line
// of it either way.
func (t *taking) answer(ctx context.Context, reply *smtp.Reply) bool {
	err := writeLine(t.nc, toAnswer(reply))
	if err == nil {
		t.log(ctx, reply)
	} else { // the program did not wait
		t.log(ctx, reply, "unheard", err)
	}
	return err == nil
}

func (t *taking) log(ctx context.Context, reply *smtp.Reply, more ...any) {
	level := slog.LevelInfo
	if !reply.Positive() || len(more) > 0 {
		level = slog.LevelWarn
	}
	t.s.log().Log(ctx, level, "local submission", append([]any{"uid", t.uid, "account", t.user.Account, "from", t.req.From,
		"recipients", len(t.req.Recipients), "size", t.req.Size, "reply", reply.Error()}, more...)...)
}

// refusals are when the log was told last that a user was refused without a turn: a
// program that tries again and again must not fill it.
type refusals map[uint32]time.Time

const (
	tellEvery  = time.Minute
	maxRefused = 1000 // users that are remembered
)

// dismiss refuses without a turn. The socket's buffer takes the answer at once; a
// program that is gone misses nothing.
func (t *taking) dismiss(ctx context.Context, told refusals, reply *smtp.Reply) {
	if now := time.Now(); now.Sub(told[t.uid]) >= tellEvery {
		if len(told) >= maxRefused {
			maps.DeleteFunc(told, func(uint32, time.Time) bool { return true })
		}
		told[t.uid] = now
		t.log(ctx, reply)
	}
	t.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_ = writeLine(t.nc, toAnswer(reply))
	t.nc.Close()
}

func deny(code int, subject, detail int, format string, args ...any) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: subject, Detail: detail}, format, args...)
}

// identify finds out whose program it is: the reply to who may not submit, nil for
// who may.
func (t *taking) identify() *smtp.Reply {
	peer := t.s.Peer
	if peer == nil {
		peer = peerUID
	}
	uid, err := peer(t.nc)
	if err != nil {
		return deny(451, 3, 0, "this server cannot tell which user is asking").WithCause(err)
	}
	t.uid = uid
	user, ok := t.s.Users[uid]
	if !ok {
		return deny(550, 7, 1, "the user with the id %d may not send mail from here; the server's configuration says who may, in [[sendmail.user]]", uid)
	}
	t.user = user
	return nil
}

// take reads the request and has the backend take the message.
func (t *taking) take(ctx context.Context) *smtp.Reply {
	if r := t.read(); r != nil {
		return r
	}
	session, err := t.user.Backend.NewSession(ctx, &conn{t})
	if err != nil {
		return asReply(err)
	}
	defer session.Close()
	from, err := t.sender()
	if err != nil {
		return deny(553, 1, 7, "the sender address cannot be read: %v", err)
	}
	err = session.Mail(ctx, smtp.MailParams{From: from, Written: t.req.From, Null: t.req.From == "", Size: t.req.Size, SMTPUTF8: t.req.SMTPUTF8,
		RequireTLS: t.req.RequireTLS, EnvID: t.req.EnvID, Ret: t.req.Ret})
	if err != nil {
		return asReply(err)
	}
	if r := t.recipients(ctx, session); r != nil {
		return r
	}
	body := &strictReader{r: io.LimitReader(t.br, t.req.Size), left: t.req.Size}
	reply, err := session.Data(ctx, body)
	switch {
	case body.fault != nil:
		// Checked first: a backend that took a broken message all the same is wrong.
		return deny(554, 6, 0, "the message was not taken: %v", body.fault)
	case err != nil:
		return asReply(err)
	case body.left > 0 && reply.Positive():
		return deny(451, 3, 0, "the message was not read to its end")
	}
	return reply
}

// read reads the request and holds it against the limits.
func (t *taking) read() *smtp.Reply {
	line, err := readLine(t.br, maxRequest)
	if err != nil {
		return deny(500, 5, 2, "the request cannot be read: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t.req); err != nil {
		return deny(500, 5, 2, "the request cannot be read: %v", err)
	}
	size, rcpts := or(t.s.MessageSize, 50<<20), or(t.s.Recipients, 1000)
	switch {
	case t.req.Version != Version:
		return deny(500, 5, 2, "the request is of version %d, this server speaks version %d: the program and the server must be of one release", t.req.Version, Version)
	case t.req.Size <= 0:
		return deny(554, 6, 0, "the message is empty")
	case t.req.Size > size:
		return deny(552, 3, 4, "the message has %d octets, and at most %d are taken", t.req.Size, size)
	case len(t.req.Recipients) == 0:
		return deny(554, 5, 1, "the message has no recipients")
	case len(t.req.Recipients) > rcpts:
		return deny(452, 5, 3, "the message has %d recipients, and at most %d are taken", len(t.req.Recipients), rcpts)
	case t.req.Ret != "" && t.req.Ret != "HDRS" && t.req.Ret != "FULL":
		return deny(501, 5, 4, "RET is HDRS or FULL, not %q", t.req.Ret)
	}
	return checkNotify(t.req.Notify)
}

func checkNotify(words []string) *smtp.Reply {
	for _, w := range words {
		switch w {
		case "SUCCESS", "FAILURE", "DELAY":
		case "NEVER":
			if len(words) > 1 {
				return deny(501, 5, 4, "NOTIFY=NEVER stands alone")
			}
		default:
			return deny(501, 5, 4, "NOTIFY is NEVER, or of SUCCESS, FAILURE and DELAY, not %q", w)
		}
	}
	return nil
}

func (t *taking) sender() (smtp.Address, error) {
	if t.req.From == "" {
		return smtp.Address{}, nil
	}
	return smtp.ParseAddress(t.req.From, true)
}

// recipients has the backend take all of them: if it refuses one, nothing is
// sent, so that the program can mend the list and hand in the whole again.
func (t *taking) recipients(ctx context.Context, session smtpserver.Session) *smtp.Reply {
	for _, to := range t.req.Recipients {
		a, err := smtp.ParseReceived(to, true)
		if err != nil {
			return deny(553, 1, 3, "nothing was sent: the recipient %q cannot be read: %v", to, err)
		}
		if err := session.Rcpt(ctx, smtp.RcptParams{To: a, Written: to, Notify: t.req.Notify}); err != nil {
			r := asReply(err)
			return smtp.NewReply(r.Code, r.Enhanced, "nothing was sent: %s: %s", to, r.Text()).WithCause(r.Cause)
		}
	}
	return nil
}

// drain reads what the program still sends, for a moment: closing with octets
// unread could take the answer away from it.
func (t *taking) drain() {
	t.stop(time.Now().Add(5 * time.Second))
	// Nothing depends on it.
	_, _ = io.Copy(io.Discard, io.LimitReader(t.br, or(t.s.MessageSize, 50<<20)))
}

func asReply(err error) *smtp.Reply {
	var r *smtp.Reply
	if errors.As(err, &r) {
		return r
	}
	return deny(451, 3, 0, "local error, try again later").WithCause(err)
}

// conn is what a backend sees of the connection: one that has logged in, from
// this machine.
type conn struct{ t *taking }

func (c *conn) Remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
}
func (c *conn) Local() netip.AddrPort                { return c.Remote() }
func (c *conn) TLS() *tls.ConnectionState            { return nil }
func (c *conn) ServerCertificate() *x509.Certificate { return nil }
func (c *conn) HELO() string                         { return fmt.Sprintf("uid-%d", c.t.uid) }
func (c *conn) ESMTP() bool                          { return true }
func (c *conn) Identity() string                     { return c.t.user.Account }
