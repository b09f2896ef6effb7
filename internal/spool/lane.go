package spool

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

const (
	laneGone = `DELETE FROM lanes WHERE dest = ? AND local = ? AND account = ?`
	putLane  = `INSERT INTO lanes (dest, local, account, next) VALUES (?, ?, ?, ?)`
	setLane  = ` ON CONFLICT (dest, local, account) DO UPDATE SET next = excluded.next`
)

// LaneAt is a lane with the time at which the queue looks at it; zero: nothing waits there.
type LaneAt struct {
	delivery.Lane
	Next time.Time
}

// Due are lanes of rows that now wait, with the earliest time at which one of them is due.
type Due map[delivery.Lane]time.Time

// At adds a row of a lane.
func (d Due) At(l delivery.Lane, at time.Time) {
	if old, ok := d[l]; !ok || at.Before(old) {
		d[l] = at
	}
}

// Write makes sure that the queue looks at the lanes when they are due. It comes last in
// its transaction, since other machines wait for it; all go by one order, so that none
// waits for another that waits for it.
func (d Due) Write(tx *store.Tx) error {
	lanes := make([]LaneAt, 0, len(d))
	for l, at := range d {
		lanes = append(lanes, LaneAt{l, at})
	}
	slices.SortFunc(lanes, func(a, b LaneAt) int { return a.Compare(b.Lane) })
	return putLanes(tx, lanes, ` WHERE excluded.next < lanes.next`)
}

// SetNext writes down when lanes are looked at again. The empty ones go.
func SetNext(tx *store.Tx, all []LaneAt) error {
	var lanes []LaneAt
	for _, l := range all {
		if !l.Next.IsZero() {
			lanes = append(lanes, l)
			continue
		}
		if _, err := tx.Exec(laneGone, l.To.String(), l.To.Local, l.Account); err != nil {
			return err
		}
	}
	return putLanes(tx, lanes, "")
}

// putLanes makes the lanes that are missing, and sets the time of the others where the
// condition holds. They are found by their key, on both engines and whatever the
// statistics: a join with a list would go through all lanes where the planner thinks them
// few.
func putLanes(tx *store.Tx, lanes []LaneAt, where string) error {
	return eachList(lanes, func(some []LaneAt) error {
		args := make([]any, 0, 4*len(some))
		for _, l := range some {
			args = append(args, l.To.String(), l.To.Local, l.Account, store.Time(l.Next))
		}
		if _, err := tx.Exec(putLane+strings.Repeat(", (?, ?, ?, ?)", len(some)-1)+setLane+where, args...); err != nil {
			return fmt.Errorf("lanes of %s and others: %w", some[0], err)
		}
		return nil
	})
}

// Bounds of one claim.
const (
	dueLanes      = 256 // read in the order of their turns
	wantedLanes   = 16  // of each contact that is wanted
	askedAccounts = 16  // where more lanes are due than are read
	askedLanes    = 8   // of each
)

// laneColumns are what scanLane reads.
const laneColumns = `dest, local, account`

func scanLane(r store.Row) (l delivery.Lane, err error) {
	err = r.Scan(contactInto{&l.To}, &l.To.Local, &l.Account)
	return l, err
}

// Candidates are lanes that a claim may choose from.
type Candidates struct {
	Lanes []delivery.Lane // each once
	Full  bool            // there were more
	// Account is the last of those whose lanes were asked for where there were more: the
	// next claim asks those after it.
	Account string
}

// Wanted are lanes that are read whether or not they are due.
type Wanted struct {
	Contacts []delivery.Contact
	Accounts []string
	Most     int // lanes of each account
}

// DueLanes reads the wanted lanes and those that are due; where there are more than it
// reads, also some of the accounts after one, in turn.
func DueLanes(tx *store.Tx, wanted Wanted, after string, now time.Time) (out Candidates, err error) {
	out.Account = after
	seen := map[delivery.Lane]bool{}
	read := func(query string, args ...any) (n int, err error) {
		err = tx.Each(func(r store.Row) error {
			n++
			l, err := scanLane(r)
			if err == nil && !seen[l] {
				seen[l] = true
				out.Lanes = append(out.Lanes, l)
			}
			return err
		}, query, args...)
		return n, err
	}
	for _, to := range wanted.Contacts {
		_, err := read(`SELECT `+laneColumns+` FROM lanes WHERE dest = ? AND local = ? ORDER BY next LIMIT ?`+tx.Lock(), to.String(), to.Local, int64(wantedLanes))
		if err != nil {
			return out, err
		}
	}
	for _, a := range wanted.Accounts {
		_, err := read(`SELECT `+laneColumns+` FROM lanes WHERE account = ? ORDER BY next LIMIT ?`+tx.Lock(), a, int64(wanted.Most))
		if err != nil {
			return out, err
		}
	}
	n, err := read(`SELECT `+laneColumns+` FROM lanes WHERE next <= ? ORDER BY next LIMIT ?`+tx.Lock(), store.Time(now), int64(dueLanes))
	if err != nil || n < dueLanes {
		return out, err
	}
	out.Full = true
	// One account's lanes may stand before all others': ask some accounts in turn.
	accounts, err := nextAccounts(tx, after)
	if err != nil || len(accounts) == 0 {
		return out, err
	}
	out.Account = accounts[len(accounts)-1]
	query, args := lanesOfAccounts(tx, accounts, now)
	_, err = read(query, args...)
	return out, err
}

// lanesOfAccounts asks for some lanes that are due of each account.
func lanesOfAccounts(tx *store.Tx, accounts []string, now time.Time) (query string, args []any) {
	size, _ := listSize(len(accounts))
	var ask strings.Builder
	for i := range size {
		if i > 0 {
			ask.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&ask, `SELECT `+laneColumns+` FROM (SELECT `+laneColumns+` FROM lanes
			WHERE account = ? AND next <= ? ORDER BY next LIMIT %d%s) AS a%d`, askedLanes, tx.Lock(), i)
		args = append(args, accounts[min(i, len(accounts)-1)], store.Time(now))
	}
	return ask.String(), args
}

// accountsAfter goes from account to account of those that have mail waiting,
// without reading the lanes in between.
const accountsAfter = `WITH RECURSIVE a (account) AS (SELECT min(account) FROM lanes WHERE account > ?
	UNION ALL SELECT (SELECT min(lanes.account) FROM lanes WHERE lanes.account > a.account) FROM a WHERE a.account IS NOT NULL)
	SELECT account FROM a WHERE account IS NOT NULL LIMIT ?`

// nextAccounts goes round the accounts that have mail waiting, some at a time.
func nextAccounts(tx *store.Tx, after string) ([]string, error) {
	names, err := store.Column[string](tx, accountsAfter, after, int64(askedAccounts))
	if err != nil || len(names) == askedAccounts {
		return names, err
	}
	more, err := store.Column[string](tx, accountsAfter, "", int64(askedAccounts-1-len(names))) // round
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{""}, more...) { // "" is mail that no account sent
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Ask is a lane whose first waiting rows are asked for.
type Ask struct {
	delivery.Lane
	Most int
}

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

// FirstWaiting reads the first rows that wait in each lane, in their order, and tells of
// each with the number of its lane in asks.
func FirstWaiting(tx *store.Tx, asks []Ask, tell func(ask int, id int64, due time.Time)) error {
	from := 0
	return eachList(asks, func(some []Ask) error {
		var q strings.Builder
		args := make([]any, 0, 4*len(some))
		for i, a := range some {
			if i > 0 {
				q.WriteString(" UNION ALL ")
			}
			fmt.Fprintf(&q, pickLane, i)
			args = append(args, a.To.String(), a.To.Local, a.Account, int64(a.Most))
		}
		err := tx.Each(func(r store.Row) error {
			var lane int
			var id int64
			var due time.Time
			err := r.Scan(&lane, &id, timeInto{&due})
			if err == nil {
				tell(from+lane, id, due)
			}
			return err
		}, q.String(), args...)
		from += len(some)
		return err
	})
}

// Rest finds the recipients that wait in a lane behind one, of the same message and for
// the same moment (QUE-1).
func Rest(tx *store.Tx, l delivery.Lane, behind int64, due time.Time) (out []int64, err error) {
	var message int64
	err = tx.Each(func(r store.Row) error {
		var id, of int64
		err := r.Scan(&id, &of)
		switch {
		case id == behind:
			message = of
		case of == message:
			out = append(out, id)
		}
		return err
	}, pickRest, l.To.String(), l.To.Local, l.Account, store.Time(due), behind, int64(restBatch))
	return out, err
}

// LanesOf are the lanes in which recipients stand that are in a state.
func LanesOf(tx *store.Tx, ids []int64, s State) ([]delivery.Lane, error) {
	list, args := inList(ids)
	return store.Collect(tx, scanLane, `SELECT DISTINCT `+laneColumns+` FROM recipients WHERE state = ? AND id IN `+list,
		append([]any{int64(s)}, args...)...)
}
