// Package desk is what commands and pages ask of a server's queue and reports (QUE-6). Rooms answers
// from this process's own rooms, and control.Client from a running server's, so that what asks is
// written once.
package desk

import (
	"context"
	"fmt"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/queue"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/spool"
)

// Desk is what commands and pages ask. Its methods may be called at the same time.
type Desk interface {
	// List, Show, Count and Closed are those of package spool.
	List(ctx context.Context, f spool.Filter) ([]spool.Item, error)
	Show(ctx context.Context, id int64) (spool.Shown, error)
	Count(ctx context.Context) (map[spool.State]int, error)
	Closed(ctx context.Context, limit int) ([]spool.Closed, error)
	// Act does something with recipients in the queue (QUE-6).
	Act(ctx context.Context, a Action) (queue.Changed, error)
	// SendReports makes the reports of a day, as outbox.Box.SendDay does: TLS reports or DMARC
	// reports, by the noun of their commands.
	SendReports(ctx context.Context, noun string, o outbox.SendOptions) (outbox.Summary, error)
}

// Verb is what is to be done with recipients.
type Verb string

// The verbs.
const (
	Hold         Verb = "hold"
	Unhold       Verb = "unhold"
	Retry        Verb = "retry"
	Fail         Verb = "fail"
	Drop         Verb = "drop"
	SetTLS       Verb = "set-tls"
	SetTransport Verb = "set-transport"
)

// Action is a change of the queue.
type Action struct {
	Verb      Verb
	Filter    spool.Filter
	Why       string           // of Hold and Fail
	Need      delivery.TLSNeed // of SetTLS
	Transport string           // of SetTransport; "": the routes choose
}

// Rooms is the Desk of the process that has the rooms: the server's, or a
// command's own where no server runs.
type Rooms struct {
	Queue   *queue.Queue
	Reports []*outbox.Box
	Routes  *routes.Store // knows the transports that there are
	// Changed is called after a change that another process has to hear of; nil
	// in the server, whose rooms tell each other.
	Changed func(ctx context.Context) error
}

// changed tells who has to know, where something was done.
func (r *Rooms) changed(ctx context.Context) error {
	if r.Changed == nil {
		return nil
	}
	if err := r.Changed(ctx); err != nil {
		return fmt.Errorf("it is done, but other servers on this store were not told: %w", err)
	}
	return nil
}

var _ Desk = (*Rooms)(nil)

// List lists recipients.
func (r *Rooms) List(ctx context.Context, f spool.Filter) ([]spool.Item, error) {
	return spool.List(ctx, r.Queue.Store, f)
}

// Show shows a message.
func (r *Rooms) Show(ctx context.Context, id int64) (spool.Shown, error) {
	return spool.Show(ctx, r.Queue.Store, id)
}

// Count counts recipients by state.
func (r *Rooms) Count(ctx context.Context) (map[spool.State]int, error) {
	return spool.Count(ctx, r.Queue.Store)
}

// Closed lists destinations that cannot be reached.
func (r *Rooms) Closed(ctx context.Context, limit int) ([]spool.Closed, error) {
	return spool.ListClosed(ctx, r.Queue.Store, min(max(limit, 1), maxClosed))
}

// maxClosed bounds one answer.
const maxClosed = 1000

// Act changes the queue.
func (r *Rooms) Act(ctx context.Context, a Action) (c queue.Changed, err error) {
	switch q := r.Queue; a.Verb {
	case Hold:
		c, err = q.Hold(ctx, a.Filter, a.Why)
	case Unhold:
		c, err = q.Unhold(ctx, a.Filter)
	case Retry:
		c, err = q.Retry(ctx, a.Filter)
	case Fail:
		c, err = q.Fail(ctx, a.Filter, a.Why)
	case Drop:
		c, err = q.Drop(ctx, a.Filter)
	case SetTLS:
		c, err = q.SetNeed(ctx, a.Filter, a.Need)
	case SetTransport:
		if err := r.known(ctx, a.Transport); err != nil {
			return c, err
		}
		c, err = q.SetTransport(ctx, a.Filter, a.Transport)
	default:
		return c, fmt.Errorf("unknown action %q", a.Verb)
	}
	if err == nil && c.Done > 0 {
		err = r.changed(ctx)
	}
	return c, err
}

// known refuses a transport that is not there: mail for it would wait in vain.
func (r *Rooms) known(ctx context.Context, name string) error {
	if name == "" || name == route.DirectName || name == route.LocalName {
		return nil
	}
	t, err := r.Routes.Table(ctx)
	if err != nil {
		return err
	}
	if _, ok := t.Transports[name]; !ok {
		return fmt.Errorf("there is no transport %q; \"waxwing transport list\" shows those there are", name)
	}
	return nil
}

// SendReports makes the reports of a day.
func (r *Rooms) SendReports(ctx context.Context, noun string, o outbox.SendOptions) (outbox.Summary, error) {
	i := slices.IndexFunc(r.Reports, func(b *outbox.Box) bool { return b.Noun == noun })
	if i < 0 {
		return outbox.Summary{}, fmt.Errorf("no reports of the sort %q", noun)
	}
	sum, err := r.Reports[i].SendDay(ctx, o)
	if err == nil && !o.DryRun && len(sum.Made) > 0 {
		err = r.changed(ctx)
	}
	return sum, err
}
