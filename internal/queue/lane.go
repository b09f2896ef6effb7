package queue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

const (
	laneGone = `DELETE FROM lanes WHERE dest = ? AND local = ? AND account = ?`
	putLane  = `INSERT INTO lanes (dest, local, account, next) VALUES (?, ?, ?, ?)`
	setLane  = ` ON CONFLICT (dest, local, account) DO UPDATE SET next = excluded.next`
)

// laneAt is a lane with the time at which the queue looks at it.
type laneAt struct {
	dispatch.Lane
	next time.Time
}

// lowerLanes makes sure that the queue looks at the lanes of rows that now wait
// when they are due. It comes last in its transaction, since other machines wait
// for it; all go by one order, so that none waits for another that waits for it.
func lowerLanes(tx *store.Tx, due map[dispatch.Lane]time.Time) error {
	lanes := make([]laneAt, 0, len(due))
	for l, at := range due {
		lanes = append(lanes, laneAt{l, at})
	}
	slices.SortFunc(lanes, func(a, b laneAt) int { return a.Compare(b.Lane) })
	return putLanes(tx, lanes, ` WHERE excluded.next < lanes.next`)
}

// setNext writes down when lanes are looked at again. The empty ones go.
func setNext(tx *store.Tx, turns []*dispatch.Turn) error {
	var lanes []laneAt
	for _, t := range turns {
		if !t.Next.IsZero() {
			lanes = append(lanes, laneAt{t.Lane, t.Next})
			continue
		}
		if _, err := tx.Exec(laneGone, t.To.Name, t.To.Local, t.Account); err != nil {
			return err
		}
	}
	return putLanes(tx, lanes, "")
}

// putLanes makes the lanes that are missing, and sets the time of the others where the
// condition holds. They are found by their key, on both engines and whatever the
// statistics: a join with a list would go through all lanes where the planner thinks them
// few.
func putLanes(tx *store.Tx, lanes []laneAt, where string) error {
	return eachList(lanes, func(some []laneAt) error {
		args := make([]any, 0, 4*len(some))
		for _, l := range some {
			args = append(args, l.To.Name, l.To.Local, l.Account, store.Time(l.next))
		}
		if _, err := tx.Exec(putLane+strings.Repeat(", (?, ?, ?, ?)", len(some)-1)+setLane+where, args...); err != nil {
			return fmt.Errorf("lanes of %s and others: %w", some[0], err)
		}
		return nil
	})
}

// earlier keeps the earlier of two times for a lane.
func earlier(due map[dispatch.Lane]time.Time, l dispatch.Lane, at time.Time) {
	if old, ok := due[l]; !ok || at.Before(old) {
		due[l] = at
	}
}

// Bounds of one claim.
const (
	dueLanes      = 256 // read in the order of their turns
	wantedLanes   = 16  // of each contact that the board wants
	askedAccounts = 16  // where more lanes are due than are read
	askedLanes    = 8   // of each
)

// laneColumns are what scanLane reads.
const laneColumns = `dest, local, account`

func scanLane(r store.Row) (l dispatch.Lane, err error) {
	err = r.Scan(&l.To.Name, &l.To.Local, &l.Account)
	return l, err
}

// candidates reads the lanes that a claim may choose from. full says that there
// were more.
func (c *claiming) candidates() (out []dispatch.Lane, full bool, err error) {
	tx, now := c.tx, store.Time(c.now)
	seen := map[dispatch.Lane]bool{}
	read := func(query string, args ...any) (n int, err error) {
		err = tx.Each(func(r store.Row) error {
			n++
			l, err := scanLane(r)
			if err == nil && !seen[l] {
				seen[l] = true
				out = append(out, l)
			}
			return err
		}, query, args...)
		return n, err
	}
	for _, to := range c.q.board.Wanted() {
		_, err := read(`SELECT `+laneColumns+` FROM lanes WHERE dest = ? AND local = ? ORDER BY next LIMIT ?`+tx.Lock(), to.Name, to.Local, int64(wantedLanes))
		if err != nil {
			return nil, false, err
		}
	}
	n, err := read(`SELECT `+laneColumns+` FROM lanes WHERE next <= ? ORDER BY next LIMIT ?`+tx.Lock(), now, int64(dueLanes))
	if err != nil || n < dueLanes {
		return out, false, err
	}
	// One account's lanes may stand before all others': ask some accounts in turn.
	accounts, err := c.nextAccounts()
	if err != nil || len(accounts) == 0 {
		return out, true, err
	}
	size, _ := listSize(len(accounts))
	var ask strings.Builder
	args := make([]any, 0, 2*size)
	for i := range size {
		if i > 0 {
			ask.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&ask, `SELECT `+laneColumns+` FROM (SELECT `+laneColumns+` FROM lanes
			WHERE account = ? AND next <= ? ORDER BY next LIMIT %d%s) AS a%d`, askedLanes, tx.Lock(), i)
		args = append(args, accounts[min(i, len(accounts)-1)], now)
	}
	if _, err := read(ask.String(), args...); err != nil {
		return nil, false, err
	}
	return out, true, nil
}

// accountsAfter goes from account to account of those that have mail waiting,
// without reading the lanes in between.
const accountsAfter = `WITH RECURSIVE a (account) AS (SELECT min(account) FROM lanes WHERE account > ?
	UNION ALL SELECT (SELECT min(lanes.account) FROM lanes WHERE lanes.account > a.account) FROM a WHERE a.account IS NOT NULL)
	SELECT account FROM a WHERE account IS NOT NULL LIMIT ?`

// nextAccounts goes round the accounts that have mail waiting, some at a time.
func (c *claiming) nextAccounts() ([]string, error) {
	names, err := store.Column[string](c.tx, accountsAfter, c.lastAccount, int64(askedAccounts))
	if err != nil {
		return nil, err
	}
	if len(names) < askedAccounts { // round; "" is mail that no account sent
		more, err := store.Column[string](c.tx, accountsAfter, "", int64(askedAccounts-1-len(names)))
		if err != nil {
			return nil, err
		}
		for _, name := range append([]string{""}, more...) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	c.lastAccount = names[len(names)-1]
	return names, nil
}
