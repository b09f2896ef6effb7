package session

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/smtpclient"
)

// hot is how long a connection may have been idle so that a message is still
// sent over it ahead of all replies (BDAT).
const hot = time.Second

// keptFirst puts addresses to which a connection is kept before the others.
func (t *trip) keptFirst(addrs []netip.Addr) []netip.Addr {
	if t.c.Pool == nil || len(addrs) < 2 {
		return addrs
	}
	idle := func(a netip.Addr) bool {
		k, ok := keyOf(t.c, t.plan, t.req.Job, a)
		return ok && t.c.Pool.has(k)
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

// reuse makes a visit of a connection that is kept; nil if there is none.
func (t *trip) reuse(addr netip.Addr) *visit {
	if t.c.Pool == nil {
		return nil
	}
	k, ok := keyOf(t.c, t.plan, t.req.Job, addr)
	if !ok {
		return nil
	}
	seat, free := t.c.Crowd.enter(addr)
	if !free { // the visit over a new connection says so
		return nil
	}
	c := t.c.Pool.take(k, t.c.now())
	if c == nil {
		seat.leave()
		return nil
	}
	v := &visit{trip: t, addr: addr, seat: seat, conn: c.conn, check: c.check, kept: c, facts: c.facts, proven: c.proven}
	v.facts.Reused = true
	v.facts.Repeat = slices.Contains(c.served, t.req.Job.Domain)
	return v
}

// stale reports that a kept connection failed before the host could have taken
// the message, which another connection may thus carry. A refusal of MAIL counts
// too: it may be about the connection (too many messages) and not the sender.
func (v *visit) stale(ctx context.Context, res *smtpclient.TransactionResult, err error) bool {
	if v.kept == nil || ended(ctx) || res.Data != nil && err != nil {
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

// dead ends a visit over a connection that was stale.
func (v *visit) dead(res *smtpclient.TransactionResult, err error) {
	text := "the kept connection could not be used any more: "
	if err != nil {
		text += err.Error()
	} else {
		text += res.Mail.String()
	}
	v.facts.Err = &delivery.Failure{Word: ConnectionLost, Enhanced: enhBadConn, Text: bounded(text)}
	// It counts only for what it served: the session that comes next, otherwise.
	v.facts.Repeat = v.facts.Repeat || !v.good
	v.unsettled(v.facts.Err)
}

// part ends a visit that came to the sending of mail: the connection is kept
// where that makes sense, else closed.
func (v *visit) part(ctx context.Context) {
	if c := v.keep4later(ctx); c != nil {
		v.parted = true
		v.c.Pool.put(c)
		return
	}
	v.quit(ctx)
}

// keep4later is the connection as the pool keeps it; nil if it must not.
func (v *visit) keep4later(ctx context.Context) *kept {
	pool := v.c.Pool
	// A session in plaintext after TLS failed is never reused: the next message
	// is to try TLS again (POL-3).
	if pool == nil || v.plain || !v.good || v.facts.Err != nil || ended(ctx) {
		return nil
	}
	n, limit := v.conn.Mails(), v.conn.Extensions().Limits.MailMax
	if n >= pool.maxMessages() || limit > 0 && n >= limit || !v.conn.Usable() || !v.conn.InForm() {
		return nil
	}
	c := v.kept
	if c == nil {
		k, ok := keyOf(v.c, v.plan, v.req.Job, v.addr)
		if !ok {
			return nil
		}
		c = &kept{key: k, conn: v.conn, check: v.check, facts: v.facts}
		c.facts.Transcript = nil
		if v.check != nil {
			v.check.release()
		}
	}
	if d := v.req.Job.Domain; !slices.Contains(c.served, d) {
		c.served = append(c.served, d)
	}
	c.proven, c.now = v.proven, v.c.now()
	return c
}
