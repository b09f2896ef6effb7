package queue

import (
	"fmt"
	"strings"

	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

// What a claim asks of lanes. All of it goes down an index whatever its statistics
// say, and asks many lanes at once: on PostgreSQL each statement is a round trip.
const (
	// pickLane are the first waiting rows of a lane, read from the index alone.
	pickLane = `SELECT lane, id, due FROM (SELECT %d AS lane, id, due FROM recipients
		WHERE state = 0 AND dest = ? AND local = ? AND account = ? ORDER BY due, id LIMIT ?) AS l`
	// pickRest are the rows that wait in a lane for the same moment, behind one.
	pickRest = `SELECT id, message FROM recipients WHERE state = 0 AND dest = ? AND local = ? AND account = ? AND due = ? AND id >= ? ORDER BY id LIMIT ?`
)

// restBatch bounds the recipients that travel with one that was in turn.
const restBatch = 200

// lanes claims what is due, in turn.
func (c *claiming) lanes() error {
	lanes, full, err := c.candidates()
	if err != nil || len(lanes) == 0 {
		return err
	}
	contacts := make([]dispatch.Contact, len(lanes))
	for i, l := range lanes {
		contacts[i] = l.To
	}
	closed, err := closings(c.tx, contacts)
	if err != nil {
		return err
	}
	round, blocked := c.q.board.Round(lanes, closed, c.room, c.now)
	c.round = round
	if err := setNext(c.tx, blocked); err != nil {
		return err
	}
	var ids []int64
	for asked := round.Ask(); len(asked) > 0; asked = round.Ask() {
		if err := eachList(asked, c.pick); err != nil {
			return err
		}
		for _, t := range asked {
			some, err := c.choose(round, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			ids = append(ids, some...)
		}
	}
	from := len(c.rows)
	if err := c.takeIDs(ids); err != nil {
		return err
	}
	c.room = round.Room // the rest travels with recipients that were counted
	turns := round.End(len(c.rows)-from < len(ids))
	c.more = c.more || full || round.More
	return setNext(c.tx, turns)
}

// pick reads the first rows of each lane, and one more, which says when to look again.
func (c *claiming) pick(turns []*dispatch.Turn) error {
	var q strings.Builder
	args := make([]any, 0, 4*len(turns))
	for i, t := range turns {
		if i > 0 {
			q.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&q, pickLane, i)
		args = append(args, t.To.Name, t.To.Local, t.Account, int64(t.Most+1))
	}
	return c.tx.Each(func(r store.Row) error {
		var lane int
		var w dispatch.Row
		err := r.Scan(&lane, &w.ID, timeInto{&w.Due})
		if err == nil {
			turns[lane].Rows = append(turns[lane].Rows, w)
		}
		return err
	}, q.String(), args...)
}

// choose is the rows of a lane that are claimed, and all that travel with the last of
// them (QUE-1).
func (c *claiming) choose(round *dispatch.Round[*job], t *dispatch.Turn) ([]int64, error) {
	ids, last := round.Choose(t)
	if last == nil {
		return ids, nil
	}
	rest, err := c.rest(t, last)
	if err == nil && len(rest) > 0 {
		round.Parted(t)
	}
	return append(ids, rest...), err
}

// rest finds the recipients that the limit has parted from one of the same
// message: they wait in the same lane for the same moment.
func (c *claiming) rest(t *dispatch.Turn, last *dispatch.Row) (out []int64, err error) {
	var message int64
	err = c.tx.Each(func(r store.Row) error {
		var id, of int64
		err := r.Scan(&id, &of)
		switch {
		case id == last.ID:
			message = of
		case of == message:
			out = append(out, id)
		}
		return err
	}, pickRest, t.To.Name, t.To.Local, t.Account, store.Time(last.Due), last.ID, int64(restBatch))
	return out, err
}
