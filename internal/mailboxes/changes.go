package mailboxes

import (
	"context"
	"fmt"
	"slices"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

const (
	// maxRanges is in how many ranges what has changed is looked for; beyond, in one that holds them all.
	maxRanges = 200
	// keptChanges are remembered of a mailbox. A client that asks for more costs a look at all of its entries.
	keptChanges = 10_000
)

// changed notes where in a mailbox this change has put something, or changed flags.
func (c *change) changed(box int64, low, high uint32) error {
	_, err := c.tx.Exec(`INSERT INTO mailbox_changes (mailbox, modseq, low, high) VALUES (?, ?, ?, ?)
		ON CONFLICT (mailbox, modseq, low) DO UPDATE SET high = CASE WHEN excluded.high > mailbox_changes.high THEN excluded.high ELSE mailbox_changes.high END`, box, int64(c.modseq), int64(low), int64(high))
	return err
}

// ChangedSince are ranges of UIDs, ascending, in which everything lies that has come or changed after modseq.
func ChangedSince(tx *store.Tx, box int64, modseq uint64) ([]mailbox.Range, error) {
	var untold int64
	if err := tx.Row(`SELECT untold FROM mailboxes WHERE id = ?`, box).Scan(&untold); err != nil {
		return nil, err
	}
	if signed(modseq) < untold {
		return mailbox.All(), nil
	}
	all, err := store.Collect(tx, func(r store.Row) (g mailbox.Range, err error) { return g, r.Scan(&g.Low, &g.High) },
		`SELECT low, high FROM mailbox_changes WHERE mailbox = ? AND modseq > ?`, box, signed(modseq))
	if err != nil {
		return nil, err
	}
	return mailbox.Joined(all, maxRanges), nil
}

// forgetChanges forgets the oldest changes of mailboxes with more than keep.
func (s *Store) forgetChanges(ctx context.Context, keep int64) error {
	boxes, err := store.List(ctx, s.DB, store.Value[int64], `SELECT mailbox FROM mailbox_changes GROUP BY mailbox HAVING count(*) > ?`, keep)
	for _, box := range boxes {
		if err != nil {
			break
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) error {
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

// effect is what a change of flags does to the messages of a range, where a view is as the mailbox is before it: the
// database is not asked then.
func (vs *views) effect(box int64, g mailbox.Range, f *flagged) (e mailbox.Effect, known bool) {
	v := vs.of(box)
	if v == nil || !v.mu.TryLock() { // in a transaction nobody waits for a view: others wait for that
		return e, false
	}
	defer v.mu.Unlock()
	if !v.loaded || v.modseq != f.before {
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
func (vs *views) of(box int64) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.byBox[box]
}

// flagged brings a view up to date with a change of flags that this process has made, without reading it back: where the
// view is as the mailbox was before.
func (vs *views) flagged(box int64, f flagged) {
	v := vs.of(box)
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.loaded || v.modseq != f.before {
		return
	}
	var d delta
	for _, g := range f.uids {
		for i, to := v.places(g); i < to; i++ {
			if now := f.Of(v.flags[i]); now != v.flags[i] && v.mods[i] <= f.Since {
				v.flags[i], v.mods[i] = now, f.modseq
				d.entries = append(d.entries, mailbox.Entry{UID: v.uids[i], Flags: now, ModSeq: f.modseq})
			}
		}
	}
	v.modseq = f.modseq
	for l := range v.looks {
		l.tell(d)
	}
}

// flagged is a change of flags.
type flagged struct {
	mailbox.Edit
	uids           []mailbox.Range
	before, modseq uint64 // of the mailbox, before the change and after it
}
