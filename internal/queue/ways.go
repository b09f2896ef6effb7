package queue

import (
	"cmp"
	"context"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// ways are the routes of the moment; nil where there are none, or where they
// cannot be read: mail then stays in its lane.
func (q *Queue) ways(ctx context.Context) *route.Ways {
	if q.Ways == nil {
		return nil
	}
	w, err := q.Ways(ctx)
	if err != nil {
		if ctx.Err() == nil {
			q.Log.Warn("routes cannot be read: mail stays in the lanes it has", "error", err)
		}
		return nil
	}
	return w
}

// contactOf is who is contacted for a recipient of env after some attempts, as far
// as the routes tell. Pure.
func contactOf(w *route.Ways, env *delivery.Envelope, r *spool.Entry, attempts int) delivery.Contact {
	here := delivery.Contact{Domain: r.DomainText, Local: r.Local}
	switch {
	case r.Local, r.Domain == delivery.RecipientDomain{}:
		return here
	case w == nil:
		return cmp.Or(r.Contact, here)
	case len(w.Rules) == 0 && env.Transport == "" && !w.Reports: // nothing to choose
		return here
	}
	job := delivery.Job{Envelope: *env, Domain: r.Domain}
	job.Recipients = nil
	s := route.SubjectOf(&job)
	s.Attempts = attempts
	return w.Choose(s).Contact
}

// strays chooses the way of each job, and takes out those whose recipients wait in
// another lane than it leads to: they are given back, and claimed in their turn.
func strays(w *route.Ways, jobs []*job) (keep, gone []*job) {
	for _, j := range jobs {
		if j.choose(w) {
			keep = append(keep, j)
		} else {
			gone = append(gone, j)
		}
	}
	return keep, gone
}

// choose decides the way of a job that leaves. It is false where that leads to another
// contact than the one for which the job was claimed, which is then that of its rows.
func (j *job) choose(w *route.Ways) (fits bool) {
	if w == nil || j.To.Local || j.Local || j.Domain == (delivery.RecipientDomain{}) {
		return true
	}
	j.Way, j.routed = w.Choose(route.SubjectOf(&j.Job)), w.Generation
	if to := j.Way.Contact; to != (delivery.Contact{}) && to != j.To {
		for i := range j.rows {
			j.rows[i].Contact = to
		}
		return false
	}
	return true
}

// astray is asked when a job is about to start: the routes may have changed since its way
// was chosen, or could not be read then. Where they lead to another contact now, the job
// goes back, and is claimed in its turn; where they cannot be read, it has no way, and is
// put off.
func (q *Queue) astray(ctx context.Context, j *job) bool {
	if q.Ways == nil || j.To.Local || j.Local || j.Domain == (delivery.RecipientDomain{}) {
		return false
	}
	w := q.ways(ctx)
	switch {
	case w == nil:
		j.Way, j.unrouted = delivery.Way{}, true
	case (j.Way == delivery.Way{} || j.routed != w.Generation) && !j.choose(w):
		q.giveBack(context.WithoutCancel(ctx), []*job{j}, q.Now())
		q.Wake()
		return true
	}
	return false
}

// lookAtRoutes has all waiting mail put into other lanes if the routes have changed.
func (q *Queue) lookAtRoutes(ctx context.Context) {
	if w := q.ways(ctx); w != nil && w.Generation != q.routed.Load() {
		select {
		case q.moved <- struct{}{}:
		default:
		}
	}
}

// rerouter runs until ctx ends.
func (q *Queue) rerouter(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.moved:
			if err := q.reroute(ctx); err != nil && ctx.Err() == nil {
				q.Log.Error("waiting mail not put where the routes now lead, will try again", "error", err)
			}
		}
	}
}

// reroute goes once through all that waits, lane by lane, with little in memory
// and nobody held up. It is done for each generation of the routes, by one machine or
// several; what is enqueued, or was claimed, by older routes meanwhile, goes back when it
// is claimed or about to start.
func (q *Queue) reroute(ctx context.Context) error {
	w := q.ways(ctx)
	if w == nil {
		return nil
	}
	if w.Generation != q.routed.Load() { // what is here and has not started waits like the rest
		q.giveBack(ctx, q.board.RecallAll(), q.Now())
	}
	done, err := store.Read(ctx, q.Store, spool.Routed)
	if err != nil {
		return fmt.Errorf("see which routes the queue follows: %w", err)
	}
	if done != w.Generation {
		if err := q.rekeyAll(ctx); err != nil {
			return err
		}
		if err := q.Store.Write(ctx, func(tx *store.Tx) error { return spool.SetRouted(tx, w.Generation) }); err != nil {
			return fmt.Errorf("note which routes the queue follows: %w", err)
		}
		q.Wake()
	}
	q.routed.Store(w.Generation)
	return nil
}

// rekeyAll goes through all lanes of mail that leaves.
func (q *Queue) rekeyAll(ctx context.Context) error {
	var last delivery.Lane
	for {
		lanes, err := store.Read(ctx, q.Store, func(tx *store.Tx) ([]delivery.Lane, error) { return spool.LanesAfter(tx, last) })
		if err != nil || len(lanes) == 0 {
			return err
		}
		for _, last = range lanes {
			if last.To.Local {
				continue
			}
			if err := q.rekeyLane(ctx, last); err != nil {
				return fmt.Errorf("%s: %w", last, err)
			}
		}
	}
}

func (q *Queue) rekeyLane(ctx context.Context, l delivery.Lane) error {
	place := spool.Start()
	for {
		var next spool.Place
		ids, err := store.Read(ctx, q.Store, func(tx *store.Tx) (ids []int64, err error) {
			ids, next, err = spool.WaitingAfter(tx, l, place)
			return ids, err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := q.rekey(ctx, ids); err != nil {
			return err
		}
		place = next
	}
}

// rekey puts waiting and held recipients, at most spool.ActionBatch, into the lanes
// that the routes now say.
func (q *Queue) rekey(ctx context.Context, ids []int64) error {
	w := q.ways(ctx)
	if w == nil {
		return nil
	}
	rows, err := store.Read(ctx, q.Store, func(tx *store.Tx) ([]spool.Item, error) { return spool.Placed(tx, ids) })
	if err != nil {
		return err
	}
	move, due := map[delivery.Contact][]int64{}, spool.Due{}
	for i := range rows {
		r := &rows[i].Entry
		if to := contactOf(w, &rows[i].Envelope, r, r.Attempts); to != r.Contact {
			move[to] = append(move[to], r.ID)
			due.At(delivery.Lane{To: to, Account: r.Account}, q.Now())
		}
	}
	if len(move) == 0 {
		return nil
	}
	return q.Store.Write(ctx, func(tx *store.Tx) error {
		for to, ids := range move {
			if _, err := spool.Move(tx, ids, to); err != nil {
				return err
			}
		}
		return due.Write(tx)
	})
}
