package body

import (
	"context"
	"time"

	"waxwing/internal/store"
)

// OrphanAge is after how long a body without users is removed: none is on its way to
// its first user for that long.
const OrphanAge = 24 * time.Hour

// sweepBatch is how many bodies one look at what is idle finds.
const sweepBatch = 100

// Remove takes a body without users away; one that has some, or is gone, is left as
// it is. Whoever has dropped the last user, or put a body that found none, calls it;
// what is left where that fails, Sweep removes.
func (s *Store) Remove(ctx context.Context, id int64) error {
	var doomed int64
	err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		doomed, err = tx.Exec(`UPDATE bodies SET users = -1 WHERE id = ? AND users < 1`, id)
		return err
	})
	for more := doomed > 0; more && err == nil; {
		more, err = s.removeSome(ctx, id)
	}
	return err
}

// removeSome removes some chunks, and with the last ones the body.
func (s *Store) removeSome(ctx context.Context, id int64) (more bool, err error) {
	err = s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM body_chunks WHERE body = ? AND part IN
			(SELECT part FROM body_chunks WHERE body = ? ORDER BY part LIMIT ?)`, id, id, int64(removeChunks))
		if more = n == removeChunks; err != nil || more {
			return err
		}
		_, err = tx.Exec(`DELETE FROM bodies WHERE id = ? AND users = -1`, id)
		return err
	})
	return more, err
}

// Sweep removes bodies that were put and never used, and those that a crash left
// when their last user had gone.
func (s *Store) Sweep(ctx context.Context) error {
	for {
		ids, err := s.orphans(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.Remove(ctx, id); err != nil {
				return err
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}

func (s *Store) orphans(ctx context.Context) ([]int64, error) {
	return store.List(ctx, s.DB, store.Value[int64], `SELECT id FROM bodies WHERE users < 1 AND idle < ? ORDER BY idle LIMIT ?`,
		store.Time(s.Now().Add(-OrphanAge)), int64(sweepBatch))
}
