package session

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// again is what to do once a session has ended.
type again uint8

const (
	leave     again = iota // nothing more with this host
	nextAddr               // the next address of this host
	smaller                // the same address once more, with a small TLS hello (POL-10)
	plaintext              // the same address once more, without TLS (POL-3)
	fresh                  // the same address over a new connection
)

// address does with one address what can be done: over a connection that is
// kept, over a new one, and once without TLS if the plan allows it.
func (v *visit) address(ctx context.Context, addr netip.Addr) again {
	a, small, plain := fresh, false, false
	if s := v.reuse(addr); s != nil {
		a = v.hold(ctx, s)
	}
	for a == fresh || a == smaller || a == plaintext {
		if v.pending() == 0 || ended(ctx) {
			return leave
		}
		if v.past(v.bounds.Transactions) {
			v.tooSlow()
			return leave
		}
		small, plain = small || a == smaller, plain || a == plaintext
		a = v.hold(ctx, v.newSession(addr, small, plain))
	}
	return a
}

// newSession is one over a new connection.
func (v *visit) newSession(addr netip.Addr, small, plain bool) *session {
	return &session{visit: v, addr: addr, small: small, plain: plain,
		facts: delivery.Session{Addr: addr, SmallHello: small && !plain, Plaintext: plain}}
}

// visit is one Carry, to one host: the state that its sessions share.
type visit struct {
	c       *Client
	req     Request
	plan    *delivery.Plan // the request's
	done    delivery.Visit
	results []delivery.RecipientResult
	asked   []netip.Addr     // per recipient: the address whose 4xx it got, which is not asked again
	content delivery.Content // as it will be sent
	began   time.Time        // by the system's clock, as deadlines are
	bounds  Bounds
}

func newVisit(c *Client, req Request) *visit {
	v := &visit{c: c, req: req, content: req.Content, began: time.Now(), bounds: c.Bounds.withDefaults()}
	v.done.Plan = req.Plan
	v.plan = &v.req.Plan
	v.results = make([]delivery.RecipientResult, len(req.Recipients))
	v.asked = make([]netip.Addr, len(req.Recipients))
	for i, r := range req.Recipients {
		v.results[i].ID = r.ID
		v.results[i].Host = req.Plan.Host.Name
	}
	return v
}

func (v *visit) report() Report { return Report{Visit: v.done, Recipients: v.results} }

func (v *visit) pending() int {
	n := 0
	for i := range v.results {
		if v.results[i].Outcome == delivery.Pending {
			n++
		}
	}
	return n
}

// past reports that the visit has taken longer than d.
func (v *visit) past(d time.Duration) bool { return time.Since(v.began) > d }

// tooSlow leaves the pending recipients to the next attempt.
func (v *visit) tooSlow() {
	v.each(delivery.Pending, func(r *delivery.RecipientResult) {
		if r.Reply == nil {
			r.Word, r.Text, r.Enhanced = reason.Timeout, "the host took too long over the recipients before this one", enhBadConn
		}
	})
}

// unsettled notes why the recipients that are pending are so.
func (v *visit) unsettled(f *delivery.Failure) {
	v.each(delivery.Pending, func(r *delivery.RecipientResult) {
		r.Word, r.Text, r.Enhanced, r.Reply, r.PolicyFailure = f.Word, f.Text, f.Enhanced, nil, false
	})
}

// settleAll gives every pending recipient an outcome.
func (v *visit) settleAll(o delivery.Outcome, f *delivery.Failure) {
	v.unsettled(f)
	v.each(delivery.Pending, func(r *delivery.RecipientResult) { r.Outcome = o })
}

// each calls fn for the recipients with an outcome, without those that the host
// cannot take: they took no part, and keep their reason.
func (v *visit) each(o delivery.Outcome, fn func(*delivery.RecipientResult)) {
	for i := range v.results {
		if v.results[i].Outcome == o && !v.results[i].Unfit {
			fn(&v.results[i])
		}
	}
}

// hold has a session do over its connection what can be done.
func (v *visit) hold(ctx context.Context, s *session) again {
	s.facts.Started = v.c.now()
	for i := range v.results {
		if r := &v.results[i]; r.Outcome == delivery.Pending {
			r.Addr, r.Unfit = s.addr, false
		}
	}
	a := s.run(ctx)
	v.done.Sessions = append(v.done.Sessions, s.facts)
	if l := v.c.Log; l != nil && l.Enabled(ctx, slog.LevelDebug) {
		l.Debug("smtp session", "message", delivery.ID(v.req.Job.ID), "host", v.plan.Host.Name.String(), "address", s.addr.String(), "plaintext", s.plain, "reused", s.facts.Reused,
			"connected", s.facts.Connected, "tls", s.travelled(), "pending", v.pending())
	}
	return a
}
