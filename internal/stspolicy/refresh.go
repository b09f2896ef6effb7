package stspolicy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

const (
	// batch is how many due rows are claimed, and refreshed, at a time.
	batch = 8
	// claimFor keeps a claimed row from other machines; it is longer than a
	// refresh takes.
	claimFor = 10 * time.Minute
)

// Run refreshes what is due (STS-10) until ctx ends, at once when it does, and
// then returns nil.
func (c *Cache) Run(ctx context.Context) error {
	every := c.Every
	if every <= 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := c.RefreshDue(ctx); err != nil && ctx.Err() == nil {
			c.log().Error("MTA-STS refresh failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RefreshDue refreshes every row that is due now, and drops what is of no more
// use. Several machines may do it at the same time: each row is claimed by one.
func (c *Cache) RefreshDue(ctx context.Context) error {
	if err := c.prune(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		due, err := c.claim(ctx)
		if err != nil || len(due) == 0 {
			return err
		}
		var wg sync.WaitGroup
		for _, e := range due {
			c.Guard.In(&wg, guard.Refresh, func() { c.contained(ctx, &e) })
		}
		wg.Wait()
	}
	return ctx.Err()
}

// prune drops rows that nobody used for 180 days, and those whose policy has
// run out and whose failures, if any, are a day old: a row is then nothing
// that a new lookup would not find.
func (c *Cache) prune(ctx context.Context) error {
	now := c.now()
	err := c.change(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM sts_policy WHERE last_used < ? OR (valid_until <= ? AND backoff_until < ?)`,
			store.Time(now.Add(-unusedAfter)), store.Time(now), store.Time(now.Add(-24*time.Hour)))
	})
	if err != nil {
		return fmt.Errorf("dropping old MTA-STS policies: %w", err)
	}
	return nil
}

// claim takes rows with a policy in force that are due, the longest due first.
func (c *Cache) claim(ctx context.Context) ([]Entry, error) {
	now := c.now()
	var out []Entry
	err := c.change(ctx, func(tx *store.Tx) (_ int64, err error) {
		out, err = store.Collect(tx, entry, `SELECT `+columns+` FROM sts_policy WHERE due <= ? AND valid_until > ?
			ORDER BY due LIMIT ?`+tx.Lock(), store.Time(now), store.Time(now), batch)
		if err != nil {
			return 0, err
		}
		for _, e := range out {
			if _, err := tx.Exec(`UPDATE sts_policy SET due = ? WHERE domain = ?`,
				store.Time(now.Add(claimFor)), e.Domain.ASCII()); err != nil {
				return 0, err
			}
		}
		return int64(len(out)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("claiming MTA-STS policies to refresh: %w", err)
	}
	return out, nil
}

// contained refreshes one row. One over which that panics is not looked at again
// before its next turn; until then, or until it runs out, its policy stays.
func (c *Cache) contained(ctx context.Context, e *Entry) {
	work := *e
	if c.Guard.Do(guard.Refresh, func() { c.refresh(ctx, &work) }, "domain", e.Domain.ASCII()) {
		return
	}
	e.Due = nextDue(e, c.now(), c.rand())
	if err := c.postpone(ctx, e); err != nil && ctx.Err() == nil {
		c.log().Warn("MTA-STS cache not updated", "domain", e.Domain.ASCII(), "error", err)
	}
}

// refresh checks the record of one row, and fetches where STS-10 says so. The
// row stays claimed if ctx ends, and is due again when the claim is.
func (c *Cache) refresh(ctx context.Context, e *Entry) {
	_, record, rerr := mtasts.LookupRecord(ctx, c.DNS, e.Domain)
	if ctx.Err() != nil {
		return
	}
	now := c.now()
	var err error
	switch {
	case rerr != nil && rerr.Word == reason.STSNoRecord && e.isNone():
		_, err = c.Forget(ctx, e.Domain)
	case rerr != nil:
		c.complain(e, rerr)
		e.Due = nextDue(e, now, c.rand())
		if rerr.Word == reason.STSLookupFailed {
			e.Due = now.Add(min(dnsRetry, e.Due.Sub(now)))
		} else {
			e.LastChecked = now
		}
		err = c.postpone(ctx, e)
	case e.backingOff(record.ID, now):
		e.Due, e.LastChecked = e.BackoffUntil, now
		err = c.postpone(ctx, e)
	case needsFetch(e, record.ID, now):
		c.refetch(ctx, e.Domain)
	default:
		e.Due, e.LastChecked = nextDue(e, now, c.rand()), now
		err = c.postpone(ctx, e)
	}
	if err != nil && ctx.Err() == nil {
		c.log().Warn("MTA-STS cache not updated", "domain", e.Domain.ASCII(), "error", err)
	}
}

func (c *Cache) refetch(ctx context.Context, domain dns.Name) {
	f := c.fetchOnce(ctx, domain, true)
	if f.Failure == nil || ctx.Err() != nil {
		return
	}
	if f.Policy == nil || f.Policy.Mode != mtasts.ModeNone {
		c.log().Warn("MTA-STS policy not refreshed", "domain", domain.ASCII(), "word", string(f.Failure.Word), "error", f.Failure)
	}
}

// complain logs a record that could not be found, unless the policy asks for
// nothing anyway (STS-10).
func (c *Cache) complain(e *Entry, err *mtasts.Error) {
	if !e.isNone() {
		c.log().Warn("MTA-STS record not refreshed, the policy stays until it runs out", "domain", e.Domain.ASCII(),
			"word", string(err.Word), "valid-until", e.ValidUntil.UTC().Format(time.RFC3339), "error", err)
	}
}

func (e *Entry) isNone() bool { return e.Policy == nil || e.Policy.Mode == mtasts.ModeNone }

// maxAge is the policy's; a row whose text no longer parses is looked at daily.
func (e *Entry) maxAge() time.Duration {
	if e.Policy == nil {
		return 2 * refreshEvery
	}
	return e.Policy.MaxAge
}
