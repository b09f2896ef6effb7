package views

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

const (
	// maxRanges is in how many ranges what has changed is looked for; beyond, in one that holds them all.
	maxRanges = 200
	// KeptChanges are remembered of a mailbox. A client that asks for more costs a look at all of its entries.
	KeptChanges = 10_000
)

// Note notes where in a mailbox a change with this modseq has changed flags. What comes is found by its UID.
func Note(tx *store.Tx, box int64, modseq uint64, g mailbox.Range) error {
	_, err := tx.Exec(`INSERT INTO mailbox_changes (mailbox, modseq, low, high) VALUES (?, ?, ?, ?)
		ON CONFLICT (mailbox, modseq, low) DO UPDATE SET high = CASE WHEN excluded.high > mailbox_changes.high THEN excluded.high ELSE mailbox_changes.high END`,
		box, int64(modseq), int64(g.Low), int64(g.High))
	return err
}

// ChangedSince are ranges of UIDs, ascending, in which everything lies that has come or changed after modseq.
func ChangedSince(tx *store.Tx, box int64, modseq uint64) ([]mailbox.Range, error) {
	all, err := flaggedSince(tx, box, modseq)
	if err != nil {
		return nil, err
	}
	first, err := arrivedAfter(tx, box, modseq)
	if err != nil {
		return nil, err
	}
	return mailbox.Joined(append(all, mailbox.Range{Low: first, High: 1<<32 - 1}), maxRanges+1), nil
}

// flaggedSince is ChangedSince of what was there already.
func flaggedSince(tx *store.Tx, box int64, modseq uint64) ([]mailbox.Range, error) {
	var untold int64
	if err := tx.Row(`SELECT untold FROM mailboxes WHERE id = ?`, box).Scan(&untold); err != nil {
		return nil, err
	}
	if Signed(modseq) < untold {
		return mailbox.All(), nil
	}
	all, err := store.Collect(tx, func(r store.Row) (g mailbox.Range, err error) { return g, r.Scan(&g.Low, &g.High) },
		`SELECT low, high FROM mailbox_changes WHERE mailbox = ? AND modseq > ?`, box, Signed(modseq))
	if err != nil {
		return nil, err
	}
	return mailbox.Joined(all, maxRanges), nil
}

// arrivedAfter is a UID from which on all messages have come after modseq, and below which none has. UIDs are given in
// the order of modseqs, so that it can be searched for: from above, since little has come in most cases.
func arrivedAfter(tx *store.Tx, box int64, modseq uint64) (uint32, error) {
	var next int64
	if err := tx.Row(`SELECT uidnext FROM mailboxes WHERE id = ?`, box).Scan(&next); err != nil {
		return 0, err
	}
	// at is the first message from a UID on, and whether it came before; next where there is none.
	at := func(from int64) (uid int64, before bool, err error) {
		var added int64
		err = tx.Row(`SELECT uid, added FROM mailbox_entries WHERE mailbox = ? AND uid >= ? ORDER BY uid LIMIT 1`, box, from).Scan(&uid, &added)
		if errors.Is(err, sql.ErrNoRows) {
			return next, false, nil
		}
		return uid, added <= Signed(modseq), err
	}
	low, high := int64(0), next // what is up to low came before; what is from high on, after
	for step := int64(1); low < high-step; step *= 2 {
		uid, before, err := at(high - step)
		if err != nil {
			return 0, err
		}
		if before {
			low = uid
			break
		}
		high -= step
	}
	for low+1 < high {
		mid := low + (high-low)/2
		uid, before, err := at(mid)
		switch {
		case err != nil:
			return 0, err
		case before:
			low = uid
		default:
			high = mid
		}
	}
	return uint32(max(high, 1)), nil
}

// ForgetChanges forgets the oldest changes of mailboxes with more than keep.
func ForgetChanges(ctx context.Context, db *store.Store, keep int64) error {
	boxes, err := store.List(ctx, db, store.Value[int64], `SELECT mailbox FROM mailbox_changes GROUP BY mailbox HAVING count(*) > ?`, keep)
	for _, box := range boxes {
		if err != nil {
			break
		}
		err = db.Write(ctx, func(tx *store.Tx) error {
			var upTo int64
			err := tx.Row(`SELECT modseq FROM mailbox_changes WHERE mailbox = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?`, box, keep).Scan(&upTo)
			if err == nil {
				_, err = tx.Exec(`UPDATE mailboxes SET untold = ? WHERE id = ? AND untold < ?`, upTo, box, upTo)
			}
			if err == nil {
				_, err = tx.Exec(`DELETE FROM mailbox_changes WHERE mailbox = ? AND modseq <= ?`, box, upTo)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("forget old changes of mailboxes: %w", err)
	}
	return nil
}

// Effect is what a change of flags does to the messages of a range, where a view is as the mailbox is before it: the
// database is not asked then.
func (vs *Views) Effect(box int64, g mailbox.Range, f *Flagged) (e mailbox.Effect, known bool) {
	v := vs.of(box)
	if v == nil || !v.mu.TryLock() { // in a transaction nobody waits for a view: others wait for that
		return e, false
	}
	defer v.mu.Unlock()
	if !v.loaded || v.modseq != f.Before {
		return e, false
	}
	i, j := v.places(g)
	return f.Effect(v.uids[i:j], v.flags[i:j], v.mods[i:j]), true
}

// places are those of a range of UIDs in the view. Its lock is held.
func (v *view) places(g mailbox.Range) (from, to int) {
	from, _ = slices.BinarySearch(v.uids, g.Low)
	to, has := slices.BinarySearch(v.uids, g.High)
	if has {
		to++
	}
	return from, to
}

// of is the view of a mailbox, if there is one.
func (vs *Views) of(box int64) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.byBox[box]
}

// Flagged is a change of flags.
type Flagged struct {
	mailbox.Edit
	UIDs           []mailbox.Range
	Before, ModSeq uint64 // of the mailbox, before the change and after it
}

// Flagged brings a view up to date with a change of flags that this process has made, without reading it back: where the
// view is as the mailbox was before.
func (vs *Views) Flagged(box int64, f Flagged) {
	v := vs.of(box)
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.loaded || v.modseq != f.Before {
		return
	}
	var d delta
	for _, g := range f.UIDs {
		i, to := v.places(g)
		d.flagged = slices.Grow(d.flagged, max(to-i, 0))
		for ; i < to; i++ {
			if now := f.Of(v.flags[i]); now != v.flags[i] && v.mods[i] <= f.Since {
				v.flags[i], v.mods[i] = now, f.ModSeq
				d.flagged = append(d.flagged, v.uids[i])
			}
		}
	}
	v.modseq = f.ModSeq
	for l := range v.looks {
		l.tell(d)
	}
	if len(d.flagged) > vs.sheet()/16 {
		vs.Ripen(box)
	}
}
