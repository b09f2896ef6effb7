package session

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtpclient"
)

// hot is how long a connection may have been idle so that a message is still
// sent over it ahead of all replies (BDAT).
const hot = time.Second

// keptFirst puts addresses to which a connection is kept before the others.
func (v *visit) keptFirst(addrs []netip.Addr) []netip.Addr {
	if v.c.Pool == nil || len(addrs) < 2 {
		return addrs
	}
	idle := func(a netip.Addr) bool {
		k, ok := keyOf(v.c, v.plan, v.req.Job, a)
		return ok && v.c.Pool.has(k)
	}
	if !slices.ContainsFunc(addrs, idle) {
		return addrs
	}
	first, rest := make([]netip.Addr, 0, len(addrs)), make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if idle(a) {
			first = append(first, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

// reuse makes a session over a connection that is kept; nil if there is none.
func (v *visit) reuse(addr netip.Addr) *session {
	if v.c.Pool == nil {
		return nil
	}
	k, ok := keyOf(v.c, v.plan, v.req.Job, addr)
	if !ok {
		return nil
	}
	seat, free := v.c.Crowd.enter(addr)
	if !free { // the session over a new connection says so
		return nil
	}
	c := v.c.Pool.take(k, v.c.now())
	if c == nil {
		seat.leave()
		return nil
	}
	s := &session{visit: v, addr: addr, seat: seat, conn: c.conn, check: c.check, from: c, facts: c.facts, proven: c.proven}
	s.facts.Reused = true
	s.facts.Repeat = slices.Contains(c.served, v.req.Job.Domain)
	return s
}

// stale reports that a kept connection failed before the host could have taken
// the message, which another connection may thus carry. A refusal of MAIL counts
// too: it may be about the connection (too many messages) and not the sender.
func (s *session) stale(ctx context.Context, res *smtpclient.TransactionResult, err error) bool {
	if s.from == nil || ended(ctx) || res.Data != nil && err != nil {
		return false
	}
	if err == nil {
		return res.Mail != nil && !res.Mail.Positive()
	}
	return !res.DotSent && lost(err)
}

// lost reports that a connection failed, as opposed to a message.
func lost(err error) bool {
	var conn *smtpclient.ConnError
	var alert *smtpclient.HandshakeError
	return errors.As(err, &conn) || errors.As(err, &alert)
}

// dead ends a session over a connection that was stale.
func (s *session) dead(res *smtpclient.TransactionResult, err error) {
	text := "the kept connection could not be used any more: "
	if err != nil {
		text += err.Error()
	} else {
		text += res.Mail.String()
	}
	s.facts.Err = &delivery.Failure{Word: reason.ConnectionLost, Enhanced: enhBadConn, Text: bounded(text)}
	// It counts only for what it served: the session that comes next, otherwise.
	s.facts.Repeat = s.facts.Repeat || !s.good
	s.unsettled(s.facts.Err)
}

// part ends a session that came to the sending of mail: the connection is kept
// where that makes sense, else closed.
func (s *session) part(ctx context.Context) {
	if c := s.forPool(ctx); c != nil {
		s.parted = true
		s.c.Pool.put(c)
		return
	}
	s.quit(ctx)
}

// forPool is the connection as the pool keeps it; nil if it must not.
func (s *session) forPool(ctx context.Context) *pooledConn {
	pool := s.c.Pool
	// A session in plaintext after TLS failed is never reused: the next message
	// is to try TLS again (POL-3).
	if pool == nil || s.plain || !s.good || s.facts.Err != nil || ended(ctx) {
		return nil
	}
	n, limit := s.conn.Mails(), s.conn.Extensions().Limits.MailMax
	if n >= pool.maxMessages() || limit > 0 && n >= limit || !s.conn.Usable() || !s.conn.InForm() {
		return nil
	}
	c := s.from
	if c == nil {
		k, ok := keyOf(s.c, s.plan, s.req.Job, s.addr)
		if !ok {
			return nil
		}
		c = &pooledConn{key: k, conn: s.conn, check: s.check, facts: s.facts}
		c.facts.Transcript = nil
		if s.check != nil {
			s.check.release()
		}
	}
	if d := s.req.Job.Domain; !slices.Contains(c.served, d) {
		c.served = append(c.served, d)
	}
	c.proven, c.now = s.proven, s.c.now()
	return c
}
