package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

// A claim is written before anything is dialled (QUE-2). "state = 0" and "state
// = 1" name the partial indexes.
const (
	claimSet = `UPDATE recipients SET state = 1, owner = ?, claim = ?, due = ?, attempts = attempts + 1 WHERE id IN (`
	// Of rows whose owner let the lease run out because it crashed or lost its database.
	claimExpired = claimSet + `SELECT id FROM recipients WHERE state = 1 AND due <= ? ORDER BY due, id LIMIT ?`
	// Of rows by their identifiers.
	claimIDs = claimSet + `SELECT id FROM recipients WHERE state = 0 AND id IN `
	// attention are rows that wait for too long without being due.
	attention = `SELECT id, dest, local, due FROM recipients WHERE state = 0 AND attend <= ? ORDER BY attend LIMIT ?`
	returned  = `) RETURNING ` + entryColumns
)

// attendBatch bounds the rows that one claim takes for being looked at.
const attendBatch = 100

// claiming is one claim on its way.
type claiming struct {
	q      *Queue
	tx     *store.Tx
	number int64
	now    time.Time
	end    time.Time
	room   int
	rows   []Entry
	more   bool // there is more due that found no room

	round       *dispatch.Round[*job] // nil: no lane was asked
	lastAccount string                // whose lanes were asked for last
}

// claim leases up to limit due recipients to this machine (and the rest of their
// messages' recipients) and returns them as jobs. What comes first: leases that ran out,
// delays to be told and times that are over, then lanes in turn. more says that
// another claim would find more at once.
func (q *Queue) claim(ctx context.Context, limit int) (jobs []*job, more bool, err error) {
	return q.claimAs(ctx, store.NewID(), limit)
}

// claimAs is claim under a number that is given.
func (q *Queue) claimAs(ctx context.Context, number int64, limit int) (jobs []*job, more bool, err error) {
	c := &claiming{q: q, number: number, now: q.Now()}
	c.end = c.now.Add(q.Lease)
	var expired int
	var envs map[int64]delivery.Envelope
	err = q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		c.tx, c.rows, c.room, c.more, c.round, c.lastAccount = tx, nil, limit, false, nil, q.lastAccount
		if expired, err = c.take(claimExpired, store.Time(c.now), int64(c.room)); err != nil {
			return err
		}
		if err := c.attend(); err != nil {
			return err
		}
		if err := c.lanes(); err != nil {
			return err
		}
		envs, err = envelopes(tx, c.rows)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim due messages: %w", err)
	}
	q.lastAccount = c.lastAccount
	if c.round != nil {
		c.round.Commit()
	}
	if expired > 0 {
		q.Log.Warn("took over recipients whose lease had run out", "recipients", expired)
	}
	jobs, gone := strays(q.ways(ctx), q.jobs(c.rows, envs, c.number, c.end))
	q.giveBack(context.WithoutCancel(ctx), gone, c.now)
	return jobs, c.more || len(gone) > 0, nil
}

// take claims rows by a statement.
func (c *claiming) take(stmt string, args ...any) (int, error) {
	rows, err := store.Collect(c.tx, scanClaimed, stmt+c.tx.Lock()+returned, append([]any{c.q.Owner, c.number, store.Time(c.end)}, args...)...)
	c.rows = append(c.rows, rows...)
	c.room -= len(rows)
	c.more = c.more || c.room <= 0
	return len(rows), err
}

// takeIDs claims rows that wait, by their identifiers.
func (c *claiming) takeIDs(ids []int64) error {
	return eachIn(ids, func(list string, args []any) error {
		_, err := c.take(claimIDs+list, args...)
		return err
	})
}

// attend claims rows whose sender has to hear of a delay, or whose time is over,
// and which are not going to be tried now.
func (c *claiming) attend() error {
	if c.room <= 0 {
		return nil
	}
	type found struct {
		id  int64
		to  dispatch.Contact
		due time.Time
	}
	all, err := store.Collect(c.tx, func(r store.Row) (f found, err error) {
		err = r.Scan(&f.id, &f.to.Name, &f.to.Local, timeInto{&f.due})
		return f, err
	}, attention+c.tx.Lock(), store.Time(c.now), int64(min(c.room, attendBatch)))
	if err != nil || len(all) == 0 {
		return err
	}
	contacts, ids := make([]dispatch.Contact, len(all)), make([]int64, len(all))
	for i, f := range all {
		contacts[i], ids[i] = f.to, f.id
	}
	closed, err := closings(c.tx, contacts)
	if err != nil {
		return err
	}
	due := map[int64]time.Time{} // of those that are only looked at
	for _, f := range all {
		if f.due.After(c.now) || !dispatch.ClosedUntil(closed, f.to, c.now).IsZero() {
			due[f.id] = f.due
		}
	}
	from := len(c.rows)
	if err := c.takeIDs(ids); err != nil {
		return err
	}
	for i := range c.rows[from:] {
		r := &c.rows[from+i]
		r.dueBefore = due[r.ID]
	}
	c.more = c.more || len(all) == attendBatch
	return nil
}

// errLeaseLost says that another owner may be at work on the job.
var errLeaseLost = errors.New("the lease is lost: another machine may be delivering this message")

// lease is a job's hold on its rows.
type lease struct {
	q      *Queue
	ids    []int64
	number int64

	mu  sync.Mutex
	end time.Time // as stored
}

// Extend implements delivery.Lease. It writes only if the lease ends too soon.
func (l *lease) Extend(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.q.Now()
	if !l.end.Before(now.Add(d)) {
		return nil
	}
	end := now.Add(max(d, l.q.Lease))
	err := l.q.Store.Write(ctx, func(tx *store.Tx) error {
		for _, id := range l.ids {
			n, err := tx.Exec(`UPDATE recipients SET due = ? WHERE id = ? AND claim = ? AND state = 1`, store.Time(end), id, l.number)
			if err != nil {
				return err
			}
			if n == 0 {
				return errLeaseLost
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("extend the lease: %w", err)
	}
	l.end = end
	return nil
}

// renew extends the leases of all jobs in memory that have less than half their
// time left. It reports whether the store answered.
func (q *Queue) renew(ctx context.Context) bool {
	answered := true
	for _, j := range q.board.Jobs() {
		if err := j.lease.Extend(ctx, q.Lease/2); err != nil {
			q.Log.Warn("lease not renewed", "message", LogID(j.ID), "error", err)
			answered = answered && errors.Is(err, errLeaseLost)
		}
	}
	return answered
}

// giveBack returns jobs that were not started: they are due again and the attempt
// does not count. If that fails, reclaim releases them.
func (q *Queue) giveBack(ctx context.Context, jobs []*job, now time.Time) {
	if len(jobs) == 0 {
		return
	}
	for _, j := range jobs {
		defer q.claims.put(j.lease.number)()
	}
	err := q.Store.Write(ctx, func(tx *store.Tx) error {
		due := map[dispatch.Lane]time.Time{}
		for _, j := range jobs {
			if err := unclaim(tx, j, now, due); err != nil {
				return err
			}
		}
		return lowerLanes(tx, due)
	})
	if err != nil {
		q.Log.Error("leases not given back, will try again", "jobs", len(jobs), "error", err)
	}
}

func unclaim(tx *store.Tx, j *job, now time.Time, due map[dispatch.Lane]time.Time) error {
	for _, r := range j.rows {
		at := now
		if j.noAttempt {
			at = r.dueBefore
		}
		_, err := tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, attempts = attempts - 1, due = ?, dest = ?
			WHERE id = ? AND claim = ? AND state = 1`, store.Time(at), r.contact, r.ID, j.lease.number)
		if err != nil {
			return err
		}
		earlier(due, r.lane(), at)
	}
	return nil
}
