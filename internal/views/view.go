package views

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// view is a mailbox as all sessions of this process see it: its UIDs in ascending order with
// flags and modseq. It is brought up to date by what has changed since its own modseq.
type view struct {
	box int64

	mu     sync.Mutex
	loaded bool
	modseq uint64 // of the mailbox when it was read last
	next   uint32 // the same of its UIDNEXT
	uids   []uint32
	flags  []mailbox.Flags
	mods   []uint64
	looks  map[*Look]struct{} // those to be told what changes
}

func (v *view) isLoaded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.loaded
}

// Views are those of the process. The zero value is ready for use.
type Views struct {
	mu    sync.Mutex
	byBox map[int64]*view
	users map[int64]int
	idle  []*view // without users, the one that was left last at the end
	ripe  ripe
	// Sheet is how many UIDs are packed together; 0: 8192.
	Sheet uint32
}

// maxIdle is how many messages the views have that nobody looks through: 20 octets each. Who comes back to a mailbox of a
// million does not wait for it again.
const maxIdle = 1_250_000

func (vs *Views) get(box int64) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.byBox == nil {
		vs.byBox, vs.users = map[int64]*view{}, map[int64]int{}
	}
	v := vs.byBox[box]
	if v == nil {
		v = &view{box: box, looks: map[*Look]struct{}{}}
		vs.byBox[box] = v
	}
	vs.idle = slices.DeleteFunc(vs.idle, func(o *view) bool { return o == v })
	vs.users[box]++
	return v
}

// leave ends one use of a view, and forgets those that nobody has used for longest.
func (vs *Views) leave(v *view) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.users[v.box]--; vs.users[v.box] > 0 {
		return
	}
	delete(vs.users, v.box)
	vs.idle = append(vs.idle, v)
	total := 0
	for i := len(vs.idle) - 1; i >= 0; i-- {
		o := vs.idle[i]
		o.mu.Lock()
		n := len(o.uids) + 1000
		o.mu.Unlock()
		if total += n; total > maxIdle {
			for _, old := range vs.idle[:i+1] {
				delete(vs.byBox, old.box)
			}
			vs.idle = slices.Clone(vs.idle[i+1:])
			return
		}
	}
}

// delta is what has changed in a mailbox after some modseq.
type delta struct {
	entries []mailbox.Entry // that have come or have other flags, ascending
	flagged []uint32        // that have other flags, which the view has already, ascending
	gone    []uint32        // ascending
}

// entriesStep is how many UIDs one statement looks through.
const entriesStep = 50_000

// entries reads those of a range of UIDs that have changed after modseq, in ascending order. Whole mailboxes are read
// so, when a session looks into them first.
func entries(tx *store.Tx, box int64, g mailbox.Range, modseq uint64, fn func(mailbox.Entry)) error {
	rest, args := `FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ?`, []any{box, int64(0), int64(0)}
	if modseq > 0 {
		rest, args = rest+` AND modseq > ?`, append(args, Signed(modseq))
	}
	for low := int64(g.Low); low <= int64(g.High); {
		args[1], args[2] = low, min(low+entriesStep-1, int64(g.High))
		err := tx.Ints(func(row []int64) error {
			fn(mailbox.Entry{UID: uint32(row[0]), Flags: mailbox.Flags(row[1]), ModSeq: uint64(row[2])})
			return nil
		}, []string{"uid", "flags", "modseq"}, rest, args...)
		if err != nil || args[2] == int64(g.High) {
			return err
		}
		err = tx.Row(`SELECT uid FROM mailbox_entries WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT 1`, box, args[2]).Scan(&low)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// since reads what has changed after modseq. What has come since then has UIDs from next; 0: nobody asks for it.
func since(tx *store.Tx, box int64, modseq uint64, next uint32) (d delta, err error) {
	ranges, err := flaggedSince(tx, box, modseq)
	if next > 0 {
		ranges = mailbox.Joined(append(ranges, mailbox.Range{Low: next, High: 1<<32 - 1}), maxRanges+1)
	}
	for _, g := range ranges {
		if err != nil {
			return d, err
		}
		err = entries(tx, box, g, modseq, func(e mailbox.Entry) { d.entries = append(d.entries, e) })
	}
	if err == nil {
		d.gone, err = store.Column[uint32](tx, `SELECT uid FROM mailbox_gone WHERE mailbox = ? AND modseq > ? ORDER BY uid`, box, Signed(modseq))
	}
	return d, err
}

// refresh brings the view up to date. v.mu is held.
func (vs *Views) refresh(tx *store.Tx, v *view) error {
	b, err := Box(tx, v.box)
	if err != nil {
		return err
	}
	if v.loaded && b.ModSeq == v.modseq {
		return nil
	}
	forgotten, err := prunedAfter(tx, b.Account, v.modseq)
	if err != nil {
		return err
	}
	if !v.loaded || forgotten {
		return vs.load(tx, v, b)
	}
	d, err := since(tx, v.box, v.modseq, v.next)
	if err != nil {
		return err
	}
	v.apply(d)
	v.modseq, v.next = b.ModSeq, b.UIDNext
	for l := range v.looks {
		l.tell(d)
	}
	return nil
}

// prunedAfter reports that what went after modseq is not all remembered.
func prunedAfter(tx *store.Tx, account string, modseq uint64) (bool, error) {
	var pruned int64
	err := tx.Row(`SELECT pruned FROM mail_accounts WHERE account = ?`, account).Scan(&pruned)
	return pruned > Signed(modseq), err
}

// load reads the whole mailbox.
func (vs *Views) load(tx *store.Tx, v *view, b mailbox.Box) error {
	old := v.uids
	v.uids, v.flags, v.mods = make([]uint32, 0, b.Messages), make([]mailbox.Flags, 0, b.Messages), make([]uint64, 0, b.Messages)
	if err := vs.read(tx, v, b); err != nil {
		v.loaded, v.uids, v.flags, v.mods = false, nil, nil, nil
		return err
	}
	if v.loaded {
		d := delta{}
		for _, u := range old {
			if _, has := slices.BinarySearch(v.uids, u); !has {
				d.gone = append(d.gone, u)
			}
		}
		for i, u := range v.uids {
			if v.mods[i] > v.modseq {
				d.entries = append(d.entries, mailbox.Entry{UID: u, Flags: v.flags[i], ModSeq: v.mods[i]})
			}
		}
		for l := range v.looks {
			l.tell(d)
		}
	}
	v.loaded, v.modseq, v.next = true, b.ModSeq, b.UIDNext
	return nil
}

func (v *view) add(e mailbox.Entry) {
	v.uids, v.flags, v.mods = append(v.uids, e.UID), append(v.flags, e.Flags), append(v.mods, e.ModSeq)
}

// apply puts what has changed into the view.
func (v *view) apply(d delta) {
	if len(d.gone) > 0 {
		kept := 0
		for i, u := range v.uids {
			for len(d.gone) > 0 && d.gone[0] < u {
				d.gone = d.gone[1:]
			}
			if len(d.gone) > 0 && d.gone[0] == u {
				continue
			}
			v.uids[kept], v.flags[kept], v.mods[kept] = u, v.flags[i], v.mods[i]
			kept++
		}
		v.uids, v.flags, v.mods = v.uids[:kept], v.flags[:kept], v.mods[:kept]
	}
	for _, e := range d.entries {
		switch i, has := slices.BinarySearch(v.uids, e.UID); {
		case has:
			v.flags[i], v.mods[i] = e.Flags, e.ModSeq
		case i == len(v.uids):
			v.add(e)
		}
	}
}

// reading runs fn with the view locked and up to date.
func (vs *Views) reading(ctx context.Context, db *store.Store, v *view, fn func(tx *store.Tx) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return db.Read(ctx, func(tx *store.Tx) error {
		if err := vs.refresh(tx, v); err != nil {
			return err
		}
		return fn(tx)
	})
}
