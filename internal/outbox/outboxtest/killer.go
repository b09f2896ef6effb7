package outboxtest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"waxwing/internal/store"
)

// ErrKilled is of whatever a dead machine would do.
var ErrKilled = errors.New("killed")

// Killer kills the machine at its Nth commit: before it is made, or right after it, so that
// nothing that follows happens. Dead, it does nothing more. Its method Commit is a Box's Crash.
type Killer struct {
	N     int // 0: never
	After bool

	mu    sync.Mutex
	count int
	dead  bool
	seen  int64 // SQLite's changes so far
}

// Commit is told of a transaction that is about to be committed.
func (k *Killer) Commit(tx *store.Tx) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return ErrKilled
	}
	// A transaction that has changed nothing leaves nothing to be lost.
	q := `SELECT total_changes()`
	if tx.Postgres() {
		q = `SELECT coalesce(CAST(CAST(pg_current_xact_id_if_assigned() AS TEXT) AS BIGINT), 0)`
	}
	var changes int64
	if err := tx.Row(q).Scan(&changes); err != nil {
		return err
	}
	if changes == 0 || changes == k.seen {
		return nil
	}
	k.seen = changes
	if k.count++; k.count == k.N {
		k.dead = true
		if !k.After {
			return ErrKilled
		}
	}
	return nil
}

// Dead says whether the machine was killed.
func (k *Killer) Dead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// Count is how many commits there were.
func (k *Killer) Count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count
}

// Sample says whether a test that kills machines is to be content with a few of its kills: under
// -short and under the race detector.
func Sample() bool { return testing.Short() || raceDetector }

// AtEveryCommit has run live with a machine that is killed nowhere, and then before and after
// each of its commits, of which there are at least that many. Where the engine is slow, or the
// race detector looks on, it is a sample, of others each time.
func AtEveryCommit(t *testing.T, s *store.Store, least int, run func(*Killer)) {
	t.Helper()
	whole := &Killer{}
	run(whole)
	if whole.Count() < least {
		t.Fatalf("only %d commits", whole.Count())
	}
	step := 1
	if Sample() || s.Postgres() {
		step = 7
	}
	for n := 1 + rand.IntN(step); n <= whole.Count(); n += step {
		for _, after := range []bool{false, true} {
			if run(&Killer{N: n, After: after}); t.Failed() {
				t.Fatalf("killed at commit %d of %d, after it: %v", n, whole.Count(), after)
			}
		}
	}
}
