package queue

import (
	"context"
	"sync"
	"time"

	"waxwing/internal/delivery"
)

// row is a recipient as leased, with what settling needs beside the noun.
type row struct {
	delivery.Recipient
	message     int64
	domain      string
	local       bool
	delayTold   bool
	firstFail   string
	firstFailAt time.Time
}

// job is a leased delivery.Job with its rows and, if it came straight from
// Enqueue, its content.
type job struct {
	delivery.Job
	rows    []row
	content delivery.Content // nil: read from the store
	memory  int64            // octets that content holds in memory
	lease   *lease
	to      destKey       // what the concurrency cap counts by
	back    time.Duration // if it was refused: when it may come back
}

type destKey struct {
	domain string
	local  bool
}

// Bounds of the board, as multiples of the concurrency and in octets.
const (
	boardFactor = 4        // leased jobs in memory, running ones included
	boardMemory = 64 << 20 // message bodies handed over by Enqueue
	destShare   = 4        // one destination may fill 1/destShare of the board
)

// board holds the leased jobs of this machine and says which may start: at most
// concurrency at once, perDest for one destination, destinations in turn. Its
// memory is bounded (QUE-9).
type board struct {
	mu          sync.Mutex
	open        bool // a runner works on it
	concurrency int
	perDest     int
	limit       int
	held        int // jobs on the board, reservations included
	memory      int64
	running     int
	starved     bool // the store holds due work that found no room
	dests       map[destKey]*dest
	ring        []*dest // those that may start a job, each once
	live        map[*job]struct{}
	workers     sync.WaitGroup
	ctx         context.Context // of the attempts; ends when they are to stop at once
	abort       context.CancelFunc
}

type dest struct {
	key     destKey
	running int
	waiting []*job
	listed  bool // is in the ring
	// For the time at which refused jobs come back.
	since    time.Time
	finished int
	parked   int
}

// How long mail stays away whose destination has as much here as it may hold:
// the rest of the backlog gets its turn meanwhile.
const (
	parkTime    = time.Second
	longestPark = time.Hour
	guessedPace = 100 * time.Millisecond // a message, before any went through
)

// park is when the next refused job of d may come back: when those before it
// should be through, as fast as d has taken mail so far. So a large backlog is not
// claimed in vain again and again.
func (d *dest) park(now time.Time) time.Duration {
	d.parked++
	each := guessedPace
	if d.finished > 0 {
		each = max(now.Sub(d.since), 0) / time.Duration(d.finished)
	}
	ahead := time.Duration(len(d.waiting) + d.parked)
	if each > longestPark/ahead {
		return longestPark
	}
	return max(each*ahead, parkTime)
}

func newBoard(concurrency, perDest int) *board {
	return &board{
		concurrency: concurrency, perDest: perDest, limit: boardFactor * concurrency,
		dests: map[destKey]*dest{}, live: map[*job]struct{}{},
	}
}

// cap is how many jobs of d may run. Mailboxes here are no remote host that
// wants to be spared.
func (b *board) cap(d *dest) int {
	if d.key.local {
		return b.concurrency
	}
	return b.perDest
}

// reserve takes room for the jobs of a message that is about to be accepted.
func (b *board) reserve(keys []destKey, memory int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || b.held+len(keys) > b.limit || b.memory+memory > boardMemory {
		return false
	}
	for _, k := range keys {
		if b.full(k) {
			return false
		}
	}
	b.held += len(keys)
	b.memory += memory
	return true
}

// full reports whether a destination has as many jobs waiting here as it may.
func (b *board) full(k destKey) bool {
	d := b.dests[k]
	return d != nil && len(d.waiting) >= max(b.limit/destShare, 1)
}

func (b *board) unreserve(n int, memory int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	b.memory -= memory
}

// room is how many more jobs may be claimed.
func (b *board) room() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit - b.held
}

// add puts jobs up. Reserved ones are counted already; of the others those are
// returned that find no room, to be given back. All are returned once the board
// is closed.
func (b *board) add(jobs []*job, reserved bool, now time.Time) (refused []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range jobs {
		if !b.open || !reserved && (b.held >= b.limit || b.full(j.to)) {
			if d := b.dests[j.to]; b.open && d != nil {
				j.back = d.park(now)
			}
			refused = append(refused, j)
			if reserved {
				b.held--
				b.memory -= j.memory
			}
			continue
		}
		if !reserved {
			b.held++
		}
		d := b.dests[j.to]
		if d == nil {
			d = &dest{key: j.to, since: now}
			b.dests[d.key] = d
		}
		d.parked = max(d.parked-1, 0)
		d.waiting = append(d.waiting, j)
		b.live[j] = struct{}{}
		b.list(d)
	}
	return refused
}

// list puts d into the ring if it can start a job.
func (b *board) list(d *dest) {
	if !d.listed && len(d.waiting) > 0 && d.running < b.cap(d) {
		d.listed = true
		b.ring = append(b.ring, d)
	}
}

// next takes the job whose turn it is; nil if none may start.
func (b *board) next() *job {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take()
}

func (b *board) take() *job {
	if !b.open || len(b.ring) == 0 || b.running >= b.concurrency {
		return nil
	}
	d := b.ring[0]
	b.ring[0] = nil
	b.ring = b.ring[1:]
	d.listed = false
	j := d.waiting[0]
	d.waiting[0] = nil
	d.waiting = d.waiting[1:]
	d.running++
	b.running++
	b.workers.Add(1)
	b.list(d)
	return j
}

// done takes a finished job off. low reports that the board has just run low
// and could take more from the store.
func (b *board) done(j *job) (low bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held--
	b.memory -= j.memory
	b.running--
	delete(b.live, j)
	b.workers.Done()
	d := b.dests[j.to]
	d.running--
	d.finished++
	b.list(d)
	if d.running == 0 && len(d.waiting) == 0 {
		delete(b.dests, d.key)
	}
	low = b.starved && b.held <= b.limit/2
	if low {
		b.starved = false
	}
	return low
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
	for k, d := range b.dests {
		for _, j := range d.waiting {
			b.held--
			b.memory -= j.memory
			delete(b.live, j)
			unstarted = append(unstarted, j)
		}
		d.waiting, d.listed = nil, false
		if d.running == 0 {
			delete(b.dests, k)
		}
	}
	b.ring = nil
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
