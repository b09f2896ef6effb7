package queue

import (
	"context"

	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// sweep removes what the history has kept long enough, and bodies that nobody holds.
func (q *Queue) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := store.Write(ctx, q.Store, q.sweepHistory)
		if err != nil {
			if ctx.Err() == nil {
				q.Log.Error("history not cleaned, will try again", "error", err)
			}
			return
		}
		if !more {
			break
		}
	}
	if err := q.bodies().Sweep(ctx); err != nil && ctx.Err() == nil {
		q.Log.Error("left-over bodies not removed, will try again", "error", err)
	}
	if err := q.Store.Write(ctx, func(tx *store.Tx) error { return spool.ForgetClosed(tx, q.Now()) }); err != nil && ctx.Err() == nil {
		q.Log.Error("closed destinations that nothing waits for not forgotten, will try again", "error", err)
	}
	if err := q.openMisdated(ctx); err != nil && ctx.Err() == nil {
		q.Log.Error("destinations closed by a wrong clock not opened, will try again", "error", err)
	}
}

// sweepHistory removes some of what was kept long enough; more says that there is more.
func (q *Queue) sweepHistory(tx *store.Tx) (more bool, err error) {
	return spool.SweepHistory(tx, q.Now().Add(-max(q.History, 0)))
}

// openMisdated opens destinations that were closed by a machine whose clock was wrong.
func (q *Queue) openMisdated(ctx context.Context) error {
	opened, err := store.Write(ctx, q.Store, func(tx *store.Tx) (int, error) { return spool.OpenMisdated(tx, q.Now()) })
	if err == nil && opened > 0 {
		q.Log.Warn("opened destinations that were closed for longer than they can be: was the clock of a machine wrong?", "destinations", opened)
		q.Wake()
	}
	return err
}
