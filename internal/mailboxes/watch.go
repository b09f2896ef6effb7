package mailboxes

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/views"
)

// Watch returns a channel on which something is to be had whenever mail of the account may have
// changed: at once after a change of this process, within a second after one of another
// (MBX-6). What has changed, a Look tells. stop must be called.
func (s *Store) Watch(account string) (wake <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if s.feed.who == nil {
		s.feed.who = map[string]map[chan struct{}]struct{}{}
	}
	if s.feed.who[account] == nil {
		s.feed.who[account] = map[chan struct{}]struct{}{}
	}
	s.feed.who[account][c] = struct{}{}
	return c, func() {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		if delete(s.feed.who[account], c); len(s.feed.who[account]) == 0 {
			delete(s.feed.who, account)
		}
	}
}

// Rouse wakes those who watch an account once the transaction is durable.
func (s *Store) Rouse(tx *store.Tx, account string) error {
	tx.After(func() { s.feed.wake(account) })
	return tx.Tell(channel, account)
}

// wake tells all who watch an account; "" is every account.
func (f *feed) wake(account string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if account != "" {
		wakeAll(f.who[account])
		return
	}
	for _, some := range f.who {
		wakeAll(some)
	}
}

func wakeAll(some map[chan struct{}]struct{}) {
	for c := range some {
		select {
		case c <- struct{}{}:
		default: // it has something to look at already
		}
	}
}

// Look begins to look at a mailbox. Close must be called. ErrNoSuchMailbox.
func (s *Store) Look(ctx context.Context, box int64) (*views.Look, error) {
	return s.views.Look(ctx, s.DB, box)
}

// Pack keeps large mailboxes packed, so that views of them are made at once, until ctx ends; failed hears why one is not.
func (s *Store) Pack(ctx context.Context, failed func(error)) error {
	return s.views.Pack(ctx, s.DB, failed)
}

// Run hears what other processes change, until ctx ends.
func (s *Store) Run(ctx context.Context) error { return s.DB.Listen(ctx, channel, s.feed.wake) }

// How it is made sure that Run hears.
const (
	earCheck = 30 * time.Second
	earPoll  = 500 * time.Millisecond // so often all are woken while nothing is heard
	earPolls = 10                     // so long what this process tells itself is waited for
)

// MindEars makes sure that Run hears, until ctx ends: a connection to PostgreSQL may be dead without a word, and a pooler
// between may pass nothing on. While this process does not hear what it tells itself, all who watch are woken twice
// a second (MBX-6), and failed hears of it once.
func (s *Store) MindEars(ctx context.Context, failed func(error)) error {
	if !s.DB.Postgres() { // a file is looked at, again and again
		<-ctx.Done()
		return nil
	}
	self := "?" + strconv.FormatInt(store.NewID(), 36) // no account's name
	for deaf := false; ctx.Err() == nil; {
		if s.hearsItself(ctx, self, deaf) {
			deaf = false
			select {
			case <-ctx.Done():
			case <-time.After(earCheck):
			}
			continue
		}
		if !deaf && ctx.Err() == nil {
			failed(errDeaf)
		}
		deaf = true
	}
	return nil
}

var errDeaf = errors.New("PostgreSQL does not pass on what machines tell each other (LISTEN, NOTIFY): all mailboxes are looked at twice a second instead; " +
	"connect to the server itself, or by a pooler that keeps sessions")

// hearsItself reports that what is told comes back; of a process that was deaf, all are woken meanwhile. Where the database is
// away, which others tell of, that stays as it was.
func (s *Store) hearsItself(ctx context.Context, self string, deaf bool) bool {
	heard, stop := s.Watch(self)
	defer stop()
	away := s.DB.Write(ctx, func(tx *store.Tx) error { return tx.Tell(channel, self) }) != nil
	for range earPolls {
		select {
		case <-heard:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(cmp.Or(s.poll, earPoll)):
		}
		if deaf {
			s.feed.wake("")
			<-heard // that was us
		}
	}
	return away && !deaf
}
