// Package panics counts how often the work on one unit has panicked: a message
// in the queue, a report, an alert (OPS-9). Work that is tried again would else
// panic for ever.
package panics

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/store"
)

// Most is how many panics a unit may have; with the last of them it is settled as failed.
const Most = 3

// keep is how long a count is remembered: longer than any unit lives.
const keep = 60 * 24 * time.Hour

// Count notes one more panic over a unit and returns how many there were.
func Count(ctx context.Context, s *store.Store, area guard.Area, unit string, now time.Time) (n int, err error) {
	err = s.Write(ctx, func(tx *store.Tx) error {
		return tx.Row(`INSERT INTO panics (area, unit, n, at) VALUES (?, ?, 1, ?)
			ON CONFLICT (area, unit) DO UPDATE SET n = panics.n + 1, at = excluded.at RETURNING n`, string(area), unit, store.Time(now)).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count a panic over %s: %w", unit, err)
	}
	return n, nil
}

// Sweep forgets what is too old to matter.
func Sweep(ctx context.Context, s *store.Store, now time.Time) error {
	return s.Prune(ctx, "panics", store.Old{Query: `DELETE FROM panics WHERE at < ?`, Before: store.Time(now.Add(-keep))})
}
