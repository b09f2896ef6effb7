package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// Changed is what an action came to (QUE-6).
type Changed struct {
	Done int // recipients changed
	Busy int // that match, but are being tried right now: ask again when they are done
}

// Hold keeps waiting recipients from being tried until they are released.
func (q *Queue) Hold(ctx context.Context, f spool.Filter, why string) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		return store.Write(ctx, q.Store, func(tx *store.Tx) (int, error) { return spool.Hold(tx, ids, reason.Held, why) })
	}, spool.Waiting)
}

// Unhold lets held recipients go on as if they had waited; the time allowed for
// their delivery went on meanwhile. Rules that would hold them again are not
// asked before the next attempt.
func (q *Queue) Unhold(ctx context.Context, f spool.Filter) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		return q.waken(ctx, ids, spool.Held, func(tx *store.Tx) (int, error) { return spool.Unhold(tx, ids, reason.Released) })
	}, spool.Held)
}

// Retry makes waiting recipients due now, also where their destination is
// closed or their release lies ahead.
func (q *Queue) Retry(ctx context.Context, f spool.Filter) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		return q.waken(ctx, ids, spool.Waiting, func(tx *store.Tx) (int, error) { return spool.SetDue(tx, ids, q.Now()) })
	}, spool.Waiting)
}

// SetNeed changes what transport security waiting and held recipients ask for.
func (q *Queue) SetNeed(ctx context.Context, f spool.Filter, need delivery.TLSNeed) (Changed, error) {
	if need > delivery.TLSOptional {
		return Changed{}, errors.New("unknown TLS need")
	}
	return q.redirect(ctx, f, func(tx *store.Tx, ids []int64) (int, error) { return spool.SetNeed(tx, ids, need) })
}

// SetTransport changes the transport of waiting and held recipients; "" lets
// the routes choose. Whether there is one of that name, the caller knows.
func (q *Queue) SetTransport(ctx context.Context, f spool.Filter, name string) (Changed, error) {
	return q.redirect(ctx, f, func(tx *store.Tx, ids []int64) (int, error) { return spool.SetTransport(tx, ids, name) })
}

// Fail gives up waiting and held recipients; their senders are told as after
// any failure, with why as the reason.
func (q *Queue) Fail(ctx context.Context, f spool.Filter, why string) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		return q.end(ctx, ids, reason.FailedByOperator, cmp.Or(spool.Clip(why), "the postmaster of this server stopped the delivery"))
	}, spool.Waiting, spool.Held)
}

// Drop gives up waiting and held recipients without a word to anybody.
func (q *Queue) Drop(ctx context.Context, f spool.Filter) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		return q.end(ctx, ids, reason.Dropped, "taken out of the queue")
	}, spool.Waiting, spool.Held)
}

// act finds the recipients that f means and that are in one of states, and lets
// do change them, a batch at a time. What waits in memory goes back first.
func (q *Queue) act(ctx context.Context, f spool.Filter, do func(ids []int64) (int, error), states ...spool.State) (Changed, error) {
	q.setup()
	q.giveBack(ctx, q.board.RecallAll(), q.Now())
	defer q.Wake()
	var c Changed
	var ids []int64
	err := q.Store.Read(ctx, func(tx *store.Tx) (err error) {
		ids, c.Busy, err = f.Find(tx, states...)
		return err
	})
	for len(ids) > 0 && err == nil {
		n := min(len(ids), spool.ActionBatch)
		var done int
		done, err = do(ids[:n])
		c.Done += done
		if err == nil {
			c.Busy += n - done // an attempt at them began since they were found
		}
		ids = ids[n:]
	}
	if err != nil {
		return c, fmt.Errorf("change the queue, %d recipients done: %w", c.Done, err)
	}
	return c, nil
}

// redirect changes waiting and held recipients, for which the routes may then choose
// another way.
func (q *Queue) redirect(ctx context.Context, f spool.Filter, fn func(tx *store.Tx, ids []int64) (int, error)) (Changed, error) {
	return q.act(ctx, f, func(ids []int64) (int, error) {
		n, err := store.Write(ctx, q.Store, func(tx *store.Tx) (int, error) { return fn(tx, ids) })
		if err == nil {
			err = q.rekey(ctx, ids)
		}
		return n, err
	}, spool.Waiting, spool.Held)
}

// waken changes rows so that they wait and are looked at now.
func (q *Queue) waken(ctx context.Context, ids []int64, from spool.State, fn func(tx *store.Tx) (int, error)) (int, error) {
	if err := q.rekey(ctx, ids); err != nil { // first: what is opened are the contacts that they have now
		return 0, err
	}
	return store.Write(ctx, q.Store, func(tx *store.Tx) (int, error) {
		lanes, err := spool.LanesOf(tx, ids, from)
		if err != nil {
			return 0, err
		}
		n, err := fn(tx)
		if err != nil {
			return 0, err
		}
		due := spool.Due{}
		for _, l := range lanes {
			due.At(l, q.Now())
			if from != spool.Waiting {
				continue
			}
			for _, c := range dispatch.WithWays([]delivery.Contact{l.To}) {
				if err := spool.Open(tx, c); err != nil {
					return 0, err
				}
			}
		}
		return n, due.Write(tx)
	})
}

// end leases rows, as for an attempt, and settles them as failed.
func (q *Queue) end(ctx context.Context, ids []int64, word reason.Word, text string) (int, error) {
	now := q.Now()
	lease := q.newLease(store.NewID(), now)
	defer q.claims.put(lease.Number)()
	var rows []spool.Entry
	var envs map[int64]delivery.Envelope
	err := q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if rows, err = lease.TakeStopped(tx, ids); err != nil {
			return err
		}
		envs, err = spool.Envelopes(tx, rows)
		return err
	})
	if err != nil {
		return 0, err
	}
	done := 0
	for _, j := range q.jobs(rows, envs, lease, nil) {
		j.operator, j.noNotice = true, word == reason.Dropped
		res := delivery.Result{Transport: "operator", Started: now, Ended: now, Recipients: j.all(delivery.Failed, word, text)}
		done += q.settle(context.WithoutCancel(ctx), j, &res, false)
	}
	return done, nil
}
