package dispatch

import (
	"cmp"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

const (
	boardMemory  = 64 << 20 // octets of message bodies handed over when they were accepted
	contactShare = 4        // one contact may fill 1/contactShare of the board
	// knownContacts bounds the contacts whose pace is remembered while nothing goes there.
	knownContacts = 10000
	// everything is what a claim may take while nobody runs: a test wants it all.
	everything = 40000
)

// Board holds the leased jobs of this machine and says which may start: at most
// concurrency at once, for one contact as many as its pace allows, the contacts in turn
// and the accounts of each in turn. Its methods may be called from any goroutine.
type Board[J Job] struct {
	mu          sync.Mutex
	now         func() time.Time
	open        bool // a runner works on it
	concurrency int
	perContact  int
	limit       int
	jobs        int // on the board, reservations included
	byAccount   map[string]int
	memory      int64
	running     int
	unsettled   int  // of running: their outcome waits for the store
	starved     bool // the store holds due work that found no room
	targets     map[delivery.Contact]*target[J]
	hungry      map[delivery.Contact]*target[J] // those with more in the store
	waiting     map[string]bool                 // accounts with more in the store than their share for silent contacts
	answering   []*target[J]                    // the ring of those that answer and may start a job, each once
	silent      []*target[J]                    // and the ring of those that do not
	live        map[J]struct{}
	working     map[J]*target[J] // those of live that are under way
	tally       tally
	silentTurn  bool           // the ring whose turn it was last
	stuck       bool           // nothing of the silent ring may start as things stand
	silentJobs  int            // of live, to contacts that do not answer
	silentOf    map[string]int // the same by account
	workers     sync.WaitGroup
}

// Bounds are those of a board.
type Bounds struct {
	Concurrency int // jobs that run at the same time
	PerContact  int // of them for one contact
	Jobs        int // leased jobs in memory, running ones included; 0: four times Concurrency
}

// New returns a closed board.
func New[J Job](bounds Bounds, now func() time.Time) *Board[J] {
	return &Board[J]{
		now: now, concurrency: bounds.Concurrency, perContact: bounds.PerContact, limit: cmp.Or(bounds.Jobs, 4*bounds.Concurrency),
		byAccount: map[string]int{}, targets: map[delivery.Contact]*target[J]{}, hungry: map[delivery.Contact]*target[J]{}, waiting: map[string]bool{},
		live: map[J]struct{}{}, working: map[J]*target[J]{}, silentOf: map[string]int{}, tally: tally{stale: true},
	}
}

// Open lets jobs come and start.
func (b *Board[J]) Open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

// Close lets no further job start and returns those that did not.
func (b *Board[J]) Close() (unstarted []J) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = false
	for _, d := range b.targets {
		unstarted = append(unstarted, b.recallFrom(d)...)
	}
	for c, d := range b.targets {
		d.listed, d.more = false, false
		if d.running == 0 {
			delete(b.targets, c)
		}
	}
	b.answering, b.silent, b.tally.stale = nil, nil, true
	clear(b.hungry)
	clear(b.waiting)
	return unstarted
}

// Wait returns when the last job that Next has returned is Done.
func (b *Board[J]) Wait() { b.workers.Wait() }

// State is a board at one moment.
type State struct {
	Open      bool
	Room      int // jobs that may be added
	Jobs      int // on the board, reservations included
	Running   int
	Unsettled int // of Running: what they came to waits for the store
	Memory    int64
	Contacts  int // of which something is known
}

// State says how the board stands.
func (b *Board[J]) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return State{b.open, b.limit - b.jobs, b.jobs, b.running, b.unsettled, b.memory, len(b.targets)}
}

// Jobs are all jobs on the board.
func (b *Board[J]) Jobs() []J {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]J, 0, len(b.live))
	for j := range b.live {
		out = append(out, j)
	}
	return out
}

// target is that of a contact, made if it is not known.
func (b *Board[J]) target(c delivery.Contact) *target[J] {
	d := b.targets[c]
	if d == nil {
		d = newTarget[J](c)
		b.targets[c] = d
	}
	return d
}

// most is how many jobs of d may run. Mailboxes here are no remote host that wants to be
// spared.
func (b *Board[J]) most(d *target[J]) int {
	if w := b.targets[d.way]; w != nil {
		return b.mostOf(&d.standing, &w.standing)
	}
	return b.mostOf(&d.standing, &standing{})
}

// mostOf is most of a contact and its way.
func (b *Board[J]) mostOf(d, way *standing) int {
	if d.key.Local {
		return b.concurrency
	}
	most := d.pace.Allowed(b.now(), b.perContact)
	if way.pace.Dead() {
		most = min(most, d.running+max(way.pace.Allowed(b.now(), b.perContact)-way.running, 0)) // a probe, of all that go this way
	}
	return most
}

// Reserve takes room for the jobs of a message that is about to be accepted.
func (b *Board[J]) Reserve(contacts []delivery.Contact, account string, memory int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	if !b.open || b.jobs+len(contacts) > b.limit || b.memory+memory > boardMemory || b.byAccount[account]+len(contacts) > max(b.limit*3/4, 1) {
		return false
	}
	for _, c := range contacts {
		if b.full(c) || !b.mayCome(c, account, len(contacts)) {
			return false
		}
	}
	b.tallyUp(account, len(contacts), memory)
	return true
}

// Unreserve gives back what Reserve took.
func (b *Board[J]) Unreserve(n int, account string, memory int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tallyUp(account, -n, -memory)
}

// tallyUp counts jobs that come and, with negative numbers, go.
func (b *Board[J]) tallyUp(account string, jobs int, memory int64) {
	b.jobs += jobs
	b.memory += memory
	bump(b.byAccount, account, jobs)
}

// full reports whether a contact has as many jobs waiting here as it may, or is closed.
func (b *Board[J]) full(c delivery.Contact) bool {
	if way, ok := c.Shared(); ok && b.targets[way] != nil && b.targets[way].pace.Dead() {
		return true
	}
	d := b.targets[c]
	return d != nil && (d.waiting >= max(b.limit/contactShare, 1) || !c.Local && d.pace.Dead())
}

// shift counts jobs of a contact that come and go for the way that it shares.
func (b *Board[J]) shift(d *target[J], waiting, running int) {
	if d.way == (delivery.Contact{}) {
		return
	}
	w := b.target(d.way)
	w.waiting += waiting
	w.running += running
	b.forget(w)
}

// Add puts jobs up. Reserved ones are counted already; of the others those are returned
// that find no room, to be given back. All are returned once the board is closed.
func (b *Board[J]) Add(jobs []J, reserved bool) (refused []J) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range jobs {
		t := j.ticket()
		if !b.open || !reserved && b.jobs >= b.limit {
			refused = append(refused, j)
			if reserved {
				b.tallyUp(t.Account, -1, -t.Memory)
			}
			continue
		}
		if !reserved {
			b.tallyUp(t.Account, 1, 0)
		}
		d := b.target(t.To)
		d.put(j)
		b.shift(d, 1, 0)
		b.live[j] = struct{}{}
		b.countSilent(d, t.Account, 1)
		b.list(d)
	}
	return refused
}

// list puts d into a ring if it can start a job.
func (b *Board[J]) list(d *target[J]) {
	if d.listed || len(d.queues) == 0 || d.running >= b.most(d) {
		return
	}
	d.listed = true
	if d.silent() {
		b.silent, b.stuck = append(b.silent, d), false
		return
	}
	b.answering = append(b.answering, d)
}

// listAll lists d, and what waits for it as a way.
func (b *Board[J]) listAll(d *target[J]) {
	b.list(d)
	if d.waiting == 0 || len(d.queues) > 0 { // not a way: what waits there stands in the queues of others
		return
	}
	for _, o := range b.targets {
		if o.way == d.key {
			b.list(o)
		}
	}
}

// Next takes the job whose turn it is; the zero J if none may start. Each is to be Done.
func (b *Board[J]) Next() (none J) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || b.unsettled > 0 || b.running >= b.concurrency {
		return none
	}
	b.count()
	for range 2 { // the rings take turns
		b.silentTurn = !b.silentTurn
		if j, ok := b.nextOf(b.silentTurn); ok {
			return j
		}
	}
	return none
}

// nextOf goes once round a ring.
func (b *Board[J]) nextOf(silent bool) (none J, ok bool) {
	ring := &b.answering
	if silent {
		if b.stuck {
			return none, false
		}
		ring = &b.silent
	}
	for range len(*ring) {
		d := (*ring)[0]
		(*ring)[0] = nil
		*ring = (*ring)[1:]
		if len(d.queues) == 0 || d.running >= b.most(d) { // its pace has changed meanwhile
			d.listed = false
			continue
		}
		j, ok := d.pop(func(account string) bool { return b.mayStart(d, account) })
		if !ok { // in its turn, once others have ended
			*ring = append(*ring, d)
			continue
		}
		d.listed = false
		b.begin(d, j)
		b.list(d)
		return j, true
	}
	b.stuck = b.stuck || silent
	return none, false
}

func (b *Board[J]) begin(d *target[J], j J) {
	d.running++
	b.running++
	b.shift(d, -1, 1)
	b.workers.Add(1)
	j.ticket().began = b.now()
	b.working[j] = d
	if !d.key.Local {
		b.tally.began(j.ticket(), d.silent())
	}
}

// Done takes a finished job off. low reports that the store should be asked for more: for
// the board, for this contact, or for an account.
func (b *Board[J]) Done(j J) (low bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := j.ticket()
	b.tallyUp(t.Account, -1, -t.Memory)
	b.running--
	b.gone(j)
	b.workers.Done()
	d := b.targets[t.To]
	d.running--
	if delete(b.working, j); !d.key.Local {
		all := retry.Places{All: b.concurrency, Account: b.tally.account[t.Account], Answers: true}
		b.stuck = b.stuck && !t.silent && all.Free() // the account had all its places
		b.tally.ended(t)
	}
	b.shift(d, 0, -1)
	b.list(d)
	b.forget(d)
	low = b.starved && b.jobs <= b.limit/2 || d.more && b.low(d)
	if low {
		b.starved = false
	}
	return low || b.anySpare()
}

// anySpare reports that an account may have more of what waits in the store. b.mu is held.
func (b *Board[J]) anySpare() bool {
	if len(b.waiting) == 0 {
		return false
	}
	b.count()
	for a := range b.waiting {
		if b.spare(a) {
			return true
		}
	}
	return false
}

// low reports that d soon has nothing to do.
func (b *Board[J]) low(d *target[J]) bool { most := b.most(d); return d.waiting <= most/2 && most > 0 }

// forget drops a contact that has nothing to do, unless its pace is worth remembering.
func (b *Board[J]) forget(d *target[J]) {
	if d.running == 0 && d.waiting == 0 && !d.more && (d.pace == retry.Pace{} && !d.answers || len(b.targets) > knownContacts) {
		delete(b.targets, d.key)
	}
}

// Learn puts what an attempt says of whom it contacted, and of the way there, into their
// paces, and returns those that have closed or opened again.
func (b *Board[J]) Learn(to delivery.Contact, res *delivery.Result, now time.Time, jitter float64) (changes []Change) {
	for _, l := range lessons(to, res) {
		old, p := b.learn(l, res.Started, now, jitter)
		if !p.Blocked.Equal(old.Blocked) || p.Dead() != old.Dead() {
			changes = append(changes, Change{l.to, p, unreachable(res)})
		}
	}
	return changes
}

func (b *Board[J]) learn(l lesson, started, now time.Time, jitter float64) (old, p retry.Pace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.target(l.to)
	old = d.pace
	d.pace = old.After(l.signal, started, now, b.perContact, jitter)
	if l.answered || l.signal == retry.Unreachable {
		b.heard(d, l.answered, now.Sub(started))
	}
	p = d.pace
	b.listAll(d)
	b.forget(d) // a way that contacts share has no job of its own
	return old, p
}

// Recall takes the jobs of a contact, or of all that share a way, off that have not started.
func (b *Board[J]) Recall(c delivery.Contact) (out []J) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.targets {
		if d.key == c || d.way == c {
			out = append(out, b.recallFrom(d)...)
		}
	}
	return out
}

// RecallAll takes all jobs off that have not started.
func (b *Board[J]) RecallAll() (out []J) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.targets {
		out = append(out, b.recallFrom(d)...)
		b.forget(d)
	}
	return out
}

func (b *Board[J]) recallFrom(d *target[J]) []J {
	jobs := d.clear()
	for _, j := range jobs {
		b.tallyUp(j.ticket().Account, -1, -j.ticket().Memory)
		b.gone(j)
	}
	b.shift(d, -len(jobs), 0)
	return jobs
}

// gone takes a job off. What it counted as may have changed since it came: the next
// count of all puts that right.
func (b *Board[J]) gone(j J) {
	delete(b.live, j)
	if d := b.targets[j.ticket().To]; d != nil && b.silentJobs > 0 {
		b.countSilent(d, j.ticket().Account, -1)
	}
}

// Starve asks Done to tell when there is room again.
func (b *Board[J]) Starve() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starved = true
}

// Await counts jobs whose outcome the store does not take: while there are any, no other
// begins. It reports the first of them, and the end of the last.
func (b *Board[J]) Await(n int) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.unsettled > 0
	b.unsettled += n
	return was != (b.unsettled > 0)
}
