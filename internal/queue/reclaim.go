package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// reclaimEvery is how often the leases of this machine are held against what it knows.
const reclaimEvery = time.Minute

// counted is a set whose members may be in it more than once.
type counted[K comparable] struct {
	mu sync.Mutex
	n  map[K]int
}

// leasedRow is a recipient under one lease.
type leasedRow struct{ id, claim int64 }

// put has k in it until end is called.
func (c *counted[K]) put(k K) (end func()) {
	c.add(k, 1)
	return func() { c.add(k, -1) }
}

func (c *counted[K]) add(k K, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[K]int{}
	}
	if c.n[k] += by; c.n[k] <= 0 {
		delete(c.n, k)
	}
}

func (c *counted[K]) has(k K) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[k] > 0
}

// reclaimer runs reclaim now and then.
func (q *Queue) reclaimer(ctx context.Context) {
	q.every(ctx, reclaimEvery, func(ctx context.Context) {
		if err := q.reclaim(ctx); err != nil && ctx.Err() == nil {
			q.Log.Error("leases that nobody works on stay as they are for now", "error", err)
		}
	})
}

// reclaim makes due what this machine has leased and knows nothing of (QUE-2): it was
// restarted, or the answer to a commit was lost, or a lease could not be given
// back. Nobody else may run under the same Owner.
func (q *Queue) reclaim(ctx context.Context) error {
	lost, err := store.Read(ctx, q.Store, func(tx *store.Tx) ([]spool.LeasedRow, error) { return q.lost(tx, "") })
	if err == nil && len(lost) > 0 {
		err = q.Store.Write(ctx, func(tx *store.Tx) (err error) {
			if lost, err = q.lost(tx, tx.Lock()); err != nil {
				return err
			}
			return spool.Release(tx, lost, q.Now())
		})
	}
	if err != nil {
		return fmt.Errorf("release the leases that nobody works on: %w", err)
	}
	if len(lost) > 0 {
		q.Log.Info("released leases that nobody works on: the server was restarted, or the store did not answer", "recipients", len(lost))
		q.Wake()
	}
	return nil
}

// lost are the rows that this machine has leased and knows nothing of. What it knows
// is looked at after the rows: a lease is known before it is written.
func (q *Queue) lost(tx *store.Tx, lock string) ([]spool.LeasedRow, error) {
	out, err := spool.LeasedBy(tx, q.Owner, lock)
	if err != nil {
		return nil, err
	}
	onBoard := map[leasedRow]bool{}
	for _, j := range q.board.Jobs() {
		for _, id := range j.lease.ids {
			onBoard[leasedRow{id, j.lease.number}] = true
		}
	}
	return slices.DeleteFunc(out, func(r spool.LeasedRow) bool {
		at := leasedRow{r.ID, r.Claim}
		return onBoard[at] || q.claims.has(r.Claim) || q.settling.has(at)
	}), nil
}
