package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/smtp"
)

// Deliverer makes one attempt at a job; Direct, Relay, Refuser and Local are some.
type Deliverer interface {
	Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result
}

// Router takes each job the way that was chosen when it was claimed, and no other. Where
// that is not there any more, the mail waits. It is safe for concurrent use.
type Router struct {
	Routes *routes.Store
	Direct Deliverer // the built-in "direct"
	Local  Deliverer // the built-in "local", and kind local; nil: mail for it waits
	// Reports is who is handed our TLS reports; nil: they go like other mail.
	Reports Deliverer
	// Make builds what carries mail for a transport that the operator set up. What
	// it builds is kept until the transport changes; if it is an io.Closer, it is
	// closed then, while attempts may still be using it.
	Make func(t route.Transport) (Deliverer, error)
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: discard

	mu    sync.Mutex
	table *routes.Table
	made  map[string]made
}

// made is a transport that was built.
type made struct {
	of  route.Transport
	d   Deliverer
	err error
}

// Ways are the rules and transports of this moment.
func (r *Router) Ways(ctx context.Context) (*route.Ways, error) {
	t, err := r.Routes.Table(ctx)
	if err != nil {
		return nil, err
	}
	w := t.Ways
	w.Reports = r.Reports != nil
	return &w, nil
}

// Deliver has the chosen transport make the attempt.
func (r *Router) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	way := job.Way
	t, err := r.Routes.Table(ctx)
	if known := r.known(); err != nil && way.Transport != "" && known != nil { // the way was chosen by it a moment ago
		t, err = known, nil
	}
	if err == nil && way.Transport == "" {
		err = errors.New(cmp.Or(way.Why, "they could not be read when the message was claimed"))
	}
	if err != nil {
		r.log().Error("routes cannot be read; mail waits", "message", delivery.ID(job.ID), "error", err)
		return r.wait(job, reason.RoutesUnreadable, "the routes of this server cannot be read; its log says why")
	}
	d, err := r.deliverer(t, way.Transport)
	if err != nil {
		r.log().Error("transport cannot be used; mail waits", "message", delivery.ID(job.ID), "transport", way.Transport, "text", way.Why, "error", errors.Join(err, t.Broken[way.Transport]))
		return r.wait(job, reason.NoTransport, fmt.Sprintf("the transport %s of this server cannot be used: %v", way.Transport, err))
	}
	return d.Deliver(ctx, job, c)
}

func (r *Router) wait(job *delivery.Job, word reason.Word, text string) delivery.Result {
	at := now(r.Now)
	rr := delivery.RecipientResult{Outcome: delivery.Deferred, Word: word, Text: text, Enhanced: smtp.Enhanced{Class: 4, Subject: 3, Detail: 5}}
	return delivery.Result{Recipients: each(job, rr), Started: at, Ended: at, Transport: delivery.ByNone}
}

// Transport is the operator's transport of that name, to a program that keeps mailboxes. One of
// another kind would bring the mail back here, for ever.
func (r *Router) Transport(ctx context.Context, name string) (Deliverer, error) {
	t, err := r.Routes.Table(ctx)
	if err != nil {
		return nil, err
	}
	if tr, ok := t.Transports[name]; ok && tr.Kind != route.LMTP || name == route.DirectName || name == route.LocalName {
		return nil, errors.New("it is not of kind lmtp")
	}
	return r.deliverer(t, name)
}

// deliverer finds or builds what carries mail for a transport.
func (r *Router) deliverer(t *routes.Table, name string) (Deliverer, error) {
	switch name {
	case route.DirectName:
		return r.Direct, nil
	case route.LocalName:
		return r.local()
	case route.ReportsName:
		if r.Reports != nil {
			return r.Reports, nil
		}
	}
	tr, ok := t.Transports[name]
	if !ok {
		if err := t.Broken[name]; err != nil {
			return nil, errors.New("it cannot be read: this server's log says why")
		}
		return nil, errors.New("there is none of that name")
	}
	m, old := r.make(t, name, tr)
	r.close(old)
	return m.d, m.err
}

// make is what was built for the transport, or is built now; old is to be closed.
func (r *Router) make(t *routes.Table, name string, tr route.Transport) (m made, old []made) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old = r.refresh(t)
	m, ok := r.made[name]
	if !ok || !m.of.Equal(&tr) {
		m = made{of: tr}
		m.d, m.err = r.build(tr)
		if r.made == nil {
			r.made = map[string]made{}
		}
		r.made[name] = m
	}
	return m, old
}

// known are the routes by which a transport was used last; nil: none was.
func (r *Router) known() *routes.Table {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table
}

// refresh forgets what was built for transports that are gone or changed, and returns it.
func (r *Router) refresh(t *routes.Table) (old []made) {
	if r.table == t || r.table != nil && r.table.Generation > t.Generation {
		return nil
	}
	r.table = t
	for name, m := range r.made {
		if tr, ok := t.Transports[name]; !ok || !m.of.Equal(&tr) {
			old = append(old, m)
			delete(r.made, name)
		}
	}
	return old
}

func (r *Router) close(old []made) {
	for _, m := range old {
		if c, ok := m.d.(io.Closer); ok {
			if err := c.Close(); err != nil {
				r.log().Warn("transport not closed", "transport", m.of.Name, "error", err)
			}
		}
	}
}

func (r *Router) local() (Deliverer, error) {
	if r.Local == nil {
		return nil, errors.New("nothing is delivered here")
	}
	return r.Local, nil
}

func (r *Router) build(t route.Transport) (Deliverer, error) {
	switch {
	case t.Kind == route.Fail:
		return &Refuser{Transport: t, Now: r.Now}, nil
	case t.Kind == route.Local:
		return r.local()
	case r.Make == nil:
		return nil, fmt.Errorf("this server builds no transports of kind %s", t.Kind)
	}
	return r.Make(t)
}

func (r *Router) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}
