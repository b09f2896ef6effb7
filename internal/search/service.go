package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

const (
	look  = time.Second // how soon a mail is looked for that another process has taken
	ahead = 4           // steps among which machines choose theirs
	tries = 3           // before a mail that cannot be read is left out of the index
)

// Service takes mails into the index. Its fields are set before Run.
type Service struct {
	*Store
	Log   *slog.Logger
	Guard *guard.Guard // contains panics

	failed map[int64]int // how often a mail could not be read
	last   string        // the account that was served last
	pace   pace
}

// Run indexes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	seen, busy := time.Now(), s.DB.Busy() // when the pace was found, and what it was found from
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		from, others := time.Now(), s.DB.Busy()
		s.pace = s.pace.after(others-busy, from.Sub(seen))
		seen, busy = from, others
		n, err := s.Step(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.Error("mail was not indexed for searches", "error", err)
		}
		if n == 0 || err != nil {
			timer.Reset(look)
		} else {
			timer.Reset(s.pace.pause(time.Since(from)))
		}
	}
}

// Step indexes some mails of one account, and gives how many; 0: there is nothing to do. Accounts take turns.
func (s *Service) Step(ctx context.Context) (int, error) {
	account, mails, err := s.next(ctx)
	if err != nil || len(mails) == 0 {
		return 0, err
	}
	s.last = account
	var entries []entry
	words := 0
	for _, m := range mails {
		d, err := s.read(ctx, m)
		if err != nil && len(entries) > 0 {
			break // the next step begins with it
		}
		if err != nil {
			return 0, err
		}
		entries = append(entries, entry{m, d})
		if words += d.size(); words >= s.pace.words() {
			break
		}
	}
	return len(entries), s.put(ctx, account, entries)
}

func (d *Doc) size() (n int) {
	if d != nil {
		for _, words := range d.fields {
			n += len(words)
		}
	}
	return n
}

// next chooses the account that comes next, and some of its mails: with PostgreSQL not always the first
// ones, so that several machines seldom choose the same.
func (s *Service) next(ctx context.Context) (account string, mails []int64, err error) {
	const q = `SELECT coalesce(min(account), '') FROM mails_unindexed WHERE account > ?`
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		for _, after := range []string{s.last, ""} {
			if err := tx.Row(q, after).Scan(&account); err != nil {
				return err
			}
			if account != "" {
				break
			}
		}
		n := mostMails
		if tx.Postgres() {
			n = ahead * mostMails
		}
		mails, err = store.Column[int64](tx, `SELECT mail FROM mails_unindexed WHERE account = ? ORDER BY mail LIMIT ?`, account, int64(n))
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("which mail is to be indexed: %w", err)
	}
	if len(mails) > mostMails {
		at := rand.IntN(len(mails) - mostMails + 1)
		mails = mails[at : at+mostMails]
	}
	return account, mails, nil
}

// read reads a mail's words; nil for one that is gone. One that cannot be read several times has none.
func (s *Service) read(ctx context.Context, mail int64) (d *Doc, err error) {
	err = s.Guard.Try(guard.Search, func() error {
		d, err = s.doc(ctx, mail)
		return err
	}, "mail", mail)
	switch {
	case err == nil, errors.Is(err, mailboxes.ErrNoSuchMessage):
		delete(s.failed, mail)
		return d, nil
	case ctx.Err() != nil:
		return nil, err
	}
	if s.failed == nil || len(s.failed) > 1000 {
		s.failed = map[int64]int{}
	}
	if s.failed[mail]++; s.failed[mail] < tries {
		return nil, fmt.Errorf("read mail %d: %w", mail, err)
	}
	delete(s.failed, mail)
	s.Log.Error("a mail cannot be read, and searches will not find it", "mail", mail, "error", err)
	return &Doc{}, nil
}
