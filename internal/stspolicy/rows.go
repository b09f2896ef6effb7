package stspolicy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Entry is what the cache holds for a domain (STS-5).
type Entry struct {
	Domain      dns.Name
	Policy      *mtasts.Policy // nil: none, only a failure is remembered
	Text        []byte         // the policy as it was fetched
	ID          string         // of the record it belongs to
	Fetched     time.Time
	ValidUntil  time.Time
	Due         time.Time // next refresh
	LastUsed    time.Time // to the hour
	LastChecked time.Time // of the record, to the hour

	// The fetches that failed since the last good one.
	Failure      *mtasts.Error // the last, without its cause; nil: none
	FailedID     string        // the record id they were for
	Failures     int
	BackoffUntil time.Time
}

const columns = `domain, policy, record_id, fetched, valid_until, due, last_used, last_checked,
	failures, failed_id, failure_word, failure_detail, failure_status, backoff_until`

// scan reads one row of columns.
func entry(row store.Row) (e Entry, err error) {
	var domain, word, detail string
	var status int
	var fetched, valid, due, used, checked, backoff int64
	err = row.Scan(&domain, &e.Text, &e.ID, &fetched, &valid, &due, &used, &checked,
		&e.Failures, &e.FailedID, &word, &detail, &status, &backoff)
	if err != nil {
		return e, err
	}
	if e.Domain, err = dns.ParseLax(domain); err != nil {
		return e, fmt.Errorf("MTA-STS cache: %w", err)
	}
	e.Fetched, e.ValidUntil, e.Due = store.FromTime(fetched), store.FromTime(valid), store.FromTime(due)
	e.LastUsed, e.LastChecked, e.BackoffUntil = store.FromTime(used), store.FromTime(checked), store.FromTime(backoff)
	if word != "" {
		e.Failure = &mtasts.Error{Word: reason.Word(word), Detail: detail, HTTPStatus: status}
	}
	if len(e.Text) > 0 {
		// A text that no longer parses counts as none, and is fetched anew.
		if p, perr := mtasts.ParsePolicy(e.Text); perr == nil {
			e.Policy = p
		}
	}
	return e, nil
}

// area is raised with each change of the rows (store.Keyed).
const area = "sts_policy"

// maxCachedText is the longest policy that is kept in memory: strangers wrote it.
const maxCachedText = 4096

// load returns nil where nothing is cached. The row is shared: nobody changes it.
func (c *Cache) load(ctx context.Context, domain dns.Name) (*Entry, error) {
	e, err := c.rows.Get(ctx, c.Store, area, domain.ASCII(), func(tx *store.Tx) (*Entry, int, error) {
		e, err := entry(tx.Row(`SELECT `+columns+` FROM sts_policy WHERE domain = ?`, domain.ASCII()))
		if errors.Is(err, sql.ErrNoRows) {
			return nil, 1, nil
		}
		if len(e.Text) > maxCachedText {
			return &e, 0, err
		}
		return &e, 1, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the cached MTA-STS policy of %s: %w", domain, err)
	}
	return e, nil
}

// change writes rows, and makes every reader read anew if there were any.
func (c *Cache) change(ctx context.Context, write func(tx *store.Tx) (rows int64, err error)) error {
	return c.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := write(tx)
		if err != nil || n == 0 {
			return err
		}
		return tx.Raise(area)
	})
}

// saveSuccess writes the whole row: text, id and dates change together.
func saveSuccess(tx *store.Tx, e Entry) (int64, error) {
	text := e.Text
	if text == nil {
		text = []byte{}
	}
	return tx.Exec(`INSERT INTO sts_policy (`+columns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', '', '', 0, 0)
		ON CONFLICT (domain) DO UPDATE SET policy = excluded.policy, record_id = excluded.record_id,
			fetched = excluded.fetched, valid_until = excluded.valid_until, due = excluded.due,
			last_used = excluded.last_used, last_checked = excluded.last_checked, failures = 0, failed_id = '',
			failure_word = '', failure_detail = '', failure_status = 0, backoff_until = 0`,
		e.Domain.ASCII(), text, e.ID, store.Time(e.Fetched), store.Time(e.ValidUntil), store.Time(e.Due),
		store.Time(e.LastUsed), store.Time(e.LastChecked))
}

// saveFailure leaves the policy alone: another machine may have fetched it meanwhile.
func saveFailure(tx *store.Tx, e Entry) (int64, error) {
	return tx.Exec(`INSERT INTO sts_policy (`+columns+`)
		VALUES (?, ?, '', 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (domain) DO UPDATE SET due = excluded.due, last_used = excluded.last_used,
			last_checked = excluded.last_checked, failures = excluded.failures, failed_id = excluded.failed_id,
			failure_word = excluded.failure_word, failure_detail = excluded.failure_detail,
			failure_status = excluded.failure_status, backoff_until = excluded.backoff_until`,
		e.Domain.ASCII(), []byte{}, store.Time(e.Due), store.Time(e.LastUsed), store.Time(e.LastChecked),
		e.Failures, e.FailedID, string(e.Failure.Word), foreign.Text(e.Failure.Detail, 1000), e.Failure.HTTPStatus,
		store.Time(e.BackoffUntil))
}

// touch notes that a row was used and its record checked.
func (c *Cache) touch(ctx context.Context, domain dns.Name, now time.Time) error {
	return c.change(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`UPDATE sts_policy SET last_used = ?, last_checked = ? WHERE domain = ?`,
			store.Time(now), store.Time(now), domain.ASCII())
	})
}

// postpone sets when a row is due again, and that its record was checked if it was.
func (c *Cache) postpone(ctx context.Context, e *Entry) error {
	return c.change(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`UPDATE sts_policy SET due = ?, last_checked = ? WHERE domain = ?`,
			store.Time(e.Due), store.Time(e.LastChecked), e.Domain.ASCII())
	})
}

// List returns all that is cached, by domain.
func (c *Cache) List(ctx context.Context) ([]Entry, error) {
	out, err := store.List(ctx, c.Store, entry, `SELECT `+columns+` FROM sts_policy ORDER BY domain`)
	if err != nil {
		return nil, fmt.Errorf("listing the cached MTA-STS policies: %w", err)
	}
	return out, nil
}

// Forget drops what is cached for a domain, and reports whether there was anything.
func (c *Cache) Forget(ctx context.Context, domain dns.Name) (bool, error) {
	var n int64
	err := c.change(ctx, func(tx *store.Tx) (_ int64, err error) {
		n, err = tx.Exec(`DELETE FROM sts_policy WHERE domain = ?`, domain.ASCII())
		return n, err
	})
	if err != nil {
		return false, fmt.Errorf("forgetting the MTA-STS policy of %s: %w", domain, err)
	}
	return n > 0, nil
}
