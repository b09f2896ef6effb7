package imapserver

import (
	"context"
	"errors"
	"strings"
	"time"

	"waxwing/imap"
	"waxwing/internal/guard"
	"waxwing/internal/wire"
)

// stillHere is how often a client in IDLE is written to when there is no news, so that
// nothing between forgets the connection, and one that is gone is noticed.
const stillHere = 5 * time.Minute

// bell rings a session when mail of its account has changed.
type bell struct {
	stop func()
	end  chan struct{}
}

// listen has the session's waits end with news of the account.
func (s *session) listen() {
	if s.bell != nil {
		return
	}
	wake, stop := s.srv.Boxes.Watch(s.account)
	b := &bell{stop: stop, end: make(chan struct{})}
	s.bell = b
	conn := s.conn
	s.srv.Guard.Go(guard.IMAP, func() {
		for {
			select {
			case <-wake:
				conn.Ring()
			case <-b.end:
				return
			}
		}
	})
}

// silence ends it, unless NOTIFY wants news at any time.
func (s *session) silence() {
	if s.bell != nil {
		close(s.bell.end)
		s.bell.stop()
		s.bell = nil
	}
}

// news tells what has happened, between commands or in IDLE.
func (s *session) news(ctx context.Context) {
	if s.notify != nil {
		s.notified(ctx)
		return
	}
	if s.box != nil {
		s.report(ctx, true)
	}
}

// idle is IDLE (RFC 9051 §6.3.13).
func (s *session) idle(ctx context.Context, c *imap.Command) answer {
	s.w.Text("+ idling\r\n")
	s.listen()
	defer func() {
		if s.notify == nil {
			s.silence()
		}
	}()
	s.news(ctx)
	for s.over == "" {
		if s.w.Flush() != nil {
			s.over = "lost"
			break
		}
		switch s.conn.Await(s.br, stillHere) {
		case wire.Input:
			return s.endIdle(c)
		case wire.Rung:
			s.news(ctx)
		case wire.TimedOut:
			s.w.Text("* OK still here\r\n")
		case wire.Drained:
			s.bye("drain", "UNAVAILABLE", "the server is shutting down")
		case wire.Ousted:
			s.bye("ousted", "", ousted)
		case wire.Lost:
			s.over = "lost"
		}
	}
	return answer{}
}

func (s *session) endIdle(c *imap.Command) answer {
	line, err := s.r.ReadLine()
	switch {
	case errors.Is(err, imap.ErrLineTooLong):
		s.bye("too-long", "TOOBIG", err.Error())
		return answer{}
	case err != nil:
		s.over = "lost"
		return answer{}
	case !strings.EqualFold(strings.TrimSpace(line), "DONE"):
		return bad("DONE is expected")
	}
	return done(c)
}
