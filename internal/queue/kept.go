package queue

import (
	"context"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/outcomes"
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
	var j *job
	for pause := settlePause; ; pause = min(2*pause, longestWait) {
		var err error
		if j, err = q.jobOf(ctx, o); err == nil {
			break
		}
		q.Log.Error("cannot read the message of a kept outcome, will try again", "message", LogID(o.Message), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	if j == nil {
		q.outcomes.Settled()
		return
	}
	q.Log.Info("settling what the last run could not", "message", LogID(o.Message), "recipients", len(j.rows))
	s := q.settlement(j, &o.Result, o.Stopped)
	s.kept = true
	s.run(context.WithoutCancel(ctx))
}

// jobOf is the job whose outcome was kept; nil where its lease is no more.
func (q *Queue) jobOf(ctx context.Context, o outcomes.Outcome) (*job, error) {
	var rows []Entry
	var envs map[int64]delivery.Envelope
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		rows = nil
		err := eachIn(o.Recipients, func(list string, args []any) error {
			some, err := store.Collect(tx, scanClaimed, `SELECT `+entryColumns+` FROM recipients WHERE state = 1 AND claim = ? AND id IN `+list, append([]any{o.Claim}, args...)...)
			rows = append(rows, some...)
			return err
		})
		if err == nil {
			envs, err = envelopes(tx, rows)
		}
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return q.newJob(envs[o.Message], rows, o.Claim, q.Now().Add(q.Lease)), nil
}
