package spool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/store"
)

// few are so many recipients that all of them are read within milliseconds.
const few = 20_000

// fewWait reports whether few wait.
func fewWait(tx *store.Tx) (bool, error) {
	var n int64
	err := tx.Row(`SELECT count(*) FROM (SELECT 1 FROM recipients WHERE state = 0 LIMIT ?) AS waiting`, int64(few+1)).Scan(&n)
	return n <= few, err
}

// Window is the identifier of the last of the next n recipients behind after, of whatever state; 0 where there are not so many. A list that
// no index has is read a window at a time, and so nobody waits for what all that is over costs to look through.
func Window(ctx context.Context, db *store.Store, after int64, n int) (last int64, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		last = 0
		err := tx.Row(`SELECT id FROM recipients WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?`, after, int64(n-1)).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("look through the queue: %w", err)
	}
	return last, nil
}

// Look is a look back, from the newest on.
type Look struct {
	Before int64 // only at recipients with identifiers before this; 0: at all
	Rows   int   // at so many of them
	Limit  int   // messages that are wanted at most
}

// Concerning are the messages from an address or to it, the newest first. next is where to look on; 0: there is nothing older.
func Concerning(ctx context.Context, db *store.Store, address string, l Look) (ids []int64, next int64, err error) {
	before, n, limit := l.Before, l.Rows, l.Limit
	if before == 0 {
		before = 1<<63 - 1
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		ids, next = nil, 0
		last := before // of the recipients that were looked at
		// The recipients of a message lie side by side: one whose others were looked at before was told of.
		var told int64
		err := tx.Row(`SELECT r.message FROM (SELECT message, address FROM recipients WHERE id >= ? ORDER BY id LIMIT 1) r JOIN messages m ON m.id = r.message WHERE r.address = ? OR m.sender = ?`, before, address, address).Scan(&told)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		err = tx.Row(`SELECT id FROM recipients WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?`, before, int64(n)).Scan(&next)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		enough := errors.New("enough")
		err = tx.Each(func(r store.Row) error {
			var message, recipient int64
			if err := r.Scan(&message, &recipient); err != nil {
				return err
			}
			if message != told && len(ids) == limit {
				return enough
			}
			if last = recipient; message != told {
				ids, told = append(ids, message), message
			}
			return nil
		}, `SELECT r.message, r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE r.id > ? AND r.id < ? AND (r.address = ? OR m.sender = ?) ORDER BY r.id DESC`, next, before, address, address)
		switch {
		case errors.Is(err, enough):
			next, err = last, nil
		case next > 0:
			next++ // that one was not looked at
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("look for mail from or to %s: %w", address, err)
	}
	return ids, next, nil
}
