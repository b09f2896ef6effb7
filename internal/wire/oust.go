package wire

import (
	"context"
	"time"

	"waxwing/internal/login"
	"waxwing/sasl"
)

// granting is an Authenticator whose logins can be looked at again. login.Checker is one.
type granting interface {
	Grant(ex sasl.Server) *login.Grant
}

const (
	// lookAlways is how often all are looked at though nothing has changed: app passwords end with time.
	lookAlways = time.Minute
	// oustAfter is for a command that is under way.
	oustAfter = 5 * time.Second
)

// lookAgain ends the sessions of those who could not log in any more as they did, until ctx ends.
func (s *Server) lookAgain(ctx context.Context, live *crowd) {
	tick := time.NewTicker(s.timeouts().Look)
	defer tick.Stop()
	var seen int64
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.Changed(ctx)
		if err != nil || now == seen && time.Since(last) < lookAlways {
			continue // an error is of the store, which others tell of
		}
		if s.oust(ctx, live) {
			seen, last = now, time.Now()
		}
	}
}

// oust looks at all once; false: it could not look at some.
func (s *Server) oust(ctx context.Context, live *crowd) (whole bool) {
	whole = true
	for _, c := range live.all() {
		g := c.grant.Load()
		if g == nil {
			continue
		}
		holds, err := g.Holds(ctx)
		if err != nil {
			whole = false
		}
		if !holds {
			c.Log().Info("session ended: its account may not log in any more as it did", "account", g.Account())
			c.oust()
		}
	}
	return whole
}

// all are the connections.
func (w *crowd) all() []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*Conn, 0, len(w.conns))
	for c := range w.conns {
		out = append(out, c)
	}
	return out
}

// oust ends the connection: between two commands with a word to the client, and a command under way soon.
func (c *Conn) oust() {
	c.grant.Store(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ousted = true
	c.interrupt()
	time.AfterFunc(oustAfter, c.srv.Guard.Func(c.srv.Area, func() { c.raw.Close() }))
}
