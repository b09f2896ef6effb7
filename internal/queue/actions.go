package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

// Changed is what an action came to (QUE-6).
type Changed struct {
	Done int // recipients changed
	Busy int // that match, but are being tried right now: ask again when they are done
}

// actionBatch is how many recipients one transaction changes.
const actionBatch = 256

// Words of what an operator did, as reasons of a recipient's state.
const (
	wordHeld     = "held"
	wordHoldRule = "hold-rule"
	wordReleased = "released" // no hold rule holds it before its next attempt
	wordFailed   = "failed-by-operator"
	wordDropped  = "dropped"
)

// Hold keeps waiting recipients from being tried until they are released.
func (q *Queue) Hold(ctx context.Context, f Filter, why string) (Changed, error) {
	return q.act(ctx, f, []State{Waiting}, func(ids []int64) (int, error) {
		return q.update(ctx, ids, `UPDATE recipients SET state = 2, word = ?, text = ? WHERE state = 0 AND id IN `, wordHeld, clean(why))
	})
}

// Unhold lets held recipients go on as if they had waited; the time allowed for
// their delivery went on meanwhile. Rules that would hold them again are not
// asked before the next attempt.
func (q *Queue) Unhold(ctx context.Context, f Filter) (Changed, error) {
	return q.act(ctx, f, []State{Held}, func(ids []int64) (int, error) {
		return q.waken(ctx, ids, Held, `UPDATE recipients SET state = 0, word = ?, text = '' WHERE state = 2 AND id IN `, wordReleased)
	})
}

// Retry makes waiting recipients due now, also where their destination is
// closed or their release lies ahead.
func (q *Queue) Retry(ctx context.Context, f Filter) (Changed, error) {
	return q.act(ctx, f, []State{Waiting}, func(ids []int64) (int, error) {
		return q.waken(ctx, ids, Waiting, `UPDATE recipients SET due = ? WHERE state = 0 AND id IN `, store.Time(q.Now()))
	})
}

// SetNeed changes what transport security waiting and held recipients ask for.
func (q *Queue) SetNeed(ctx context.Context, f Filter, need delivery.TLSNeed) (Changed, error) {
	if need > delivery.TLSOptional {
		return Changed{}, errors.New("unknown TLS need")
	}
	return q.act(ctx, f, []State{Waiting, Held}, func(ids []int64) (int, error) {
		return q.redirect(ctx, ids, `UPDATE recipients SET need = ? WHERE state IN (0, 2) AND id IN `, int64(need))
	})
}

// SetTransport changes the transport of waiting and held recipients; "" lets
// the routes choose. Whether there is one of that name, the caller knows.
func (q *Queue) SetTransport(ctx context.Context, f Filter, name string) (Changed, error) {
	return q.act(ctx, f, []State{Waiting, Held}, func(ids []int64) (int, error) {
		return q.redirect(ctx, ids, `UPDATE recipients SET via = ? WHERE state IN (0, 2) AND id IN `, name)
	})
}

// Fail gives up waiting and held recipients; their senders are told as after
// any failure, with why as the reason.
func (q *Queue) Fail(ctx context.Context, f Filter, why string) (Changed, error) {
	return q.act(ctx, f, []State{Waiting, Held}, func(ids []int64) (int, error) {
		return q.end(ctx, ids, wordFailed, cmp.Or(clean(why), "the postmaster of this server stopped the delivery"))
	})
}

// Drop gives up waiting and held recipients without a word to anybody.
func (q *Queue) Drop(ctx context.Context, f Filter) (Changed, error) {
	return q.act(ctx, f, []State{Waiting, Held}, func(ids []int64) (int, error) {
		return q.end(ctx, ids, wordDropped, "taken out of the queue")
	})
}

// act finds the recipients that f means and that are in one of states, and lets
// do change them, a batch at a time. What waits in memory goes back first.
func (q *Queue) act(ctx context.Context, f Filter, states []State, do func(ids []int64) (int, error)) (Changed, error) {
	q.setup()
	q.giveBack(ctx, q.board.RecallAll(), q.Now())
	defer q.Wake()
	var c Changed
	var ids []int64
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		ids, c.Busy = nil, 0
		for _, s := range f.states() {
			found, err := f.ids(tx, s)
			if err != nil {
				return err
			}
			switch {
			case s == Leased:
				c.Busy = len(found)
			case slices.Contains(states, s):
				ids = append(ids, found...)
			}
		}
		return nil
	})
	for err == nil && len(ids) > 0 {
		n := min(len(ids), actionBatch)
		var done int
		done, err = do(ids[:n])
		c.Done += done
		ids = ids[n:]
	}
	if err != nil {
		return c, fmt.Errorf("change the queue, %d recipients done: %w", c.Done, err)
	}
	return c, nil
}

// ids are all that match: 8 octets each.
func (f Filter) ids(tx *store.Tx, s State) ([]int64, error) {
	where, args := f.where(s)
	return store.Column[int64](tx, `SELECT r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE `+where, args...)
}

func (q *Queue) update(ctx context.Context, ids []int64, stmt string, args ...any) (int, error) {
	var n int64
	err := q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		list, more := inList(ids)
		n, err = tx.Exec(stmt+list, slices.Concat(args, more)...)
		return err
	})
	return int(n), err
}

// redirect is update where the routes may then choose another way.
func (q *Queue) redirect(ctx context.Context, ids []int64, stmt string, args ...any) (int, error) {
	n, err := q.update(ctx, ids, stmt, args...)
	if err == nil {
		err = q.rekey(ctx, ids)
	}
	return n, err
}

// waken changes rows so that they wait and are looked at now.
func (q *Queue) waken(ctx context.Context, ids []int64, from State, stmt string, args ...any) (int, error) {
	var n int64
	now := q.Now()
	if err := q.rekey(ctx, ids); err != nil { // first: what is opened are the contacts that they have now
		return 0, err
	}
	err := q.Store.Write(ctx, func(tx *store.Tx) error {
		list, more := inList(ids)
		lanes, err := store.Collect(tx, scanLane, `SELECT DISTINCT `+laneColumns+` FROM recipients WHERE state = ? AND id IN `+list,
			append([]any{int64(from)}, more...)...)
		if err != nil {
			return err
		}
		if n, err = tx.Exec(stmt+list, slices.Concat(args, more)...); err != nil {
			return err
		}
		due := map[dispatch.Lane]time.Time{}
		for _, l := range lanes {
			due[l] = now
			if from != Waiting {
				continue
			}
			for _, name := range dispatch.WithWays([]dispatch.Contact{l.To}) {
				if err := open(tx, dispatch.Contact{Name: name, Local: l.To.Local}); err != nil {
					return err
				}
			}
		}
		return lowerLanes(tx, due)
	})
	return int(n), err
}

// end leases rows, as for an attempt, and settles them as failed.
func (q *Queue) end(ctx context.Context, ids []int64, word delivery.Reason, text string) (int, error) {
	number, now := store.NewID(), q.Now()
	defer q.claims.put(number)()
	lease := now.Add(q.Lease)
	var rows []Entry
	var envs map[int64]delivery.Envelope
	err := q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		list, args := inList(ids)
		rows, err = store.Collect(tx, scanClaimed, `UPDATE recipients SET state = 1, owner = ?, claim = ?, due = ?
			WHERE id IN (SELECT id FROM recipients WHERE state IN (0, 2) AND id IN `+list+tx.Lock()+returned,
			append([]any{q.Owner, number, store.Time(lease)}, args...)...)
		if err != nil {
			return err
		}
		envs, err = envelopes(tx, rows)
		return err
	})
	if err != nil {
		return 0, err
	}
	done := 0
	for _, j := range q.jobs(rows, envs, number, lease) {
		j.operator, j.noNotice = true, word == wordDropped
		res := delivery.Result{Transport: "operator", Started: now, Ended: now, Recipients: j.all(delivery.Failed, word, text)}
		done += q.settle(context.WithoutCancel(ctx), j, &res, false)
	}
	return done, nil
}
