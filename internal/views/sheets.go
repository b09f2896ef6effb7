package views

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

func (vs *Views) sheet() int {
	if vs.Sheet > 0 {
		return int(vs.Sheet)
	}
	return sheetSize
}

// full is how many sheets all UIDs of a mailbox are given of.
func (vs *Views) full(b mailbox.Box) uint32 { return (b.UIDNext - 1) / uint32(vs.sheet()) }

// read reads all of a mailbox: what is packed of it and what has changed since, and the rest by rows.
func (vs *Views) read(tx *store.Tx, v *view, b mailbox.Box) error {
	size := uint32(vs.sheet())
	sheets, err := vs.sheets(tx, b)
	if err != nil {
		return err
	}
	oldest, next, rows := b.ModSeq, uint32(1), uint32(0) // rows: so many UIDs are not packed
	missing := func(to uint32) error {
		if next >= to {
			return nil
		}
		rows += to - next
		return entries(tx, b.ID, mailbox.Range{Low: next, High: to - 1}, 0, v.add)
	}
	for _, s := range sheets {
		if err := missing(s.number*size + 1); err != nil {
			return err
		}
		if err := unpack(s.data, v.add); err != nil {
			return fmt.Errorf("mailbox %d: %w", b.ID, err)
		}
		oldest, next = min(oldest, s.modseq), (s.number+1)*size+1
	}
	// Also beyond the last UID that was given: there is nothing, and nothing is missed if there were.
	rows += max(b.UIDNext, next) - next
	if err := entries(tx, b.ID, mailbox.Range{Low: next, High: 1<<32 - 1}, 0, v.add); err != nil {
		return err
	}
	changed := 0
	if oldest < b.ModSeq {
		d, err := since(tx, b.ID, oldest, 0)
		if err != nil {
			return err
		}
		v.apply(d)
		changed = len(d.entries) + len(d.gone)
	}
	if rows > size || changed > vs.sheet()/16 {
		vs.Ripen(b.ID)
	}
	return nil
}

// sheets are those of a mailbox of which all is known that has changed since, in their order.
func (vs *Views) sheets(tx *store.Tx, b mailbox.Box) ([]sheet, error) {
	full := vs.full(b)
	if full == 0 {
		return nil, nil
	}
	floor, err := floorOf(tx, b)
	if err != nil {
		return nil, err
	}
	return store.Collect(tx, func(r store.Row) (s sheet, err error) { return s, r.Scan(&s.number, &s.modseq, &s.data) },
		`SELECT number, modseq, data FROM mailbox_sheets WHERE mailbox = ? AND size = ? AND number < ? AND modseq >= ? ORDER BY number`,
		b.ID, int64(vs.sheet()), int64(full), Signed(floor))
}

// floorOf is the modseq from which on it is known what has changed, and what has gone.
func floorOf(tx *store.Tx, b mailbox.Box) (floor uint64, err error) {
	var untold, pruned uint64
	err = tx.Row(`SELECT b.untold, a.pruned FROM mailboxes b JOIN mail_accounts a ON a.account = b.account WHERE b.id = ?`, b.ID).Scan(&untold, &pruned)
	return max(untold, pruned), err
}

// ripe are the mailboxes that are to be packed.
type ripe struct {
	mu    sync.Mutex
	boxes map[int64]bool
	wake  chan struct{}
}

// take takes them out, in one order.
func (r *ripe) take() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	boxes := slices.Sorted(maps.Keys(r.boxes))
	clear(r.boxes)
	return boxes
}

// maxRipe bounds them: those beyond are packed when a view of them is made again.
const maxRipe = 1000

// Fills reports that messages with these UIDs fill a sheet: the mailbox is ripe once they are durable.
func (vs *Views) Fills(first, last uint32) bool {
	size := uint32(vs.sheet())
	return (first-1)/size != last/size
}

// Ripen has a mailbox packed soon.
func (vs *Views) Ripen(box int64) {
	wake := vs.waker()
	vs.ripe.mu.Lock()
	defer vs.ripe.mu.Unlock()
	if len(vs.ripe.boxes) < maxRipe {
		vs.ripe.boxes[box] = true
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (vs *Views) waker() chan struct{} {
	vs.ripe.mu.Lock()
	defer vs.ripe.mu.Unlock()
	if vs.ripe.wake == nil {
		vs.ripe.wake, vs.ripe.boxes = make(chan struct{}, 1), map[int64]bool{}
	}
	return vs.ripe.wake
}

// packPause is between two rounds: a mailbox that many messages come into is packed once.
const packPause = 2 * time.Second

// Pack keeps mailboxes packed until ctx ends; failed hears why one was not: it is read by rows then.
func (vs *Views) Pack(ctx context.Context, db *store.Store, failed func(error)) error {
	wake := vs.waker()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		if err := vs.PackAll(ctx, db); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(packPause):
		}
	}
}

// PackAll packs the mailboxes that are to be packed now.
func (vs *Views) PackAll(ctx context.Context, db *store.Store) error {
	for _, box := range vs.ripe.take() {
		if err := vs.packBox(ctx, db, box); err != nil {
			return fmt.Errorf("pack a mailbox: %w", err)
		}
	}
	return nil
}

func (vs *Views) packBox(ctx context.Context, db *store.Store, box int64) error {
	numbers, err := store.Read(ctx, db, func(tx *store.Tx) ([]uint32, error) { return vs.wornOf(tx, box) })
	for _, n := range numbers {
		if err == nil {
			err = vs.packSheet(ctx, db, box, n)
		}
	}
	return err
}

// wornOf are the sheets of a mailbox that are to be written; none of one that is not there.
func (vs *Views) wornOf(tx *store.Tx, box int64) ([]uint32, error) {
	b, err := Box(tx, box)
	if err != nil || vs.full(b) == 0 {
		return nil, ignoreGone(err)
	}
	have, oldest := map[uint32]uint64{}, b.ModSeq
	err = tx.Each(func(r store.Row) error {
		var n uint32
		var modseq uint64
		err := r.Scan(&n, &modseq)
		have[n], oldest = modseq, min(oldest, modseq)
		return err
	}, `SELECT number, modseq FROM mailbox_sheets WHERE mailbox = ? AND size = ?`, box, int64(vs.sheet()))
	if err != nil {
		return nil, err
	}
	floor, err := floorOf(tx, b)
	if err != nil {
		return nil, err
	}
	changes, err := store.Collect(tx, func(r store.Row) (c changeAt, err error) { return c, r.Scan(&c.Low, &c.High, &c.modseq) },
		`SELECT low, high, modseq FROM mailbox_changes WHERE mailbox = ? AND modseq > ?
		UNION ALL SELECT uid, uid, modseq FROM mailbox_gone WHERE mailbox = ? AND modseq > ?`, box, Signed(oldest), box, Signed(oldest))
	if err != nil {
		return nil, err
	}
	return worn(have, vs.full(b), uint32(vs.sheet()), floor, changes), nil
}

func ignoreGone(err error) error {
	if err == ErrNoSuchMailbox {
		return nil
	}
	return err
}

// packSheet writes one sheet, of a mailbox as it is now.
func (vs *Views) packSheet(ctx context.Context, db *store.Store, box int64, n uint32) error {
	size := uint32(vs.sheet())
	s, err := store.Read(ctx, db, func(tx *store.Tx) (s sheet, err error) {
		b, err := Box(tx, box)
		if err != nil {
			return s, err
		}
		last := uint32(0)
		s = sheet{number: n, modseq: b.ModSeq, data: []byte{sheetForm}}
		err = entries(tx, box, mailbox.Range{Low: n*size + 1, High: (n + 1) * size}, 0, func(e mailbox.Entry) {
			s.data, last = pack(s.data, e, last), e.UID
		})
		return s, err
	})
	if err == nil {
		err = db.WriteSoon(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO mailbox_sheets (mailbox, number, size, modseq, data) SELECT id, ?, ?, ?, ? FROM mailboxes WHERE id = ?
				ON CONFLICT (mailbox, number) DO UPDATE SET size = excluded.size, modseq = excluded.modseq, data = excluded.data WHERE excluded.modseq > mailbox_sheets.modseq OR excluded.size <> mailbox_sheets.size`,
				int64(n), int64(size), Signed(s.modseq), s.data, box)
			return err
		})
	}
	return ignoreGone(err)
}
