package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// row is a recipient as leased, with what settling needs beside the noun.
type row struct {
	delivery.Recipient
	message     int64
	domain      string
	dest        string // who is contacted for it: the lane it waits in
	local       bool
	delayTold   bool
	firstFail   string
	firstFailAt time.Time
	unanswered  time.Time // when it was first sent in full to a host that never answered; zero: never
	account     string
	need        *delivery.TLSNeed // an operator's, for this recipient
	via         *string           // the same, of the transport
	dueWas      time.Time         // of a row that only has to be looked at
	last        last              // how the last attempt went
}

// last is what a row tells of its last attempt.
type last struct{ word, text, reply, host string }

// job is a leased delivery.Job with its rows and, if it came straight from
// Enqueue, its content.
type job struct {
	delivery.Job
	rows    []row
	content delivery.Content // nil: read from the store
	memory  int64            // octets that content holds in memory
	lease   *lease
	to      destKey // what the concurrency cap counts by
	attend  bool    // it only has to be looked at: nothing is dialled

	began    time.Time // of the attempt; zero: it waits
	silently bool      // it counts as one to a destination that does not answer

	operator bool // somebody ends it: no attempt
	silent   bool // and nobody is told
	released bool // no hold rule holds it now

	// What the attempt found beside its result.
	held    string  // the hold rule that stopped it
	crowded bool    // nobody was dialled: its turn comes later
	changed []paced // who has closed, or opened again
}

// destKey names who is contacted: a domain, or a transport of the operator's that
// takes the mail of many (route.Contact).
type destKey struct {
	name  string
	local bool
}

// Bounds of the board, as multiples of the concurrency and in octets.
const (
	boardFactor = 4        // leased jobs in memory, running ones included
	boardMemory = 64 << 20 // message bodies handed over by Enqueue
	destShare   = 4        // one destination may fill 1/destShare of the board
	// knownDests bounds the destinations whose pace is remembered while nothing
	// goes there.
	knownDests = 10000
)

// board holds the leased jobs of this machine and says which may start: at most
// concurrency at once, for one destination as many as its pace allows, the
// destinations in turn and the accounts of each in turn. Its memory is bounded
// (QUE-9).
type board struct {
	mu          sync.Mutex
	now         func() time.Time
	open        bool // a runner works on it
	concurrency int
	perDest     int
	limit       int
	held        int // jobs on the board, reservations included
	byAccount   map[string]int
	memory      int64
	running     int
	unsettled   int  // of running: their outcome waits for the store
	starved     bool // the store holds due work that found no room
	dests       map[destKey]*dest
	hungry      map[destKey]*dest // those with more in the store
	ring        []*dest           // those that answer and may start a job, each once
	silentRing  []*dest           // and those that do not
	live        map[*job]struct{}
	working     map[*job]*dest // those of live that are under way
	tally       tally
	silentTurn  bool           // whose turn it was last
	stuck       bool           // nothing of silentRing may start as things stand
	heldSilent  int            // of live, to destinations that do not answer
	silentOf    map[string]int // the same by account
	workers     sync.WaitGroup
	ctx         context.Context // of the attempts; ends when they are to stop at once
	abort       context.CancelFunc
}

type dest struct {
	key     destKey
	way     destKey // that it shares with others; zero: none
	pace    retry.Pace
	running int
	waiting int
	queues  map[string][]*job // by account
	turns   []string          // accounts with a queue, each once
	listed  bool              // is in a ring
	answers bool              // it did when it was last heard of
	slow    bool              // a delivery of it takes long
	more    bool              // the store has due work for it that found no room
}

func newDest(k destKey) *dest {
	d := &dest{key: k}
	d.way, _ = wayOf(k)
	return d
}

// put adds a job behind those of its account.
func (d *dest) put(j *job) {
	if len(d.queues[j.Account]) == 0 {
		d.turns = append(d.turns, j.Account)
	}
	if d.queues == nil {
		d.queues = map[string][]*job{}
	}
	d.queues[j.Account] = append(d.queues[j.Account], j)
	d.waiting++
}

// pop takes the next job of the account whose turn it is, of those that may have one.
// Nil: none may.
func (d *dest) pop(may func(account string) bool) *job {
	i := slices.IndexFunc(d.turns, may)
	if i < 0 {
		return nil
	}
	a := d.turns[i]
	d.turns = slices.Delete(d.turns, i, i+1)
	jobs := d.queues[a]
	j := jobs[0]
	jobs[0] = nil
	d.waiting--
	if jobs = jobs[1:]; len(jobs) > 0 {
		d.queues[a] = jobs
		d.turns = append(d.turns, a)
	} else {
		delete(d.queues, a)
	}
	return j
}

// clear takes out all that waits.
func (d *dest) clear() (out []*job) {
	for len(d.queues) > 0 {
		out = append(out, d.pop(anyAccount))
	}
	return out
}

func anyAccount(string) bool { return true }

func newBoard(concurrency, perDest int) *board {
	return &board{
		concurrency: concurrency, perDest: perDest, limit: boardFactor * concurrency, now: time.Now,
		dests: map[destKey]*dest{}, live: map[*job]struct{}{}, byAccount: map[string]int{}, hungry: map[destKey]*dest{},
		working: map[*job]*dest{}, silentOf: map[string]int{}, tally: tally{stale: true},
	}
}

// cap is how many jobs of d may run. Mailboxes here are no remote host that
// wants to be spared.
func (b *board) cap(d *dest) int {
	if d.key.local {
		return b.concurrency
	}
	most := d.pace.Allowed(b.now(), b.perDest)
	if w := b.dests[d.way]; w != nil && w.pace.Dead() {
		most = min(most, d.running+max(w.pace.Allowed(b.now(), b.perDest)-w.running, 0)) // a probe, of all that go this way
	}
	return most
}

// allow is how many jobs of a destination may be claimed: as many as keep it
// busy while the next ones are fetched.
func (b *board) allow(k destKey) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return claimBatch * claimBatch // nobody runs: a test, who takes everything
	}
	d := b.dests[k]
	if d == nil {
		d = newDest(k)
	}
	most := min(max(2*b.cap(d), 2), max(b.limit/destShare, 1))
	if w := b.dests[d.way]; w != nil && w.pace.Dead() { // a probe of the way
		return min(most, w.pace.Allowed(b.now(), b.perDest)-w.waiting-w.running)
	}
	if d.pace.Dead() && !k.local {
		most = min(most, b.cap(d)) // a probe
		return most - d.waiting - d.running
	}
	return most - d.waiting
}

// allowFor is allow for the mail of one account, to which some was granted already:
// what waits for silent destinations may not fill the board.
func (b *board) allowFor(k destKey, account string, granted int) int {
	n := b.allow(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countPlaces()
	for n > 0 && b.open && !b.mayHold(k, account, granted+n) {
		n--
	}
	return n
}

// reserve takes room for the jobs of a message that is about to be accepted.
func (b *board) reserve(keys []destKey, account string, memory int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countPlaces()
	if !b.open || b.held+len(keys) > b.limit || b.memory+memory > boardMemory || b.byAccount[account]+len(keys) > max(b.limit*3/4, 1) {
		return false
	}
	for _, k := range keys {
		if b.full(k) || !b.mayHold(k, account, len(keys)) {
			return false
		}
	}
	b.hold(account, len(keys), memory)
	return true
}

// hold counts jobs that come and, with negative numbers, go.
func (b *board) hold(account string, jobs int, memory int64) {
	b.held += jobs
	b.memory += memory
	if b.byAccount[account] += jobs; b.byAccount[account] <= 0 {
		delete(b.byAccount, account)
	}
}

// full reports whether a destination has as many jobs waiting here as it may,
// or is closed.
func (b *board) full(k destKey) bool {
	if way, ok := wayOf(k); ok && b.dests[way] != nil && b.dests[way].pace.Dead() {
		return true
	}
	d := b.dests[k]
	return d != nil && (d.waiting >= max(b.limit/destShare, 1) || !k.local && d.pace.Dead())
}

func (b *board) unreserve(n int, account string, memory int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold(account, -n, -memory)
}

// room is how many more jobs may be claimed.
func (b *board) room() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit - b.held
}

// dest is that of a key, made if it is not known.
func (b *board) dest(k destKey) *dest {
	d := b.dests[k]
	if d == nil {
		d = newDest(k)
		b.dests[k] = d
	}
	return d
}

// count notes jobs of a destination that come and go, for the way that it shares.
func (b *board) count(d *dest, waiting, running int) {
	if d.way == (destKey{}) {
		return
	}
	w := b.dest(d.way)
	w.waiting += waiting
	w.running += running
	b.forget(w)
}

// add puts jobs up. Reserved ones are counted already; of the others those are
// returned that find no room, to be given back. All are returned once the board
// is closed.
func (b *board) add(jobs []*job, reserved bool) (refused []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range jobs {
		if !b.open || !reserved && b.held >= b.limit {
			refused = append(refused, j)
			if reserved {
				b.hold(j.Account, -1, -j.memory)
			}
			continue
		}
		if !reserved {
			b.hold(j.Account, 1, 0)
		}
		d := b.dest(j.to)
		d.put(j)
		b.count(d, 1, 0)
		b.live[j] = struct{}{}
		if d.silent() {
			b.heldSilent++
			b.silentOf[j.Account]++
		}
		b.list(d)
	}
	return refused
}

// list puts d into a ring if it can start a job.
func (b *board) list(d *dest) {
	if d.listed || len(d.queues) == 0 || d.running >= b.cap(d) {
		return
	}
	d.listed = true
	if d.silent() {
		b.silentRing, b.stuck = append(b.silentRing, d), false
		return
	}
	b.ring = append(b.ring, d)
}

// listAll lists d, and what waits for it as a way.
func (b *board) listAll(d *dest) {
	b.list(d)
	if d.waiting == 0 || len(d.queues) > 0 { // not a way: what waits there stands in the queues of others
		return
	}
	for _, o := range b.dests {
		if o.way == d.key {
			b.list(o)
		}
	}
}

// next takes the job whose turn it is; nil if none may start.
func (b *board) next() *job {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || b.unsettled > 0 || b.running >= b.concurrency {
		return nil
	}
	b.countPlaces()
	for range 2 { // the rings take turns
		b.silentTurn = !b.silentTurn
		if j := b.nextOf(b.silentTurn); j != nil {
			return j
		}
	}
	return nil
}

// nextOf goes once round a ring.
func (b *board) nextOf(silent bool) *job {
	ring := &b.ring
	if silent {
		if b.stuck {
			return nil
		}
		ring = &b.silentRing
	}
	for range len(*ring) {
		d := (*ring)[0]
		(*ring)[0] = nil
		*ring = (*ring)[1:]
		if len(d.queues) == 0 || d.running >= b.cap(d) { // its pace has changed meanwhile
			d.listed = false
			continue
		}
		j := d.pop(func(account string) bool { return b.mayStart(d, account) })
		if j == nil { // in its turn, once others have ended
			*ring = append(*ring, d)
			continue
		}
		d.listed = false
		b.begin(d, j)
		b.list(d)
		return j
	}
	b.stuck = b.stuck || silent
	return nil
}

func (b *board) begin(d *dest, j *job) {
	d.running++
	b.running++
	b.count(d, -1, 1)
	b.workers.Add(1)
	j.began = b.now()
	b.working[j] = d
	if !d.key.local {
		b.tally.began(j, d.silent())
	}
}

// done takes a finished job off. low reports that the store should be asked for
// more: for the board, or for this destination.
func (b *board) done(j *job) (low bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold(j.Account, -1, -j.memory)
	b.running--
	b.gone(j)
	b.workers.Done()
	d := b.dests[j.to]
	d.running--
	if delete(b.working, j); !d.key.local {
		all := retry.Places{All: b.concurrency, Account: b.tally.account[j.Account], Answers: true}
		b.stuck = b.stuck && !j.silently && all.Free() // the account had all its places
		b.tally.ended(j)
	}
	b.count(d, 0, -1)
	b.list(d)
	b.forget(d)
	low = b.starved && b.held <= b.limit/2 || d.more && d.waiting <= b.cap(d)/2 && b.cap(d) > 0
	if low {
		b.starved = false
	}
	return low
}

// forget drops a destination that has nothing to do, unless its pace is worth
// remembering.
func (b *board) forget(d *dest) {
	if d.running == 0 && d.waiting == 0 && !d.more && (d.pace == retry.Pace{} && !d.answers || len(b.dests) > knownDests) {
		delete(b.dests, d.key)
	}
}

// wanted are destinations that have room again for what waits in the store.
func (b *board) wanted() (out []destKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countPlaces()
	for k, d := range b.hungry {
		if b.open && b.mayHold(k, "", 1) && d.waiting <= b.cap(d)/2 && b.cap(d) > 0 && len(out) < wantedDests {
			out = append(out, k)
		}
	}
	return out
}

// setMore notes whether the store has due work for a destination that found no room.
func (b *board) setMore(k destKey, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return
	}
	if d := b.dests[k]; d != nil || more {
		d = b.dest(k)
		d.more = more
		if more {
			b.hungry[k] = d
		} else {
			delete(b.hungry, k)
		}
		b.forget(d)
	}
}

// learn puts what an attempt said into the pace of its destination.
func (b *board) learn(l lesson, started, now time.Time, jitter float64) (old, p retry.Pace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.dest(l.to)
	old = d.pace
	d.pace = old.After(l.signal, started, now, b.perDest, jitter)
	if l.answered || l.signal == retry.Unreachable {
		b.heard(d, l.answered, now.Sub(started))
	}
	p = d.pace
	b.listAll(d)
	b.forget(d) // no job of its own may have made it: what was contacted is not always who it waited for
	return old, p
}

// told takes over what the store says of a destination: other machines, and
// operators, close and open it too.
func (b *board) told(k destKey, c closed, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.dests[k]
	switch {
	case known && (d == nil || d.pace.Failures < c.failures || !d.pace.Blocked.Equal(c.blocked)):
		d = b.dest(k)
		d.pace = retry.Pace{Window: 1, Failures: c.failures, Counted: d.pace.Counted, Blocked: c.blocked}
	case !known && d != nil && d.pace.Dead():
		d.pace = retry.Pace{Window: 1}
		b.listAll(d)
	}
}

// recall takes the jobs of a destination, or of all that share a way, off that have
// not started.
func (b *board) recall(k destKey) (out []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.dests {
		if d.key == k || d.way == k {
			out = append(out, b.recallFrom(d)...)
		}
	}
	return out
}

// recallAll takes all jobs off that have not started.
func (b *board) recallAll() (out []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.dests {
		out = append(out, b.recallFrom(d)...)
		b.forget(d)
	}
	return out
}

func (b *board) recallFrom(d *dest) []*job {
	jobs := d.clear()
	b.drop(jobs)
	b.count(d, -len(jobs), 0)
	return jobs
}

func (b *board) drop(jobs []*job) {
	for _, j := range jobs {
		b.hold(j.Account, -1, -j.memory)
		b.gone(j)
	}
}

// gone takes a job off. What it counted as may have changed since it came: the next
// count of all puts that right.
func (b *board) gone(j *job) {
	delete(b.live, j)
	if d := b.dests[j.to]; d != nil && d.silent() && b.heldSilent > 0 {
		b.heldSilent--
		bump(b.silentOf, j.Account, -1)
	}
}

// starve asks done to tell when there is room again.
func (b *board) starve() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starved = true
}

// close lets no further job start and returns those that did not.
func (b *board) close() (unstarted []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = false
	for _, d := range b.dests {
		unstarted = append(unstarted, b.recallFrom(d)...)
	}
	for k, d := range b.dests {
		d.listed, d.more = false, false
		if d.running == 0 {
			delete(b.dests, k)
		}
	}
	b.ring, b.silentRing, b.tally.stale = nil, nil, true
	clear(b.hungry)
	return unstarted
}

func (b *board) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
	b.ctx, b.abort = context.WithCancel(context.Background())
}

// context is that of the attempts.
func (b *board) context() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ctx
}

// recipients are those of all jobs on the board.
func (b *board) recipients() map[leasedRow]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[leasedRow]bool, len(b.live))
	for j := range b.live {
		for _, id := range j.lease.ids {
			out[leasedRow{id, j.lease.number}] = true
		}
	}
	return out
}

// await counts jobs whose outcome the store does not take: while there are any, no other
// begins. It reports the first of them, and the end of the last.
func (b *board) await(n int) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.unsettled > 0
	b.unsettled += n
	return was != (b.unsettled > 0)
}

// awaiting reports that there are outcomes which the store has not taken.
func (b *board) awaiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unsettled > 0
}

// closed reports that no job begins any more.
func (b *board) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}

// leased is all jobs on the board, for the renewal of their leases.
func (b *board) leased() []*job {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*job, 0, len(b.live))
	for j := range b.live {
		out = append(out, j)
	}
	return out
}
