package correspondents

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/store"
)

// Messages that were taken are noted in memory, and written together: the next message of a
// sender comes seldom within a moment, and a crash costs no more than a count.
const (
	flushEvery = time.Second
	maxPending = 10_000 // senders; more are not counted
)

type pair struct{ account, who string }

type pending struct {
	mu    sync.Mutex
	count map[pair]int64
}

// Received notes that the account has had a message of who.
func (s *Store) Received(account, who string) {
	p := &s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil {
		p.count = map[pair]int64{}
	}
	if key := (pair{account, who}); len(p.count) < maxPending || p.count[key] > 0 {
		p.count[key]++
	}
}

// Run writes what was noted until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn("whose mail accounts have had was not noted", "error", err)
			}
		}
	}
}

// Flush writes what was noted. What could not be written is noted no more.
func (s *Store) Flush(ctx context.Context) error {
	s.pending.mu.Lock()
	all := s.pending.count
	s.pending.count = nil
	s.pending.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	var keys []pair
	for k := range all {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pair) int { return strings.Compare(a.account+" "+a.who, b.account+" "+b.who) })
	now := store.Time(s.Now())
	return s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		for _, k := range keys {
			_, err := tx.Exec(`INSERT INTO correspondents (account, who, received, last) SELECT name, ?, ?, ? FROM accounts WHERE name = ?
				ON CONFLICT (account, who) DO UPDATE SET received = correspondents.received + excluded.received, last = excluded.last`, k.who, all[k], now, k.account)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
