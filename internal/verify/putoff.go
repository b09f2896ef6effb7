package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// Times of senders whose mail is put off (AUT-3).
const (
	patience = 24 * time.Hour // after which a lookup that fails counts as nothing found
	forget   = 36 * time.Hour // a sender that was last put off so long ago begins anew: it tries again within hours
)

// maxPutOff bounds the senders that are remembered: anybody can make a lookup fail.
const maxPutOff = 100000

// PutOff remembers senders whose mail is put off because a lookup failed.
type PutOff struct {
	DB  *store.Store
	Now func() time.Time
}

// Note notes that mail of a sender is being put off, and says whether it has been for a day.
// author is the domain in From, sender the reverse-path.
func (p *PutOff) Note(ctx context.Context, author, sender string) (over bool, err error) {
	now := p.Now()
	err = p.DB.Write(ctx, func(tx *store.Tx) error {
		var since int64
		err := tx.Row(`INSERT INTO put_off (author, sender, since, last)
			SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM put_off) < ? OR EXISTS (SELECT 1 FROM put_off WHERE author = ? AND sender = ?)
			ON CONFLICT (author, sender) DO UPDATE SET since = CASE WHEN put_off.last < ? THEN excluded.since ELSE put_off.since END, last = excluded.last
			RETURNING since`, clip(author), clip(sender), store.Time(now), store.Time(now), int64(maxPutOff), clip(author), clip(sender), store.Time(now.Add(-forget))).Scan(&since)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // there is room for no more: it is put off, and not remembered
		}
		over = now.Sub(store.FromTime(since)) >= patience
		return err
	})
	if err != nil {
		return false, fmt.Errorf("noting that mail of %s is put off: %w", clip(author), err)
	}
	return over, nil
}

// Tidy forgets senders that were last put off long ago.
func (p *PutOff) Tidy(ctx context.Context) error {
	return p.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM put_off WHERE last < ?`, store.Time(p.Now().Add(-forget)))
		return err
	})
}
