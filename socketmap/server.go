package socketmap

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/guard"
)

// Server answers lookups. Its fields are set before the first Serve.
type Server struct {
	// Lookup answers one request. It is called for many connections at the same
	// time. Its ctx ends with Timeout, and when the server is told to stop.
	Lookup  func(ctx context.Context, r Request) Reply
	Conns   int           // connections at one time, more are closed at once; 0: 1000
	Idle    time.Duration // a connection without a request for so long is closed; 0: 5 min
	Timeout time.Duration // of one lookup; 0: 60 s (Postfix waits 100 s)
	Log     *slog.Logger  // nil: discard
	Guard   *guard.Guard  // contains panics
}

const (
	defaultConns   = 1000
	defaultIdle    = 5 * time.Minute
	defaultTimeout = time.Minute
	writeTimeout   = 10 * time.Second
)

// Serve accepts connections from l until ctx ends, then closes l and all of
// them and returns nil when the last lookup has returned. Else the error is l's.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel() // before Wait: it ends the connections
	room := make(chan struct{}, cmp.Or(s.Conns, defaultConns))
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Such as too many open files: it passes.
			s.log().Warn("socketmap: a connection was not accepted", "error", err)
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			s.log().Warn("socketmap: too many connections, one was closed", "most", cap(room))
			c.Close()
			continue
		}
		s.Guard.In(&wg, guard.Socketmap, func() {
			defer func() { <-room }()
			s.converse(ctx, c)
		})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// converse serves one connection: strictly one request after the other.
func (s *Server) converse(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	r := bufio.NewReaderSize(c, 1024)
	for ctx.Err() == nil {
		if err := c.SetReadDeadline(time.Now().Add(cmp.Or(s.Idle, defaultIdle))); err != nil {
			return
		}
		b, err := ReadNetstring(r, MaxRequest)
		if err != nil {
			if quiet(ctx, err) {
				return
			}
			// The stream is out of step: only a new connection can help.
			s.log().Warn("socketmap: a connection was closed", "client", c.RemoteAddr().String(), "error", err)
			return
		}
		out := AppendNetstring(nil, []byte(s.answer(ctx, b).String()))
		if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// quiet errors are how connections end every day.
func quiet(ctx context.Context, err error) bool {
	var ne net.Error
	return ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &ne)
}

func (s *Server) answer(ctx context.Context, b []byte) Reply {
	req, err := ParseRequest(b)
	if err != nil {
		return Perm(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, defaultTimeout))
	defer cancel()
	// Postfix keeps mail whose lookup fails for now.
	reply := Temp("internal error")
	s.Guard.Do(guard.Socketmap, func() { reply = s.Lookup(ctx, req) }, "key", foreign.Clip(req.Key, 40))
	return reply
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}

// Ask makes one request on an open connection and reads the reply. The
// connection can be used again unless an error came.
func Ask(c net.Conn, req Request) (Reply, error) {
	if _, err := c.Write(AppendNetstring(nil, []byte(req.String()))); err != nil {
		return Reply{}, err
	}
	// No octet beyond the reply is sent, so a reader of its own loses none.
	b, err := ReadNetstring(bufio.NewReader(c), MaxReply)
	if err != nil {
		return Reply{}, unexpected(err)
	}
	return ParseReply(b)
}
