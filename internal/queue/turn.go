package queue

import (
	"fmt"
	"strings"

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
	laneGone = `DELETE FROM lanes WHERE dest = ? AND local = ? AND account = ?`
)

// restBatch bounds the recipients that travel with one that was in turn.
const restBatch = 200

// turn is one lane in a claim.
type turn struct {
	laneKey
	most  int // recipients it may have
	rows  []picked
	taken int    // of rows
	next  *int64 // when to look again: nil, it is empty
}

// picked is a waiting row as the index knows it.
type picked struct{ id, due int64 }

// lanes claims what is due, in turn. What lanes did not have of their share goes
// to the others in another round.
func (c *claiming) lanes() error {
	open, allow, err := c.open()
	if err != nil {
		return err
	}
	var turns []*turn
	var ids []int64
	room := c.room
	for quantum := laneQuantum; len(open) > 0; quantum = 1 {
		asked, kept := share(open, portion(open, room, allow, quantum), allow)
		if err := c.pick(asked); err != nil {
			return err
		}
		for _, t := range asked {
			more, err := c.choose(t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.describe(), err)
			}
			ids = append(ids, more...)
			room -= t.taken
			allow[t.to] += t.most - t.taken
		}
		turns, open = append(turns, asked...), kept
		if len(asked) == 0 {
			break
		}
	}
	c.more = c.more || len(open) > 0 // their turn comes next
	from := len(c.rows)
	if err := c.takeIDs(ids); err != nil {
		return err
	}
	c.room = room // the rest travels with recipients that were counted
	c.look(turns, allow, len(c.rows)-from < len(ids))
	return c.setNext(turns)
}

// share parts the lanes into those that are asked for rows, or only for the time
// of their next one since their destination may have no more, and those for which
// there was no room.
func share(open []laneKey, most []int, allow map[destKey]int) (asked []*turn, kept []laneKey) {
	for i, k := range open {
		if most[i] == 0 && allow[k.to] > 0 {
			kept = append(kept, k)
			continue
		}
		asked = append(asked, &turn{laneKey: k, most: most[i]})
	}
	return asked, kept
}

// open are the lanes that this claim may choose from, and how many recipients it
// may give to each destination.
func (c *claiming) open() ([]laneKey, map[destKey]int, error) {
	cands, full, err := c.q.candidates(c.tx, store.Time(c.now))
	if err != nil || len(cands) == 0 {
		return nil, nil, err
	}
	keys := make([]destKey, len(cands))
	for i, k := range cands {
		keys[i] = k.to
	}
	shut, err := closedOf(c.tx, withWays(keys))
	if err != nil {
		return nil, nil, err
	}
	var blocked []*turn
	probes, granted := map[destKey]destKey{}, map[string]int{}
	allow, open := map[destKey]int{}, make([]laneKey, 0, len(cands))
	for _, k := range cands {
		c.told(shut, k.to)
		until := shutUntil(shut, k.to, c.now)
		if until.IsZero() && c.probed(probes, shut, k.to) {
			until = c.now.Add(laneTurn)
		}
		if !until.IsZero() {
			at := store.Time(until)
			blocked = append(blocked, &turn{laneKey: k, next: &at})
			continue
		}
		if _, ok := allow[k.to]; !ok {
			allow[k.to] = c.q.board.allowFor(k.to, k.account, granted[k.account])
			granted[k.account] += min(allow[k.to], laneQuantum)
			c.q.board.setMore(k.to, false)
		}
		open = append(open, k)
	}
	c.more = c.more || full
	return open, allow, c.setNext(blocked)
}

// told tells the board what the store knows of a destination and its way.
func (c *claiming) told(shut map[destKey]closed, k destKey) {
	d, known := shut[k]
	c.q.board.told(k, d, known)
	if w, ok := wayOf(k); ok {
		d, known = shut[w]
		c.q.board.told(w, d, known)
	}
}

// probed: the way to a destination is closed and due for a probe, which another
// destination behind it makes.
func (c *claiming) probed(probes map[destKey]destKey, shut map[destKey]closed, k destKey) bool {
	w, ok := wayOf(k)
	if !ok {
		return false
	}
	if _, dead := shut[w]; !dead {
		return false
	}
	if by, ok := probes[w]; ok {
		return by != k
	}
	probes[w] = k
	return c.q.board.allow(k) <= 0
}

// pick reads the first rows of each lane, and one more, which says when to look again.
func (c *claiming) pick(turns []*turn) error {
	return eachList(turns, c.pickSome)
}

func (c *claiming) pickSome(turns []*turn) error {
	var q strings.Builder
	args := make([]any, 0, 4*len(turns))
	for i, t := range turns {
		if i > 0 {
			q.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&q, pickLane, i)
		args = append(args, t.to.name, t.to.local, t.account, int64(t.most+1))
	}
	rs, err := c.tx.Query(q.String(), args...)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var lane int
		var p picked
		if err := rs.Scan(&lane, &p.id, &p.due); err != nil {
			return err
		}
		turns[lane].rows = append(turns[lane].rows, p)
	}
	return rs.Err()
}

// choose says which rows of a lane are claimed: those that are due, as many as it
// may have, and with the last one all that travel with it (QUE-1).
func (c *claiming) choose(t *turn) ([]int64, error) {
	now := store.Time(c.now)
	var ids []int64
	for _, p := range t.rows {
		if p.due > now || t.taken == t.most {
			break
		}
		ids = append(ids, p.id)
		t.taken++
	}
	if t.taken == len(t.rows) { // all that wait
		return ids, nil
	}
	first := t.rows[t.taken]
	t.next = &first.due
	if t.taken == 0 || first.due != t.rows[t.taken-1].due {
		return ids, nil
	}
	rest, err := c.rest(t, t.rows[t.taken-1])
	if err != nil || len(rest) == 0 {
		return ids, err
	}
	at := now // what is behind them is not known
	t.next = &at
	return append(ids, rest...), nil
}

// rest finds the recipients that the limit has parted from one of the same
// message: they wait in the same lane for the same moment.
func (c *claiming) rest(t *turn, last picked) ([]int64, error) {
	rs, err := c.tx.Query(pickRest, t.to.name, t.to.local, t.account, last.due, last.id, int64(restBatch))
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []int64
	var message int64
	for rs.Next() {
		var id, of int64
		if err := rs.Scan(&id, &of); err != nil {
			return nil, err
		}
		switch {
		case id == last.id:
			message = of
		case of == message:
			out = append(out, id)
		}
	}
	return out, rs.Err()
}

// look decides when each lane is looked at again, once its rows are claimed.
// missed says that not all of them were.
func (c *claiming) look(turns []*turn, allow map[destKey]int, missed bool) {
	now := store.Time(c.now)
	for _, t := range turns {
		switch {
		case missed && t.taken > 0:
			// Another machine held some of the rows. What it does to them we cannot know.
			t.next = &now
		case t.next == nil || *t.next > now:
		case allow[t.to] <= 0:
			c.q.board.setMore(t.to, true)
			at := store.Time(c.now.Add(laneTurn))
			t.next = &at
		default:
			c.more = true
			t.next = &now // behind those that have waited longer
		}
	}
}

// setNext writes down when lanes are looked at again. The empty ones go.
func (c *claiming) setNext(turns []*turn) error {
	var set []*turn
	for _, t := range turns {
		switch {
		case t.next != nil:
			set = append(set, t)
		default:
			if _, err := c.tx.Exec(laneGone, t.to.name, t.to.local, t.account); err != nil {
				return err
			}
		}
	}
	return eachList(set, func(some []*turn) error {
		args := make([]any, 0, 4*len(some))
		for _, t := range some {
			args = append(args, t.to.name, t.to.local, t.account, *t.next)
		}
		_, err := c.tx.Exec(putLanes(len(some))+` DO UPDATE SET next = excluded.next`, args...)
		return err
	})
}
