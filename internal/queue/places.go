package queue

import (
	"time"

	"waxwing/internal/retry"
)

// tally is who has the places of a board, as retry.Places wants to know it.
type tally struct {
	account  map[string]int // deliveries under way, by account; mailboxes here are not counted
	silent   int            // of them to destinations that do not answer
	silentOf map[string]int // the same by account
	at       time.Time      // when all was counted
	stale    bool           // what a destination counts as has changed since
}

// recount is how long a count of who is slow stands.
const recount = time.Second

// began and ended note a delivery. What it counts as stands in the job, so that
// whatever was added is taken off.
func (t *tally) began(j *job, silent bool) {
	j.silently = silent
	t.add(j, 1)
}

func (t *tally) ended(j *job) { t.add(j, -1) }

func (t *tally) add(j *job, n int) {
	bump(t.account, j.Account, n)
	if j.silently {
		t.silent += n
		bump(t.silentOf, j.Account, n)
	}
}

func bump(m map[string]int, k string, n int) {
	if m[k] += n; m[k] <= 0 {
		delete(m, k)
	}
}

// silent reports a destination that has not answered, or does not now.
func (d *dest) silent() bool { return !d.key.local && (!d.answers || d.slow) }

// count counts all anew where that is due: time alone makes a destination slow. b.mu is held.
func (b *board) countPlaces() {
	now := b.now()
	if !b.tally.stale && now.Sub(b.tally.at) < recount && !now.Before(b.tally.at) {
		return
	}
	b.tally = tally{account: map[string]int{}, silentOf: map[string]int{}, at: now}
	for _, d := range b.dests {
		d.slow = false
	}
	for j, d := range b.working {
		d.slow = d.slow || now.Sub(j.began) >= retry.SlowAfter
	}
	for j, d := range b.working {
		if !d.key.local {
			b.tally.began(j, d.silent())
		}
	}
	b.heldSilent, b.silentOf = 0, map[string]int{}
	for j := range b.live {
		if d := b.dests[j.to]; d != nil && d.silent() {
			b.heldSilent++
			b.silentOf[j.Account]++
		}
	}
	b.stuck = false
}

// mayStart reports that a job of an account may be started for d. b.mu is held.
func (b *board) mayStart(d *dest, account string) bool {
	if d.key.local {
		return true
	}
	return retry.Places{
		All: b.concurrency, Account: b.tally.account[account], Silent: b.tally.silent, SilentOfAccount: b.tally.silentOf[account],
		Answers: !d.silent(),
	}.Free()
}

// mayHold reports that n more jobs of an account for a destination may be put on the
// board: mail that has to wait for silent destinations waits in the store. b.mu is held.
func (b *board) mayHold(k destKey, account string, n int) bool {
	if k.local {
		return true
	}
	if d := b.dests[k]; d != nil && !d.silent() {
		return true
	}
	silent, mine := retry.Held(b.limit)
	return b.heldSilent+n <= silent && b.silentOf[account]+n <= mine
}

// heard notes that a destination answered, or did not, and counts it as what it is now.
// b.mu is held.
func (b *board) heard(d *dest, answered bool, took time.Duration) {
	now := answered && took < retry.SlowAfter
	if answered && !now {
		d.slow = true // until it is counted again
	}
	if d.answers != now {
		d.answers = now
		b.tally.stale = true
	}
}
