package queue

import (
	"context"

	"waxwing/internal/delivery"
	"waxwing/internal/outcomes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// openOutcomes opens the file of outcomes and says what it holds. Their leases are
// not released, and nothing is claimed until settleKept has been through them all.
func (q *Queue) openOutcomes() []outcomes.Outcome {
	if q.Outcomes == "" {
		return nil
	}
	file, list, err := outcomes.Open(q.Outcomes)
	if err != nil {
		q.Log.Error("no file for outcomes that the store does not take", "error", err)
		return nil
	}
	q.outcomes = file
	if file.Bad > 0 {
		q.Log.Error("outcomes that the last run could not store cannot be read: their messages will be tried again", "file", q.Outcomes, "outcomes", file.Bad)
	}
	q.board.Await(len(list))
	for _, o := range list {
		for _, id := range o.Recipients {
			q.settling.add(leasedRow{id, o.Claim}, 1)
		}
	}
	return list
}

// settleKept settles what the last run could not. What is settled already, or leased by
// another since, is left alone.
func (q *Queue) settleKept(ctx context.Context, o outcomes.Outcome) {
	defer func() {
		for _, id := range o.Recipients {
			q.settling.add(leasedRow{id, o.Claim}, -1)
		}
		if q.board.Await(-1) {
			q.goOn()
		}
	}()
	for range q.tries(ctx) {
		j, err := q.jobOf(ctx, o)
		switch {
		case err != nil:
			q.Log.Error("cannot read the message of a kept outcome, will try again", "message", delivery.ID(o.Message), "error", err)
			continue
		case j == nil:
			q.outcomes.Settled()
			return
		}
		q.Log.Info("settling what the last run could not", "message", delivery.ID(o.Message), "recipients", len(j.rows))
		s := q.settlement(j, &o.Result, o.Stopped)
		s.kept = true
		s.run(context.WithoutCancel(ctx))
		return
	}
}

// jobOf is the job whose outcome was kept; nil where its lease is no more.
func (q *Queue) jobOf(ctx context.Context, o outcomes.Outcome) (*job, error) {
	var rows []spool.Entry
	var envs map[int64]delivery.Envelope
	err := q.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if rows, err = spool.StillLeased(tx, o.Recipients, o.Claim); err == nil {
			envs, err = spool.Envelopes(tx, rows)
		}
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return q.newJob(envs[o.Message], rows, q.newLease(o.Claim, q.Now())), nil
}
