package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/retry"
	"waxwing/internal/store"
)

// Closed is a destination whose mail waits because it could not be reached.
type Closed struct {
	Domain    string    // "" where a transport takes the mail of all domains to one host
	Transport string    // the operator's; "": the hosts of Domain were contacted directly
	Until     time.Time // nobody dials before
	Since     time.Time // the first failure
	Failures  int       // in a row
	Text      string    // the last one
}

// Closed returns the destinations that cannot be reached and whose mail waits
// for that, at most limit, those that open first in front.
func (q *Queue) Closed(ctx context.Context, limit int) (out []Closed, err error) {
	err = q.Store.Read(ctx, func(tx *store.Tx) error {
		out, err = store.Collect(tx, func(r store.Row) (c Closed, err error) {
			var dest string
			err = r.Scan(&dest, timeInto{&c.Until}, timeInto{&c.Since}, &c.Failures, &c.Text)
			to := delivery.ParseContact(dest)
			c.Domain, c.Transport = to.Domain, to.Transport
			return c, err
		}, `SELECT dest, blocked, since, failures, text FROM destinations ORDER BY blocked, dest LIMIT ?`, int64(limit))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list closed destinations: %w", err)
	}
	return out, nil
}

// closings reads what is known of contacts and their ways.
func closings(tx *store.Tx, contacts []dispatch.Contact) (map[dispatch.Contact]dispatch.Closing, error) {
	out := map[dispatch.Contact]dispatch.Closing{}
	names := dispatch.WithWays(contacts)
	slices.Sort(names)
	return out, eachIn(slices.Compact(names), func(list string, args []any) error {
		return tx.Each(func(r store.Row) error {
			var c dispatch.Contact
			var is dispatch.Closing
			err := r.Scan(&c.Name, &c.Local, timeInto{&is.Until}, &is.Failures)
			out[c] = is
			return err
		}, `SELECT dest, local, blocked, failures FROM destinations WHERE dest IN `+list, args...)
	})
}

// saveChange writes down that a contact is closed, or open again. Its lanes wait for when
// it opens; those further ahead than any closing lasts are looked at too, since a clock
// that was wrong may have put them there.
func saveChange(tx *store.Tx, c dispatch.Change, now time.Time) error {
	to, p := c.To, c.Pace
	if !p.Dead() {
		if err := open(tx, to); err != nil {
			return err
		}
		return nearLanes(tx, to, now)
	}
	at := store.Time(p.Blocked)
	_, err := tx.Exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (dest, local) DO UPDATE SET blocked = excluded.blocked, failures = excluded.failures, text = excluded.text`,
		to.Name, to.Local, at, int64(p.Failures), store.Time(p.Counted), clean(c.Text))
	if err != nil {
		return err
	}
	if err := nearLanes(tx, to, now); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next < ?`, at, to.Name, to.Local, at)
	return err
}

// open forgets that a contact is closed.
func open(tx *store.Tx, c dispatch.Contact) error {
	_, err := tx.Exec(`DELETE FROM destinations WHERE dest = ? AND local = ?`, c.Name, c.Local)
	return err
}

// nearLanes has the lanes of a contact looked at that lie further ahead than it can be
// closed: what they wait for is then read from their rows.
func nearLanes(tx *store.Tx, c dispatch.Contact, now time.Time) error {
	_, err := tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next > ?`,
		store.Time(now), c.Name, c.Local, store.Time(now.Add(retry.LongestClosing())))
	return err
}

// closedKeep is how long a closed destination is known after its last probe was
// due when no mail waits for it: mail that comes meanwhile need not find out again.
const closedKeep = 24 * time.Hour

// sweepClosed forgets closed destinations that nobody will try again: their mail
// has expired or was dropped, or goes another way, and no answer will ever open them.
func (q *Queue) sweepClosed(ctx context.Context) error {
	return q.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM destinations WHERE blocked < ? AND NOT EXISTS
			(SELECT 1 FROM lanes WHERE lanes.dest = destinations.dest AND lanes.local = destinations.local)`, store.Time(q.Now().Add(-closedKeep)))
		return err
	})
}

// openMisdated opens destinations that are closed for longer than any closing
// lasts, as by a machine whose clock was wrong, and has their lanes looked at: nobody
// would until then.
func (q *Queue) openMisdated(ctx context.Context) error {
	now := q.Now()
	far := store.Time(now.Add(retry.LongestClosing()))
	var found []dispatch.Contact
	err := q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		found, err = store.Collect(tx, func(r store.Row) (c dispatch.Contact, err error) {
			err = r.Scan(&c.Name, &c.Local)
			return c, err
		}, `SELECT dest, local FROM destinations WHERE blocked > ? ORDER BY dest, local LIMIT ?`+tx.Lock(), far, int64(sweepBatch))
		for _, c := range found {
			if err != nil {
				return err
			}
			if _, err = tx.Exec(`UPDATE destinations SET blocked = ? WHERE dest = ? AND local = ?`, store.Time(now), c.Name, c.Local); err == nil {
				err = nearLanes(tx, c, now)
			}
		}
		return err
	})
	if err == nil && len(found) > 0 {
		q.Log.Warn("opened destinations that were closed for longer than they can be: was the clock of a machine wrong?", "destinations", len(found))
		q.Wake()
	}
	return err
}
