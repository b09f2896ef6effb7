package submitsocket

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/sockets"
	"waxwing/peers"
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
	Hostname string          // for greeting and EHLO
	Users    map[uint32]User // by user id; all others are refused
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
	p := &program{Conn: nc}
	if reply := s.identify(p); reply != nil {
		// Who may not send costs no goroutine and no turn.
		s.count("unknown-user")
		s.dismiss(ctx, p, told, reply)
		return
	}
	if !q.enter(p.uid) {
		s.count("limit-user")
		s.dismiss(ctx, p, told, busy("too many programs of the user with the id %d are handing in mail", p.uid))
		return
	}
	s.Guard.In(work, guard.Sendmail, func() {
		defer q.leave(p.uid)
		s.serve(ctx, q, p)
	})
}

// identify finds out whose program it is: the reply to who may not submit, nil for
// who may.
func (s *Server) identify(p *program) *smtp.Reply {
	peer := s.Peer
	if peer == nil {
		peer = sockets.PeerUID
	}
	uid, err := peer(p.Conn)
	if err != nil {
		return deny(451, 3, 0, "this server cannot tell which user is asking").WithCause(err)
	}
	p.uid = uid
	user, ok := s.Users[uid]
	if !ok {
		return deny(550, 7, 1, "the user with the id %d may not send mail from here; the server's configuration says who may, in [[sendmail.user]]", uid)
	}
	p.user = user
	return nil
}

func (s *Server) count(refused string) {
	if s.Count != nil {
		s.Count(refused)
	}
}

func deny(code int, subject, detail int, format string, args ...any) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: subject, Detail: detail}, format, args...)
}

func busy(format string, args ...any) *smtp.Reply {
	return deny(451, 3, 2, format+": try again", args...)
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
func (s *Server) dismiss(ctx context.Context, p *program, told refusals, reply *smtp.Reply) {
	if now := time.Now(); now.Sub(told[p.uid]) >= tellEvery {
		if len(told) >= maxRefused {
			clear(told)
		}
		told[p.uid] = now
		s.logged(ctx, &dialogue{program: p, reply: reply})
	}
	p.say(reply)
	p.Close()
}

// stopGrace is how long a program may go on sending when the server stops.
const stopGrace = 5 * time.Second

// serve answers one connection of a user who may send, when it is its turn.
func (s *Server) serve(ctx context.Context, q *queues, p *program) {
	defer p.Close()
	end, err := q.turn(ctx, p.uid)
	if err != nil {
		s.count("limit-total")
		reply := busy("too much mail is being handed in")
		p.say(reply)
		s.logged(ctx, &dialogue{program: p, reply: reply})
		return
	}
	defer end() // of who has handed in nothing
	s.count("")
	defer func() {
		if s.Ended != nil {
			s.Ended()
		}
	}()
	timeout, idle := cmp.Or(s.Timeout, 10*time.Minute), cmp.Or(s.Idle, 30*time.Second)
	p.bound(time.Now().Add(timeout))
	// A program that is slow to send does not keep the server from stopping.
	stop := context.AfterFunc(ctx, s.Guard.Func(guard.Sendmail, func() { p.bound(time.Now().Add(stopGrace)) }))
	defer stop()
	d := &dialogue{program: p, end: end}
	recipients := cmp.Or(s.Recipients, 1000)
	srv := &smtpserver.Server{
		Hostname: cmp.Or(s.Hostname, "localhost"), Identity: p.user.Account, Backend: d,
		// Who it is, is known: each of its addresses is answered at once.
		Peers:    &peers.Ledger{Patience: peers.Patience{Free: recipients, End: recipients + 1}},
		Limits:   smtpserver.Limits{MessageSize: s.MessageSize, Recipients: recipients, Transactions: 1, Errors: recipients},
		Timeouts: smtpserver.Timeouts{Command: idle, Data: idle, Message: timeout, Write: idle},
		Offer:    smtpserver.Offer{RequireTLS: true},
		Trace:    smtpserver.Trace{Command: d.heard, Accepted: s.Accepted},
		Log:      s.log().With("uid", p.uid), Guard: s.Guard, Area: guard.Sendmail,
	}
	srv.ServeConn(ctx, p)
	s.logged(ctx, d)
}

// logged writes one line for what a program handed in, and for each refusal.
func (s *Server) logged(ctx context.Context, d *dialogue) {
	if d.reply == nil {
		return // it has hung up without a message
	}
	level, attrs := slog.LevelInfo, []any{"uid", d.uid, "account", d.user.Account, "from", d.mail.Written,
		"recipients", d.recipients, "size", d.mail.Size, "reply", d.reply.Error()}
	if d.unheard != nil { // the program did not wait
		attrs = append(attrs, "unheard", d.unheard)
	}
	if !d.reply.Positive() || d.unheard != nil {
		level = slog.LevelWarn
	}
	s.log().Log(ctx, level, "local submission", attrs...)
}
