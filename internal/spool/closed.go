package spool

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/internal/store"
)

// Closed is a destination whose mail waits because it could not be reached.
type Closed struct {
	Domain    string      // "" where a transport takes the mail of all domains to one host
	Transport string      // the operator's; "": the hosts of Domain were contacted directly
	Until     time.Time   // nobody dials before
	Since     time.Time   // the first failure
	Failures  int         // in a row
	Word      reason.Word // of the last one
	Text      string
}

// ListClosed returns the destinations that cannot be reached and whose mail waits
// for that, at most limit, those that open first in front.
func ListClosed(ctx context.Context, db *store.Store, limit int) ([]Closed, error) {
	out, err := store.List(ctx, db, func(r store.Row) (c Closed, err error) {
		var to delivery.Contact
		err = r.Scan(contactInto{&to}, timeInto{&c.Until}, timeInto{&c.Since}, &c.Failures, &c.Word, &c.Text)
		c.Domain, c.Transport = to.Domain, to.Transport
		return c, err
	}, `SELECT dest, blocked, since, failures, word, text FROM destinations ORDER BY blocked, dest LIMIT ?`, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("list closed destinations: %w", err)
	}
	return out, nil
}

// Closings reads which of some contacts are closed.
func Closings(tx *store.Tx, contacts []delivery.Contact) (map[delivery.Contact]retry.Closing, error) {
	out := map[delivery.Contact]retry.Closing{}
	return out, eachIn(names(contacts), func(list string, args []any) error {
		return tx.Each(func(r store.Row) error {
			var c delivery.Contact
			var is retry.Closing
			err := r.Scan(contactInto{&c}, &c.Local, timeInto{&is.Until}, &is.Failures)
			out[c] = is
			return err
		}, `SELECT dest, local, blocked, failures FROM destinations WHERE dest IN `+list, args...)
	})
}

// SavePace writes down that a contact is closed, and why, or open again. Its lanes wait
// for when it opens; those further ahead than any closing lasts are looked at too, since a
// clock that was wrong may have put them there.
func SavePace(tx *store.Tx, to delivery.Contact, p retry.Pace, why delivery.Fact, now time.Time) error {
	if !p.Dead() {
		if err := Open(tx, to); err != nil {
			return err
		}
		return nearLanes(tx, to, now)
	}
	name, at := to.String(), store.Time(p.Blocked)
	_, err := tx.Exec(`INSERT INTO destinations (dest, local, blocked, failures, since, word, text) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (dest, local) DO UPDATE SET blocked = excluded.blocked, failures = excluded.failures, word = excluded.word, text = excluded.text`,
		name, to.Local, at, int64(p.Failures), store.Time(p.Counted), Clip(string(why.Word)), Clip(why.Text))
	if err != nil {
		return err
	}
	if err := nearLanes(tx, to, now); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next < ?`, at, name, to.Local, at)
	return err
}

// Open forgets that a contact is closed.
func Open(tx *store.Tx, c delivery.Contact) error {
	_, err := tx.Exec(`DELETE FROM destinations WHERE dest = ? AND local = ?`, c.String(), c.Local)
	return err
}

// nearLanes has the lanes of a contact looked at that lie further ahead than it can be
// closed: what they wait for is then read from their rows.
func nearLanes(tx *store.Tx, c delivery.Contact, now time.Time) error {
	_, err := tx.Exec(`UPDATE lanes SET next = ? WHERE dest = ? AND local = ? AND next > ?`,
		store.Time(now), c.String(), c.Local, store.Time(now.Add(retry.LongestClosing())))
	return err
}

// closedKeep is how long a closed destination is known after its last probe was
// due when no mail waits for it: mail that comes meanwhile need not find out again.
const closedKeep = 24 * time.Hour

// ForgetClosed forgets closed destinations that nobody will try again: their mail
// has expired or was dropped, or goes another way, and no answer will ever open them.
func ForgetClosed(tx *store.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM destinations WHERE blocked < ? AND NOT EXISTS
		(SELECT 1 FROM lanes WHERE lanes.dest = destinations.dest AND lanes.local = destinations.local)`, store.Time(now.Add(-closedKeep)))
	return err
}

// OpenMisdated opens destinations that are closed for longer than any closing
// lasts, as by a machine whose clock was wrong, and has their lanes looked at: nobody
// would until then. It returns how many.
func OpenMisdated(tx *store.Tx, now time.Time) (int, error) {
	found, err := store.Collect(tx, func(r store.Row) (c delivery.Contact, err error) {
		err = r.Scan(contactInto{&c}, &c.Local)
		return c, err
	}, `SELECT dest, local FROM destinations WHERE blocked > ? ORDER BY dest, local LIMIT ?`+tx.Lock(),
		store.Time(now.Add(retry.LongestClosing())), int64(sweepBatch))
	for _, c := range found {
		if err != nil {
			return 0, err
		}
		if _, err = tx.Exec(`UPDATE destinations SET blocked = ? WHERE dest = ? AND local = ?`, store.Time(now), c.String(), c.Local); err == nil {
			err = nearLanes(tx, c, now)
		}
	}
	return len(found), err
}
