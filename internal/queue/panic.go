package queue

import (
	"context"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/panics"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// Nothing that one message does may end the server, or keep it busy for ever
// (OPS-9). A panic in an attempt defers the message, and with panics.Most of them
// it is returned to its sender. A message that panics in that too is held, for an
// operator to look at.

const textInternal = "an internal error of this server; it is in its log"

// attempt makes one attempt and contains its panics.
func (q *Queue) attempt(ctx context.Context, j *job) (res delivery.Result) {
	if q.Guard.Do(guard.Delivery, func() { res = q.try(ctx, j) }, j.attrs()...) {
		return res
	}
	outcome := delivery.Deferred
	if q.panicked(ctx, j) >= panics.Most {
		outcome = delivery.Failed
	}
	return delivery.Result{Recipients: j.all(outcome, reason.InternalError, textInternal)}
}

// contained performs a job, and gives it up after a panic outside of the attempt.
func (q *Queue) contained(j *job) {
	if !q.Guard.Do(guard.Queue, func() { q.perform(j) }, j.attrs()...) {
		q.Guard.Do(guard.Queue, func() { q.giveUp(q.attempts, j) }, j.attrs()...)
	}
}

// panicked counts a panic over a job; 0 where the store did not take the count.
func (q *Queue) panicked(ctx context.Context, j *job) int {
	unit := fmt.Sprintf("%d %s", j.ID, j.rows[0].DomainText)
	n, err := panics.Count(context.WithoutCancel(ctx), q.Store, guard.Delivery, unit, q.Now())
	if err != nil {
		q.Log.Error("a panic was not counted", "message", delivery.ID(j.ID), "error", err)
	}
	return n
}

// giveUp ends what perform could not bring to its end.
func (q *Queue) giveUp(ctx context.Context, j *job) {
	ctx = context.WithoutCancel(ctx)
	switch n := q.panicked(ctx, j); {
	case n < panics.Most:
		q.Log.Error("the message will be tried again within a minute or two", j.attrs()...)
	case n == panics.Most:
		now := q.Now()
		res := delivery.Result{Started: now, Ended: now, Recipients: j.all(delivery.Failed, reason.InternalError, textInternal)}
		j.operator = true // no attempt of this is told
		q.settle(ctx, j, &res, false)
	default:
		q.park(ctx, j, "neither delivering nor returning it works")
	}
}

// park holds a job that cannot be settled, by the simplest of statements. It reports
// whether the store took that.
func (q *Queue) park(ctx context.Context, j *job, why string) bool {
	held, err := store.Write(ctx, q.Store, func(tx *store.Tx) (int64, error) {
		return spool.Park(tx, j.lease.ids, j.lease.number, reason.InternalError, textInternal)
	})
	if err != nil {
		q.Log.Error("a message could not be held", append(j.attrs(), "error", err)...)
		return false
	}
	q.Log.Error("held: "+why+"; when the fault is mended, let it go on by \"waxwing queue unhold\"",
		append(j.attrs(), "recipients", held)...)
	return true
}
