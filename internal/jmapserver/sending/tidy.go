package sending

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// How long submissions are remembered (RFC 8621 §7: a server may destroy what is final), and for how long clients can learn that
// they are not.
const (
	remembered = 90 * 24 * time.Hour // after they were to be sent
	missed     = 30 * 24 * time.Hour // after they were destroyed
)

// Tidy destroys the submissions of long ago, and forgets those that were destroyed long ago.
func (r *Room) Tidy(ctx context.Context) error {
	now := r.Now()
	if err := r.each(ctx, `SELECT DISTINCT account FROM jmap_submissions WHERE gone = 0 AND send_at < ? LIMIT 1000`, now.Add(-remembered), r.retire); err != nil {
		return fmt.Errorf("destroy submissions of long ago: %w", err)
	}
	if err := r.each(ctx, `SELECT DISTINCT account FROM jmap_submissions WHERE gone > 0 AND gone < ? LIMIT 1000`, now.Add(-missed), r.forget); err != nil {
		return fmt.Errorf("forget submissions that were destroyed: %w", err)
	}
	return nil
}

// each does something in a transaction for each account that a query finds.
func (r *Room) each(ctx context.Context, query string, before time.Time, do func(tx *store.Tx, account string, before int64) error) error {
	accounts, err := store.List(ctx, r.DB, store.Value[string], query, store.Time(before))
	for _, name := range accounts {
		if err == nil {
			err = r.DB.Write(ctx, func(tx *store.Tx) error { return do(tx, name, store.Time(before)) })
		}
	}
	return err
}

// retire destroys those of an account that were to be sent before then.
func (r *Room) retire(tx *store.Tx, account string, before int64) error {
	n, err := r.turn(tx, account)
	if err == nil {
		_, err = tx.Exec(`UPDATE jmap_submissions SET gone = ?, changed = ? WHERE account = ? AND gone = 0 AND send_at < ?`, store.Time(r.Now()), n, account, before)
	}
	return err
}

// forget removes those of an account that were destroyed before then.
func (r *Room) forget(tx *store.Tx, account string, before int64) error {
	var last int64
	if err := tx.Row(`SELECT coalesce(max(changed), 0) FROM jmap_submissions WHERE account = ? AND gone > 0 AND gone < ?`, account, before).Scan(&last); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE jmap_sending SET pruned = ? WHERE account = ? AND pruned < ?`, last, account, last); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM jmap_submissions WHERE account = ? AND gone > 0 AND gone < ?`, account, before)
	return err
}
