package spool

import (
	"errors"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/store"
)

// A claim is written before anything is dialled (QUE-2). "state = 0" and "state
// = 1" name the partial indexes.
const (
	leaseSet = `UPDATE recipients SET state = 1, owner = ?, claim = ?, due = ?`
	claimSet = leaseSet + `, attempts = attempts + 1 WHERE id IN (`
	// Of rows whose owner let the lease run out because it crashed or lost its database.
	claimExpired = claimSet + `SELECT id FROM recipients WHERE state = 1 AND due <= ? ORDER BY due, id LIMIT ?`
	// Of rows by their identifiers.
	claimIDs = claimSet + `SELECT id FROM recipients WHERE state = 0 AND id IN `
	// The same for what an operator ends: it is no attempt.
	claimStopped = leaseSet + ` WHERE id IN (SELECT id FROM recipients WHERE state IN (0, 2) AND id IN `
	// attention are rows that wait for too long without being due.
	attention = `SELECT id, dest, local, due FROM recipients WHERE state = 0 AND attend <= ? ORDER BY attend LIMIT ?`

	nextLane   = `SELECT min(next) FROM lanes`
	nextLease  = `SELECT min(due) FROM recipients WHERE state = 1`
	nextAttend = `SELECT min(attend) FROM recipients WHERE state = 0`
)

// Lease is what leased rows say of who holds them: a machine, until a time, under a number
// that no other claim has.
type Lease struct {
	Owner  string
	Number int64
	End    time.Time
}

// take leases rows by a statement, and reads them.
func (l Lease) take(tx *store.Tx, stmt string, args ...any) ([]Entry, error) {
	return store.Collect(tx, scanClaimed, stmt+tx.Lock()+`) RETURNING `+entryColumns, append([]any{l.Owner, l.Number, store.Time(l.End)}, args...)...)
}

func (l Lease) takeIDs(tx *store.Tx, stmt string, ids []int64) (out []Entry, err error) {
	err = eachIn(ids, func(list string, args []any) error {
		some, err := l.take(tx, stmt+list, args...)
		out = append(out, some...)
		return err
	})
	return out, err
}

// TakeExpired leases rows whose lease has run out.
func (l Lease) TakeExpired(tx *store.Tx, now time.Time, limit int) ([]Entry, error) {
	return l.take(tx, claimExpired, store.Time(now), int64(limit))
}

// TakeWaiting leases those of some rows that wait.
func (l Lease) TakeWaiting(tx *store.Tx, ids []int64) ([]Entry, error) {
	return l.takeIDs(tx, claimIDs, ids)
}

// TakeStopped leases those of some rows that wait or are held, to be ended without an attempt.
func (l Lease) TakeStopped(tx *store.Tx, ids []int64) ([]Entry, error) {
	return l.takeIDs(tx, claimStopped, ids)
}

// Attention is a row that waits, and has to be looked at.
type Attention struct {
	ID  int64
	To  delivery.Contact
	Due time.Time
}

// Attend reads rows whose sender has to hear of a delay, or whose time is over.
func Attend(tx *store.Tx, now time.Time, limit int) ([]Attention, error) {
	return store.Collect(tx, func(r store.Row) (a Attention, err error) {
		err = r.Scan(&a.ID, contactInto{&a.To}, &a.To.Local, timeInto{&a.Due})
		return a, err
	}, attention+tx.Lock(), store.Time(now), int64(limit))
}

// ErrLeaseLost says that another owner may be at work on what was leased.
var ErrLeaseLost = errors.New("the lease is lost: another machine may be delivering this message")

// Extend lets the lease of rows end later; ErrLeaseLost.
func Extend(tx *store.Tx, ids []int64, claim int64, end time.Time) error {
	for _, id := range ids {
		n, err := tx.Exec(`UPDATE recipients SET due = ? WHERE id = ? AND claim = ? AND state = 1`, store.Time(end), id, claim)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrLeaseLost
		}
	}
	return nil
}

// GiveBack has a leased row wait again, in the lane that the entry names; the attempt does
// not count.
func (e *Entry) GiveBack(tx *store.Tx, claim int64, at time.Time, due Due) error {
	_, err := tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, attempts = attempts - 1, due = ?, dest = ?
		WHERE id = ? AND claim = ? AND state = 1`, store.Time(at), e.Contact.String(), e.ID, claim)
	due.At(e.Lane(), at)
	return err
}

// Park holds leased rows. It returns how many.
func Park(tx *store.Tx, ids []int64, claim int64, word reason.Word, text string) (n int64, err error) {
	for _, id := range ids {
		one, err := tx.Exec(`UPDATE recipients SET state = 2, owner = '', claim = 0, word = ?, text = ? WHERE id = ? AND claim = ? AND state = 1`, string(word), text, id, claim)
		if err != nil {
			return n, err
		}
		n += one
	}
	return n, nil
}

// LeasedRow is a recipient under one lease.
type LeasedRow struct {
	ID, Claim int64
	Lane      delivery.Lane
}

// LeasedBy reads the rows that a machine has leased; lock is tx.Lock where they are to be
// changed.
func LeasedBy(tx *store.Tx, owner, lock string) ([]LeasedRow, error) {
	return store.Collect(tx, func(r store.Row) (l LeasedRow, err error) {
		err = r.Scan(&l.ID, &l.Claim, contactInto{&l.Lane.To}, &l.Lane.To.Local, &l.Lane.Account)
		return l, err
	}, `SELECT id, claim, dest, local, account FROM recipients WHERE state = 1 AND owner = ? ORDER BY due, id`+lock, owner)
}

// Release makes leased rows due.
func Release(tx *store.Tx, rows []LeasedRow, now time.Time) error {
	due, ids := Due{}, make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
		due.At(r.Lane, now)
	}
	err := eachIn(ids, func(list string, args []any) error {
		_, err := tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, due = ? WHERE id IN `+list, append([]any{store.Time(now)}, args...)...)
		return err
	})
	if err != nil {
		return err
	}
	return due.Write(tx)
}

// StillLeased reads those of some rows that are still leased under a number.
func StillLeased(tx *store.Tx, ids []int64, claim int64) (out []Entry, err error) {
	err = eachIn(ids, func(list string, args []any) error {
		some, err := store.Collect(tx, scanClaimed, `SELECT `+entryColumns+` FROM recipients WHERE state = 1 AND claim = ? AND id IN `+list, append([]any{claim}, args...)...)
		out = append(out, some...)
		return err
	})
	return out, err
}

// NextDue is when the queue has something to look at; zero: never, as things stand.
func NextDue(tx *store.Tx) (at time.Time, err error) {
	for _, query := range []string{nextLane, nextLease, nextAttend} {
		var due *int64
		if err := tx.Row(query).Scan(&due); err != nil {
			return at, err
		}
		if due != nil && (at.IsZero() || store.FromTime(*due).Before(at)) {
			at = store.FromTime(*due)
		}
	}
	return at, nil
}
