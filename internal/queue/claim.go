package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// attendBatch bounds the rows that one claim takes for being looked at.
const attendBatch = 100

// claiming is one claim on its way.
type claiming struct {
	q     *Queue
	tx    *store.Tx
	lease spool.Lease
	now   time.Time
	room  int
	rows  []spool.Entry
	early map[int64]time.Time // when those are due that are only looked at, by identifier
	more  bool                // there is more due that found no room

	round       *dispatch.Round[*job] // nil: no lane was asked
	lastAccount string                // whose lanes were asked for last
}

// newLease is a lease of this machine from now on.
func (q *Queue) newLease(number int64, now time.Time) spool.Lease {
	return spool.Lease{Owner: q.Owner, Number: number, End: now.Add(q.Lease)}
}

// claim leases up to limit due recipients to this machine (and the rest of their
// messages' recipients), under a number, and returns them as jobs. What comes first: leases
// that ran out, delays to be told and times that are over, then lanes in turn. more says
// that another claim would find more at once.
func (q *Queue) claim(ctx context.Context, number int64, limit int) (jobs []*job, more bool, err error) {
	c := &claiming{q: q, now: q.Now()}
	c.lease = q.newLease(number, c.now)
	var expired []spool.Entry
	var envs map[int64]delivery.Envelope
	err = q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		c.tx, c.rows, c.early, c.room, c.more, c.round, c.lastAccount = tx, nil, nil, limit, false, nil, q.lastAccount
		if expired, err = c.lease.TakeExpired(tx, c.now, c.room); err != nil {
			return err
		}
		c.took(expired)
		if err := c.attend(); err != nil {
			return err
		}
		if err := c.lanes(); err != nil {
			return err
		}
		envs, err = spool.Envelopes(tx, c.rows)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim due messages: %w", err)
	}
	q.lastAccount = c.lastAccount
	if c.round != nil {
		c.round.Commit()
	}
	if len(expired) > 0 {
		q.Log.Warn("took over recipients whose lease had run out", "recipients", len(expired))
	}
	jobs, gone := strays(q.ways(ctx), q.jobs(c.rows, envs, c.lease, c.early))
	q.giveBack(context.WithoutCancel(ctx), gone, c.now)
	return jobs, c.more || len(gone) > 0, nil
}

// took counts rows that were leased.
func (c *claiming) took(rows []spool.Entry) {
	c.rows = append(c.rows, rows...)
	c.room -= len(rows)
	c.more = c.more || c.room <= 0
}

// attend claims rows whose sender has to hear of a delay, or whose time is over,
// and which are not going to be tried now.
func (c *claiming) attend() error {
	if c.room <= 0 {
		return nil
	}
	found, err := spool.Attend(c.tx, c.now, min(c.room, attendBatch))
	if err != nil || len(found) == 0 {
		return err
	}
	contacts, ids := make([]delivery.Contact, len(found)), make([]int64, len(found))
	for i, f := range found {
		contacts[i], ids[i] = f.To, f.ID
	}
	closings, err := spool.Closings(c.tx, dispatch.WithWays(contacts))
	if err != nil {
		return err
	}
	c.early = map[int64]time.Time{}
	for _, f := range found {
		if f.Due.After(c.now) || !dispatch.ClosedUntil(closings, f.To, c.now).IsZero() {
			c.early[f.ID] = f.Due
		}
	}
	rows, err := c.lease.TakeWaiting(c.tx, ids)
	c.took(rows)
	c.more = c.more || len(found) == attendBatch
	return err
}

// lanes claims what is due, in turn.
func (c *claiming) lanes() error {
	wanted := spool.Wanted{Most: dispatch.AccountLanes}
	wanted.Contacts, wanted.Accounts = c.q.board.Wanted()
	found, err := spool.DueLanes(c.tx, wanted, c.lastAccount, c.now)
	if err != nil || len(found.Lanes) == 0 {
		return err
	}
	c.lastAccount = found.Account
	contacts := make([]delivery.Contact, len(found.Lanes))
	for i, l := range found.Lanes {
		contacts[i] = l.To
	}
	closings, err := spool.Closings(c.tx, dispatch.WithWays(contacts))
	if err != nil {
		return err
	}
	round, blocked := c.q.board.Round(found.Lanes, closings, c.room, c.now)
	c.round = round
	if err := setNext(c.tx, blocked); err != nil {
		return err
	}
	var ids []int64
	for asked := round.Ask(); len(asked) > 0; asked = round.Ask() {
		some, err := c.choose(asked)
		if err != nil {
			return err
		}
		ids = append(ids, some...)
	}
	rows, err := c.lease.TakeWaiting(c.tx, ids)
	if err != nil {
		return err
	}
	c.took(rows)
	c.room = round.Room // the rest travels with recipients that were counted
	turns := round.End(len(rows) < len(ids))
	c.more = c.more || found.Full || round.More
	return setNext(c.tx, turns)
}

// setNext writes down when the lanes of some turns are looked at again.
func setNext(tx *store.Tx, turns []*dispatch.Turn) error {
	lanes := make([]spool.LaneAt, len(turns))
	for i, t := range turns {
		lanes[i] = spool.LaneAt{Lane: t.Lane, Next: t.Next}
	}
	return spool.SetNext(tx, lanes)
}

// choose reads the first rows of the lanes that are asked, and one more of each, which says
// when to look again. It returns those that are claimed, and all that travel with the last
// of them (QUE-1).
func (c *claiming) choose(asked []*dispatch.Turn) (ids []int64, err error) {
	asks := make([]spool.Ask, len(asked))
	for i, t := range asked {
		asks[i] = spool.Ask{Lane: t.Lane, Most: t.Most + 1}
	}
	err = spool.FirstWaiting(c.tx, asks, func(i int, id int64, due time.Time) {
		asked[i].Rows = append(asked[i].Rows, dispatch.Row{ID: id, Due: due})
	})
	if err != nil {
		return nil, err
	}
	for _, t := range asked {
		some, last := c.round.Choose(t)
		ids = append(ids, some...)
		if last == nil {
			continue
		}
		rest, err := spool.Rest(c.tx, t.Lane, last.ID, last.Due)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		if len(rest) > 0 {
			c.round.Parted(t)
		}
		ids = append(ids, rest...)
	}
	return ids, nil
}

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
	err := l.q.Store.Write(ctx, func(tx *store.Tx) error { return spool.Extend(tx, l.ids, l.number, end) })
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
			q.Log.Warn("lease not renewed", "message", delivery.ID(j.ID), "error", err)
			answered = answered && errors.Is(err, spool.ErrLeaseLost)
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
		due := spool.Due{}
		for _, j := range jobs {
			for i := range j.rows {
				e := &j.rows[i]
				if err := e.GiveBack(tx, j.lease.number, cmp.Or(j.early[e.ID], now), due); err != nil {
					return err
				}
			}
		}
		return due.Write(tx)
	})
	if err != nil {
		q.Log.Error("leases not given back, will try again", "jobs", len(jobs), "error", err)
	}
}
