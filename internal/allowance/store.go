package allowance

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"waxwing/internal/store"
)

// Store counts. Its fields are not changed once it is in use; it is safe for
// concurrent use.
type Store struct {
	DB    *store.Store
	Limit Count            // of accounts without one of their own; 0: none
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard
	// Refused is told of each refusal, with Messages or Recipients; nil: nobody.
	Refused func(what string)

	mu     sync.Mutex
	shares map[string]*share // by account
	late   []debt            // of days that are over
}

// share is what this machine has taken from the store for one account and not
// spent yet.
type share struct {
	mu      sync.Mutex
	gone    bool // no longer in Store.shares
	day     int64
	free    Count
	used    time.Time // last
	refusal *refusal
	told    int64 // the day on which the log was told of a refusal
}

// refusal answers the same question for a moment without a look at the store:
// a client that goes on knocking costs nothing.
type refusal struct {
	need  Count
	err   *Exceeded
	until time.Time
}

const refusalHolds = 2 * time.Second

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Store) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Check says whether the account may send a message to that many recipients
// now: nil, *Exceeded, or the store's error.
func (s *Store) Check(ctx context.Context, account string, recipients int) error {
	need := Count{1, int64(recipients)}
	return s.with(account, func(sh *share) error { return s.ensure(ctx, sh, account, need) })
}

// Spend is Check and counts the message; undo takes one back that was not accepted
// after all, from the day on which it was counted.
func (s *Store) Spend(ctx context.Context, account string, recipients int) (undo func(), err error) {
	d := debt{account: account, free: Count{1, int64(recipients)}}
	err = s.with(account, func(sh *share) error {
		if err := s.ensure(ctx, sh, account, d.free); err != nil {
			return err
		}
		sh.free, d.day = sh.free.minus(d.free), sh.day
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func() { s.undo(d) }, nil
}

func (s *Store) undo(d debt) {
	s.with(d.account, func(sh *share) error {
		if sh.day == d.day {
			sh.free, sh.refusal = sh.free.plus(d.free), nil
		} else { // that day is over, or the share was idle and is a new one
			s.owe(d)
		}
		return nil
	})
}

// with runs fn on the account's share, locked.
func (s *Store) with(account string, fn func(*share) error) error {
	for {
		s.mu.Lock()
		sh := s.shares[account]
		if sh == nil {
			if s.shares == nil {
				s.shares = map[string]*share{}
			}
			sh = &share{}
			s.shares[account] = sh
		}
		s.mu.Unlock()
		if here, err := sh.with(s.now, fn); here {
			return err
		}
	}
}

// with runs fn on the share, locked, if it is still one that counts.
func (sh *share) with(now func() time.Time, fn func(*share) error) (here bool, err error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.gone {
		return false, nil
	}
	sh.used = now()
	return true, fn(sh)
}

// ensure makes sh.free cover need.
func (s *Store) ensure(ctx context.Context, sh *share, account string, need Count) error {
	now := s.now()
	if today := dayOf(now); sh.day != today {
		s.owe(debt{sh.day, account, sh.free})
		sh.day, sh.free, sh.refusal = today, Count{}, nil
	}
	if sh.free.covers(need) {
		return nil
	}
	if r := sh.refusal; r != nil && now.Before(r.until) && need.covers(r.need) {
		s.refused(r.err)
		return r.err
	}
	take, exceeded, err := s.take(ctx, sh.day, account, need.minus(sh.free))
	if err != nil {
		return err
	}
	if exceeded != nil {
		exceeded.Used -= sh.free.of(exceeded.What)
		sh.refusal = &refusal{need, exceeded, now.Add(refusalHolds)}
		if sh.told != sh.day {
			sh.told = sh.day
			s.log().Warn("an account has reached its limit for today: is its password in wrong hands? \"waxwing account limit\" changes the limit",
				"account", account, "limit", exceeded.What, "allowed", exceeded.Limit)
		}
		s.refused(exceeded)
		return exceeded
	}
	sh.free, sh.refusal = sh.free.plus(take), nil
	return nil
}

func (c Count) of(what string) int64 {
	if what == Messages {
		return c.Messages
	}
	return c.Recipients
}

func (s *Store) refused(e *Exceeded) {
	if s.Refused != nil {
		s.Refused(e.What)
	}
}

// take writes a block down as used, in one transaction with the look at what is left.
func (s *Store) take(ctx context.Context, day int64, account string, need Count) (take Count, exceeded *Exceeded, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		exceeded = nil
		if _, err := tx.Exec(`INSERT INTO account_use (day, account, messages, recipients) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING`, day, account); err != nil {
			return err
		}
		var used Count
		err := tx.Row(`SELECT messages, recipients FROM account_use WHERE day = ? AND account = ?`+tx.Wait(), day, account).Scan(&used.Messages, &used.Recipients)
		if err != nil {
			return err
		}
		own, err := limitOf(tx, account)
		if err != nil {
			return err
		}
		limit := own.over(s.Limit)
		var word string
		if take, word = grant(limit, used, need); word != "" {
			exceeded = &Exceeded{What: word, Used: used.of(word), Limit: limit.of(word), Opens: startOf(day + 1)}
			return nil
		}
		_, err = tx.Exec(`UPDATE account_use SET messages = messages + ?, recipients = recipients + ? WHERE day = ? AND account = ?`,
			take.Messages, take.Recipients, day, account)
		return err
	})
	return take, exceeded, err
}

// debt is what was taken and not needed.
type debt struct {
	day     int64
	account string
	free    Count
}

func (s *Store) owe(d debt) {
	if d.free == (Count{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, d)
}

const (
	settleEvery = 10 * time.Second
	sweepEvery  = time.Hour
	// keepDays is how long what accounts have sent can be looked up.
	keepDays = 31
	stopWait = 5 * time.Second
)

// Run gives back what is not needed and forgets old days, until ctx ends; then
// it gives back all.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	var swept time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
			defer cancel()
			s.Settle(last, 0)
			return nil
		case <-tick.C:
		}
		s.Settle(ctx, settleEvery)
		if now := s.now(); now.Sub(swept) >= sweepEvery {
			swept = now
			s.sweep(ctx)
		}
	}
}

// Settle gives back what this machine has taken for accounts that have sent
// nothing for idle. What cannot be given back counts as sent.
func (s *Store) Settle(ctx context.Context, idle time.Duration) {
	debts := s.collect(idle)
	if len(debts) == 0 {
		return
	}
	// In one order on all machines: they must not wait for each other.
	slices.SortFunc(debts, func(a, b debt) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.account, b.account)) })
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, d := range debts {
			if _, err := tx.Exec(`UPDATE account_use SET messages = messages - ?, recipients = recipients - ? WHERE day = ? AND account = ?`,
				d.free.Messages, d.free.Recipients, d.day, d.account); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log().Error("what accounts may still send today was not given back, and counts as sent", "accounts", len(debts), "error", err)
	}
}

// collect takes the debts out of the idle shares, and forgets these.
func (s *Store) collect(idle time.Duration) []debt {
	s.mu.Lock()
	defer s.mu.Unlock()
	debts := s.late
	s.late = nil
	before := s.now().Add(-idle)
	for account, sh := range s.shares {
		if !sh.mu.TryLock() {
			continue // at work
		}
		if !sh.used.After(before) {
			if sh.free != (Count{}) {
				debts = append(debts, debt{sh.day, account, sh.free})
			}
			sh.gone, sh.free = true, Count{}
			delete(s.shares, account)
		}
		sh.mu.Unlock()
	}
	return debts
}

func (s *Store) sweep(ctx context.Context) {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM account_use WHERE day < ?`, dayOf(s.now())-keepDays)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log().Error("old days of what accounts have sent were not removed, will try again", "error", err)
	}
}
