package queue

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/route"
	"waxwing/internal/store"
)

// Ways gives the routes of the moment; *transport.Router does. They choose the way of
// each job when it is claimed, and say before that in which lane a recipient waits: a
// dead relay is one destination that closes, not all the domains whose mail goes
// there (QUE-3).
type Ways interface {
	Ways(ctx context.Context) (*route.Ways, error)
}

// ways are the routes of the moment; nil where there are none, or where they
// cannot be read: mail then stays in its lane.
func (q *Queue) ways(ctx context.Context) *route.Ways {
	if q.Ways == nil {
		return nil
	}
	w, err := q.Ways.Ways(ctx)
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
func contactOf(w *route.Ways, env *delivery.Envelope, r *Entry, attempts int) string {
	if r.Local || r.Domain == (delivery.RecipientDomain{}) {
		return r.domain
	}
	if w == nil {
		return cmp.Or(r.contact, r.domain)
	}
	if len(w.Rules) == 0 && env.Transport == "" && !w.Reports { // nothing to choose
		return r.domain
	}
	job := delivery.Job{Envelope: *env, Domain: r.Domain}
	job.Recipients = nil
	s := route.SubjectOf(&job)
	s.Attempts = attempts
	return w.Choose(s).Contact.String()
}

// strays chooses the way of each job, and takes out those whose recipients wait in
// another lane than it leads to: they are given back, and claimed in their turn.
func strays(w *route.Ways, jobs []*job) (keep, gone []*job) {
	if w == nil {
		return jobs, nil
	}
	for _, j := range jobs {
		j.choose(w)
		to := j.Way.Contact.String()
		if j.To.Local || to == "" || to == j.To.Name {
			keep = append(keep, j)
			continue
		}
		for i := range j.rows {
			j.rows[i].contact = to
		}
		gone = append(gone, j)
	}
	return keep, gone
}

// choose decides the way of a job that leaves.
func (j *job) choose(w *route.Ways) {
	if w != nil && !j.Local && j.Domain != (delivery.RecipientDomain{}) {
		j.Way = w.Choose(route.SubjectOf(&j.Job))
	}
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
// several; what is enqueued by older routes meanwhile, a claim corrects.
func (q *Queue) reroute(ctx context.Context) error {
	w := q.ways(ctx)
	if w == nil {
		return nil
	}
	var done int64
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT COALESCE(max(generation), 0) FROM queue_routed`).Scan(&done)
	})
	if err != nil {
		return fmt.Errorf("see which routes the queue follows: %w", err)
	}
	if done != w.Generation {
		if err := q.eachLane(ctx, func(k dispatch.Lane) error { return q.rekeyLane(ctx, k) }); err != nil {
			return err
		}
		err := q.Store.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO queue_routed (one, generation) VALUES (1, ?)
				ON CONFLICT (one) DO UPDATE SET generation = excluded.generation`, w.Generation)
			return err
		})
		if err != nil {
			return fmt.Errorf("note which routes the queue follows: %w", err)
		}
		q.Wake()
	}
	q.routed.Store(w.Generation)
	return nil
}

const (
	lanesAfter = `SELECT ` + laneColumns + ` FROM lanes WHERE (dest, local, account) > (?, ?, ?) ORDER BY dest, local, account LIMIT ?`
	rowsAfter  = `SELECT id, due FROM recipients WHERE state = 0 AND dest = ? AND local = ? AND account = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`
)

// eachLane calls fn for all lanes of mail that leaves.
func (q *Queue) eachLane(ctx context.Context, fn func(dispatch.Lane) error) error {
	var last dispatch.Lane
	for {
		var keys []dispatch.Lane
		err := q.Store.Read(ctx, func(tx *store.Tx) (err error) {
			local := int64(0)
			if last.To.Local {
				local = 1
			}
			keys, err = store.Collect(tx, scanLane, lanesAfter, last.To.Name, local, last.Account, int64(dueLanes))
			return err
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if k.To.Local {
				continue
			}
			if err := fn(k); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
		last = keys[len(keys)-1]
	}
}

func (q *Queue) rekeyLane(ctx context.Context, k dispatch.Lane) error {
	var last int64
	after := int64(math.MinInt64)
	for {
		var ids []int64
		err := q.Store.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = store.Collect(tx, func(r store.Row) (int64, error) {
				err := r.Scan(&last, &after)
				return last, err
			}, rowsAfter, k.To.Name, k.To.Local, k.Account, after, last, int64(actionBatch))
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := q.rekey(ctx, ids); err != nil {
			return err
		}
	}
}

// rekey puts waiting and held recipients, at most actionBatch, into the lanes
// that the routes now say.
func (q *Queue) rekey(ctx context.Context, ids []int64) error {
	w := q.ways(ctx)
	if w == nil {
		return nil
	}
	var move map[string][]int64
	var lanes map[dispatch.Lane]time.Time
	err := q.Store.Read(ctx, func(tx *store.Tx) (err error) {
		move, lanes, err = q.misplaced(tx, w, ids)
		return err
	})
	if err != nil || len(move) == 0 {
		return err
	}
	return q.Store.Write(ctx, func(tx *store.Tx) error {
		for dest, ids := range move {
			list, args := inList(ids)
			_, err := tx.Exec(`UPDATE recipients SET dest = ? WHERE state IN (0, 2) AND id IN `+list, append([]any{dest}, args...)...)
			if err != nil {
				return err
			}
		}
		return lowerLanes(tx, lanes)
	})
}

// misplaced finds the recipients that wait for another than they should, and
// the lanes that they belong to.
func (q *Queue) misplaced(tx *store.Tx, w *route.Ways, ids []int64) (map[string][]int64, map[dispatch.Lane]time.Time, error) {
	move, lanes := map[string][]int64{}, map[dispatch.Lane]time.Time{}
	list, args := inList(ids)
	return move, lanes, tx.Each(func(rs store.Row) error {
		var r Entry
		var env delivery.Envelope
		if err := rs.Scan(&r.ID, &r.domain, &r.contact, &r.Attempts, &env.Need, &env.Transport, &env.Purpose, &env.Sender, &env.Account); err != nil {
			return err
		}
		r.parse()
		if to := contactOf(w, &env, &r, r.Attempts); to != r.contact {
			move[to] = append(move[to], r.ID)
			lanes[dispatch.Lane{To: dispatch.Contact{Name: to}, Account: env.Account}] = q.Now()
		}
		return nil
	}, `SELECT r.id, r.domain, r.dest, r.attempts, COALESCE(r.need, m.need), COALESCE(r.via, m.transport), m.purpose, m.sender, r.account
		FROM recipients r JOIN messages m ON m.id = r.message WHERE r.state IN (0, 2) AND r.local = 0 AND r.id IN `+list, args...)
}
