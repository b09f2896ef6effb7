package dispatch

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// tally is who has the places of a board, as retry.Places wants to know it.
type tally struct {
	account  map[string]int // deliveries under way, by account; mailboxes here are not counted
	silent   int            // of them to contacts that do not answer
	silentOf map[string]int // the same by account
	at       time.Time      // when all was counted
	stale    bool           // what a contact counts as has changed since
}

// recount is how long a count of who is slow stands.
const recount = time.Second

// began and ended note a delivery. What it counts as stands in its ticket, so that
// whatever was added is taken off.
func (t *tally) began(j *Ticket, silent bool) {
	j.silent = silent
	t.add(j, 1)
}

func (t *tally) ended(j *Ticket) { t.add(j, -1) }

func (t *tally) add(j *Ticket, n int) {
	bump(t.account, j.Account, n)
	if j.silent {
		t.silent += n
		bump(t.silentOf, j.Account, n)
	}
}

func bump(m map[string]int, k string, n int) {
	if m[k] += n; m[k] <= 0 {
		delete(m, k)
	}
}

// count counts all anew where that is due: time alone makes a contact slow. b.mu is held.
func (b *Board[J]) count() {
	now := b.now()
	if !b.tally.stale && now.Sub(b.tally.at) < recount && !now.Before(b.tally.at) {
		return
	}
	b.tally = tally{account: map[string]int{}, silentOf: map[string]int{}, at: now}
	for _, d := range b.targets {
		d.slow = false
	}
	for j, d := range b.working {
		d.slow = d.slow || now.Sub(j.ticket().began) >= retry.SlowAfter
	}
	for j, d := range b.working {
		if !d.key.Local {
			b.tally.began(j.ticket(), d.silent())
		}
	}
	b.silentJobs, b.silentOf = 0, map[string]int{}
	for j := range b.live {
		if d := b.targets[j.ticket().To]; d != nil {
			b.countSilent(d, j.ticket().Account, 1)
		}
	}
	b.stuck = false
}

// countSilent counts a job on the board that comes or goes, if its contact is silent.
func (b *Board[J]) countSilent(d *target[J], account string, n int) {
	if d.silent() {
		b.silentJobs += n
		bump(b.silentOf, account, n)
	}
}

// mayStart reports that a job of an account may be started for d. b.mu is held.
func (b *Board[J]) mayStart(d *target[J], account string) bool {
	if d.key.Local {
		return true
	}
	return retry.Places{
		All: b.concurrency, Account: b.tally.account[account], Silent: b.tally.silent, SilentOfAccount: b.tally.silentOf[account],
		Answers: !d.silent(),
	}.Free()
}

// mayCome reports that n more jobs of an account for a contact may be put on the board:
// mail that has to wait for silent contacts waits in the store. b.mu is held.
func (b *Board[J]) mayCome(c delivery.Contact, account string, n int) bool {
	if c.Local {
		return true
	}
	if d := b.targets[c]; d != nil && !d.silent() {
		return true
	}
	silent, mine := retry.Waiting(b.limit)
	return b.silentJobs+n <= silent && b.silentOf[account]+n <= mine
}

// spare reports that half of an account's share of the board for silent contacts is free.
// b.mu is held.
func (b *Board[J]) spare(account string) bool {
	silent, mine := retry.Waiting(b.limit)
	return b.silentJobs <= silent/2 && b.silentOf[account] <= mine/2
}

// heard notes that a contact answered, or did not, and counts it as what it is now. b.mu
// is held.
func (b *Board[J]) heard(d *target[J], answered bool, took time.Duration) {
	now := answered && took < retry.SlowAfter
	if answered && !now {
		d.slow = true // until it is counted again
	}
	if d.answers != now {
		d.answers = now
		b.tally.stale = true
	}
}
