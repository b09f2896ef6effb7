package spool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// ErrNoSuchMessage is returned for a message that is not, or no longer, in the queue
// or its history.
var ErrNoSuchMessage = errors.New("no such message in the queue or its history")

// Item is one recipient with its message.
type Item struct {
	Envelope delivery.Envelope // without Recipients
	Entry
}

// itemColumns are those of a message m and of its recipient r.
var itemColumns = of("m", envelopeColumns) + ", " + of("r", entryColumns)

// of names the columns of a table in a query that joins it.
func of(table, columns string) string {
	var out []string
	for c := range strings.SplitSeq(columns, ",") {
		out = append(out, table+"."+strings.TrimSpace(c))
	}
	return strings.Join(out, ", ")
}

func scanItem(r store.Row) (it Item, err error) {
	err = r.Scan(append(envelopeInto(&it.Envelope), it.into()...)...)
	it.parse()
	it.Override(&it.Envelope)
	return it, err
}

// List returns recipients in the order of their IDs, which is that of acceptance.
func List(ctx context.Context, db *store.Store, f Filter) ([]Item, error) {
	limit := min(cmp.Or(max(f.Limit, 0), 100), 1000)
	var out []Item
	err := db.Read(ctx, func(tx *store.Tx) error {
		out = nil
		for _, state := range f.states() { // one query each: each state has its own indexes
			items, err := f.read(tx, state, ` ORDER BY `+byID(state), limit)
			if err != nil {
				return err
			}
			out = append(out, items...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	slices.SortFunc(out, func(a, b Item) int { return cmp.Compare(a.Recipient.ID, b.Recipient.ID) })
	return out[:min(len(out), limit)], nil
}

// Attempt is one row of the history.
type Attempt struct {
	ID        int64
	Domain    string
	Transport string
	Owner     string // the machine that made it
	Started   time.Time
	Ended     time.Time
	Detail    Detail
}

// Shown is all that is known of one message.
type Shown struct {
	Envelope   delivery.Envelope // without Recipients
	Recipients []Item
	Attempts   []Attempt // oldest first
}

// maxAttempts bounds what Show returns.
const maxAttempts = 1000

// Show returns a message with its recipients (the first 1000) and its
// attempts; ErrNoSuchMessage.
func Show(ctx context.Context, db *store.Store, id int64) (Shown, error) {
	var out Shown
	items, err := List(ctx, db, Filter{Message: id, States: []State{Waiting, Leased, Held, Delivered, Failed}, Limit: 1000})
	if err != nil {
		return out, err
	}
	if len(items) == 0 {
		return out, ErrNoSuchMessage
	}
	out.Envelope, out.Recipients = items[0].Envelope, items
	out.Attempts, err = store.List(ctx, db, scanAttempt, `SELECT id, domain, transport, owner, started, ended, detail FROM attempts
		WHERE message = ? ORDER BY id LIMIT ?`, id, int64(maxAttempts))
	if err != nil {
		return out, fmt.Errorf("show message %s: %w", delivery.ID(id), err)
	}
	return out, nil
}

func scanAttempt(r store.Row) (a Attempt, err error) {
	var detail string
	err = r.Scan(&a.ID, &a.Domain, &a.Transport, &a.Owner, timeInto{&a.Started}, timeInto{&a.Ended}, &detail)
	if err == nil {
		err = json.Unmarshal([]byte(detail), &a.Detail)
	}
	if err != nil {
		err = fmt.Errorf("attempt %s: %w", delivery.ID(a.ID), err)
	}
	return a, err
}

// Count returns the number of recipients in each state. It reads the whole
// table: for a person, not for a loop.
func Count(ctx context.Context, db *store.Store) (map[State]int, error) {
	out := map[State]int{}
	err := db.Read(ctx, func(tx *store.Tx) error {
		clear(out)
		return tx.Each(func(r store.Row) error {
			var s State
			var n int
			err := r.Scan(&s, &n)
			out[s] = n
			return err
		}, `SELECT state, count(*) FROM recipients GROUP BY state`)
	})
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return out, nil
}

// LastFailure is the recipient of a domain whose attempt failed last: one that
// still waits, or was returned within the time of History. ok is false where there
// is none.
func LastFailure(ctx context.Context, db *store.Store, domain delivery.RecipientDomain) (last Item, ok bool, err error) {
	f := Filter{Domain: domain.String()}
	err = db.Read(ctx, func(tx *store.Tx) error {
		last, ok = Item{}, false
		for _, state := range []State{Waiting, Leased, Failed} {
			items, err := f.read(tx, state, ` AND r.attempts > 0 AND (r.word <> '' OR r.reply <> '') ORDER BY r.last_attempt DESC, r.id DESC`, 1)
			if err != nil {
				return err
			}
			for _, it := range items {
				if !ok || it.Recipient.LastAttempt.After(last.Recipient.LastAttempt) {
					last, ok = it, true
				}
			}
		}
		return nil
	})
	if err != nil {
		return Item{}, false, fmt.Errorf("look for the last failure of mail to %s: %w", domain, err)
	}
	return last, ok, nil
}
