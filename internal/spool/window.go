package spool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
)

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

// shownTo is how many recipients of a message a list names.
const shownTo = 5

// Head is what a list says of a message.
type Head struct {
	ID       int64
	Sender   string
	Accepted time.Time
	To       []string // the first of its recipients
	More     bool     // it has more
}

// Heads are those of messages in the queue and its history, by their identifiers; what is not there any more is left out.
func Heads(ctx context.Context, db *store.Store, ids []int64) (out map[int64]Head, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		out = map[int64]Head{}
		for _, id := range ids {
			h := Head{ID: id}
			var first, last int64
			err := tx.Row(`SELECT sender, accepted, first_recipient, last_recipient FROM messages WHERE id = ?`, id).Scan(&h.Sender, timeInto{&h.Accepted}, &first, &last)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if h.To, err = store.Column[string](tx, `SELECT address FROM recipients WHERE id BETWEEN ? AND ? AND message = ? ORDER BY id LIMIT ?`, first, last, id, int64(shownTo+1)); err != nil {
				return err
			}
			if h.More = len(h.To) > shownTo; h.More {
				h.To = h.To[:shownTo]
			}
			out[id] = h
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("say whose mail that is: %w", err)
	}
	return out, nil
}
