package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
	"waxwing/internal/route"
	"waxwing/internal/store"
)

// laneKey names a lane: the waiting mail of one account for one destination.
type laneKey struct {
	to      destKey
	account string
}

func (k laneKey) compare(o laneKey) int {
	local := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(k.to.name, o.to.name), local(k.to.local)-local(o.to.local), cmp.Compare(k.account, o.account))
}

// portion shares room among the lanes that have mail due, in the order in which
// they are given: accounts take turns, one recipient each time, and within one
// account its lanes, quantum recipients each, so that nobody's mass mail keeps
// a single message waiting (QUE-3). allow is what each destination may have; what is given is taken off it.
// It is pure but for that.
func portion(lanes []laneKey, room int, allow map[destKey]int, quantum int) []int {
	out := make([]int, len(lanes))
	byAccount := map[string][]int{}
	var accounts []string
	for i, l := range lanes {
		if byAccount[l.account] == nil {
			accounts = append(accounts, l.account)
		}
		byAccount[l.account] = append(byAccount[l.account], i)
	}
	for given := true; given && room > 0; {
		given = false
		for _, a := range accounts {
			ring := byAccount[a]
			// Lanes that may have no more leave the ring.
			for len(ring) > 0 && allow[lanes[ring[0]].to] <= 0 {
				ring = ring[1:]
			}
			if len(ring) > 0 && room > 0 {
				i := ring[0]
				out[i]++
				allow[lanes[i].to]--
				room--
				given = true
				if out[i]%quantum == 0 {
					ring = append(ring[1:], i)
				}
			}
			byAccount[a] = ring
		}
	}
	return out
}

// laneQuantum is how many recipients of a lane go in one turn. The rows of a lane
// are neighbours in the index: with a large backlog, a turn for each would read and write
// that many more pages.
const laneQuantum = 4

// lowerLanes makes sure that the queue looks at the lanes of rows that now wait
// when they are due. It comes last in its transaction, since other machines wait
// for it; all go by one order, so that none waits for another that waits for it.
func lowerLanes(tx *store.Tx, due map[laneKey]time.Time) error {
	keys := make([]laneKey, 0, len(due))
	for k := range due {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, laneKey.compare)
	return eachList(keys, func(some []laneKey) error {
		args := make([]any, 0, 4*len(some))
		for _, k := range some {
			args = append(args, k.to.name, k.to.local, k.account, store.Time(due[k]))
		}
		_, err := tx.Exec(putLanes(len(some))+` DO UPDATE SET next = excluded.next WHERE excluded.next < lanes.next`, args...)
		if err != nil {
			return fmt.Errorf("queue for %s and others: %w", some[0].to.name, err)
		}
		return nil
	})
}

// putLanes begins a statement that finds n lanes by their key, on both engines
// and whatever the statistics, and makes those that are missing. A join with a list
// would go through all lanes where the planner thinks them few.
func putLanes(n int) string {
	return `INSERT INTO lanes (dest, local, account, next) VALUES (?, ?, ?, ?)` + strings.Repeat(", (?, ?, ?, ?)", n-1) +
		` ON CONFLICT (dest, local, account)`
}

// eachList calls fn for parts of all in its order, of few lengths, so that few
// statements have to be prepared.
func eachList[T any](all []T, fn func([]T) error) error {
	for len(all) > 0 {
		n := 1
		for _, size := range listSizes {
			if size <= min(len(all), putMost) {
				n = size
			}
		}
		if err := fn(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// putMost bounds the lanes of one statement.
const putMost = 64

// earlier keeps the earlier of two times for a lane.
func earlier(due map[laneKey]time.Time, k laneKey, at time.Time) {
	if old, ok := due[k]; !ok || at.Before(old) {
		due[k] = at
	}
}

// Bounds of one claim.
const (
	dueLanes      = 256 // read in the order of their turns
	wantedDests   = 16
	wantedLanes   = 16 // of each
	askedAccounts = 16 // where more lanes are due than are read
	askedLanes    = 8  // of each
)

// candidates reads the lanes that a claim may choose from. full says that there
// were more.
func (q *Queue) candidates(tx *store.Tx, now int64) (out []laneKey, full bool, err error) {
	seen := map[laneKey]bool{}
	read := func(query string, args ...any) (int, error) {
		keys, err := scanLanes(tx, query, args...)
		for _, k := range keys {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
			}
		}
		return len(keys), err
	}
	for _, d := range q.board.wanted() {
		_, err := read(`SELECT dest, local, account FROM lanes WHERE dest = ? AND local = ? ORDER BY next LIMIT ?`+tx.Lock(), d.name, d.local, int64(wantedLanes))
		if err != nil {
			return nil, false, err
		}
	}
	n, err := read(`SELECT dest, local, account FROM lanes WHERE next <= ? ORDER BY next LIMIT ?`+tx.Lock(), now, int64(dueLanes))
	if err != nil || n < dueLanes {
		return out, false, err
	}
	// One account's lanes may stand before all others': ask some accounts in turn.
	accounts, err := q.nextAccounts(tx)
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
		fmt.Fprintf(&ask, `SELECT dest, local, account FROM (SELECT dest, local, account FROM lanes
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
func (q *Queue) nextAccounts(tx *store.Tx) ([]string, error) {
	names, err := scanTexts(tx, accountsAfter, q.lastAccount, int64(askedAccounts))
	if err != nil {
		return nil, err
	}
	if len(names) < askedAccounts { // round; "" is mail that no account sent
		more, err := scanTexts(tx, accountsAfter, "", int64(askedAccounts-1-len(names)))
		if err != nil {
			return nil, err
		}
		for _, name := range append([]string{""}, more...) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	q.lastAccount = names[len(names)-1]
	return names, nil
}

func scanLanes(tx *store.Tx, query string, args ...any) ([]laneKey, error) {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []laneKey
	for rs.Next() {
		var k laneKey
		if err := rs.Scan(&k.to.name, &k.to.local, &k.account); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rs.Err()
}

func scanTexts(tx *store.Tx, query string, args ...any) ([]string, error) {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []string
	for rs.Next() {
		var s string
		if err := rs.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rs.Err()
}

// closed is a destination that cannot be reached, as stored.
type closed struct {
	blocked  time.Time
	failures int
}

// closedOf reads what is known of the destinations of some lanes.
func closedOf(tx *store.Tx, domains []string) (map[destKey]closed, error) {
	out := map[destKey]closed{}
	slices.Sort(domains)
	domains = slices.Compact(domains)
	for len(domains) > 0 {
		list, args, rest := inTexts(domains)
		domains = rest
		rs, err := tx.Query(`SELECT dest, local, blocked, failures FROM destinations WHERE dest IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for rs.Next() {
			var k destKey
			var at int64
			var c closed
			if err := rs.Scan(&k.name, &k.local, &at, &c.failures); err != nil {
				rs.Close()
				return nil, err
			}
			c.blocked = store.FromTime(at)
			out[k] = c
		}
		if err := rs.Err(); err != nil {
			return nil, err
		}
		rs.Close()
	}
	return out, nil
}

func inTexts(all []string) (list string, args []any, rest []string) {
	ids := make([]int64, min(len(all), listSizes[len(listSizes)-1]))
	list, args, _ = inList(ids)
	for i := range args {
		args[i] = all[min(i, len(ids)-1)]
	}
	return list, args, all[len(ids):]
}

// paced is a destination that has closed, or opened again.
type paced struct {
	to   destKey
	pace retry.Pace
	text string // why it is closed
}

// learn keeps what an attempt said of whom it contacted. What closes or opens again is
// written down for all machines, and what else was claimed for it goes back.
func (q *Queue) learn(j *job, res *delivery.Result, now time.Time) (changed []paced) {
	for _, l := range lessons(j, res) {
		old, p := q.board.learn(l, res.Started, now, q.jitter())
		if !p.Blocked.Equal(old.Blocked) || p.Dead() != old.Dead() {
			changed = append(changed, paced{l.to, p, unreachableText(res)})
		}
	}
	return changed
}

func unreachableText(res *delivery.Result) string {
	for _, r := range res.Recipients {
		if t := or(r.Text, string(r.Word)); t != "" {
			return t
		}
	}
	return "it could not be reached"
}

// saveDestination writes down that a destination is closed, or open again. Its lanes
// wait for when it opens; those further ahead than any closing lasts are looked at
// too, since a clock that was wrong may have put them there.
func saveDestination(tx *store.Tx, c paced, now time.Time) error {
	to, p := c.to, c.pace
	if !p.Dead() {
		if _, err := tx.Exec(`DELETE FROM destinations WHERE dest = ? AND local = ?`, to.name, to.local); err != nil {
			return err
		}
		return nearLanes(tx, to, now)
	}
	at := store.Time(p.Blocked)
	_, err := tx.Exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (dest, local) DO UPDATE SET blocked = excluded.blocked, failures = excluded.failures, text = excluded.text`,
		to.name, to.local, at, int64(p.Failures), store.Time(p.Counted), clean(c.text))
	if err != nil {
		return err
	}
	if err := nearLanes(tx, to, now); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next < ?`, at, to.name, to.local, at)
	return err
}

// nearLanes has the lanes of a destination looked at that lie further ahead than it
// can be closed: what they wait for is then read from their rows.
func nearLanes(tx *store.Tx, to destKey, now time.Time) error {
	_, err := tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next > ?`,
		store.Time(now), to.name, to.local, store.Time(now.Add(retry.LongestClosing())))
	return err
}

// Closed is a destination whose mail waits because it could not be reached.
type Closed struct {
	Domain    string    // "" where a transport takes the mail of all domains to one host
	Transport string    // the operator's; "": the hosts of Domain were contacted directly
	Until     time.Time // nobody dials before
	Since     time.Time // the first failure
	Failures  int       // in a row
	Text      string    // the last one
}

// wayOf is the way that a destination shares with others, and that closes by itself.
func wayOf(k destKey) (destKey, bool) {
	if k.local {
		return destKey{}, false
	}
	name, ok := route.Way(k.name)
	if !ok {
		return destKey{}, false
	}
	return destKey{name: name}, true
}

// withWays are the names of destinations and of their ways.
func withWays(keys []destKey) (names []string) {
	for _, k := range keys {
		names = append(names, k.name)
		if w, ok := wayOf(k); ok {
			names = append(names, w.name)
		}
	}
	return names
}

// shutUntil is when a destination and its way are both open, as stored; zero if they are.
func shutUntil(shut map[destKey]closed, k destKey, now time.Time) (until time.Time) {
	keys := []destKey{k}
	if w, ok := wayOf(k); ok {
		keys = append(keys, w)
	}
	for _, k := range keys {
		if at := shut[k].blocked; retry.Shut(at, now) && at.After(until) {
			until = at
		}
	}
	return until
}

// describe names a lane for errors.
func (k laneKey) describe() string {
	return strings.TrimSpace(k.to.name + " " + k.account)
}
