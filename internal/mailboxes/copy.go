package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Copied is what COPYUID says (RFC 4315): the messages of From are those of To, one by one.
type Copied struct {
	UIDValidity uint32
	From, To    []mailbox.Range
	ModSeq      uint64 // of the change; of MOVE, what has gone has it
	box         int64  // in which To are
}

// Copy puts the messages of uids into another mailbox of the account too, with their flags and
// dates; no octet of them is written again. Very many are copied some at a time: where that fails, those that were
// copied are taken out again (RFC 9051 §6.4.7). ErrNoSuchMailbox, ErrOverQuota.
func (s *Store) Copy(ctx context.Context, box int64, uids []mailbox.Range, to string) (Copied, error) {
	out, err := s.inPortions(ctx, box, uids, to, false)
	if err == nil {
		return out, nil
	}
	return Copied{}, errors.Join(err, s.takeBack(context.WithoutCancel(ctx), out))
}

// Move is Copy that leaves nothing behind: others see both at once (RFC 6851), of each message. Very many are moved some at
// a time, and then an error can leave some moved.
func (s *Store) Move(ctx context.Context, box int64, uids []mailbox.Range, to string) (Copied, error) {
	return s.inPortions(ctx, box, uids, to, true)
}

// inPortions is transfer of very many. With an error, out is what was done before.
func (s *Store) inPortions(ctx context.Context, box int64, uids []mailbox.Range, to string, move bool) (out Copied, err error) {
	b, err := store.Read(ctx, s.DB, func(tx *store.Tx) (mailbox.Box, error) { return byID(tx, box) })
	if err != nil {
		return out, named(err, to)
	}
	uids = mailbox.Intersect(uids, []mailbox.Range{{Low: 1, High: max(b.UIDNext, 2) - 1}}) // not what has just been copied or moved
	for done := false; !done; done = len(uids) == 0 {
		var some []mailbox.Range
		if some, uids, err = s.portion(ctx, box, uids); err != nil {
			return out, named(err, to)
		}
		one, err := s.transfer(ctx, box, some, target{to, out.box, move})
		if err != nil {
			return out, err
		}
		one.From, one.To = append(out.From, one.From...), append(out.To, one.To...)
		out = one
	}
	return out, nil
}

// takeBack takes out what was copied of a COPY that failed.
func (s *Store) takeBack(ctx context.Context, c Copied) (err error) {
	for rest := c.To; len(rest) > 0 && err == nil; {
		var some []mailbox.Range
		if some, rest, err = s.portion(ctx, c.box, rest); err == nil {
			_, _, err = s.expunge(ctx, c.box, some, removal{moved: true})
		}
	}
	return err
}

// target is where messages go.
type target struct {
	name string
	box  int64 // that has had the name so far: another one that has it now is not meant; 0: whichever has it
	move bool
}

func (s *Store) transfer(ctx context.Context, box int64, uids []mailbox.Range, t target) (out Copied, err error) {
	to, err := mailbox.CleanName(t.name)
	if err != nil {
		return out, err
	}
	err = s.in(ctx, box, func(c *change) error {
		from, err := byID(c.tx, box)
		if err != nil {
			return err
		}
		id, err := c.find(to)
		if errors.Is(err, sql.ErrNoRows) || err == nil && t.box != 0 && id != t.box {
			err = ErrNoSuchMailbox
		}
		if err != nil {
			return err
		}
		if out, err = c.copy(box, uids, id); err != nil {
			return err
		}
		if t.move {
			if _, err = c.remove(box, out.From, removal{moved: true}); err != nil {
				return err
			}
		} else if err = c.room(usage{}); err != nil {
			return err
		}
		dest, err := byID(c.tx, id)
		if err != nil {
			return err
		}
		// A client without MOVE copies, and removes what is left.
		return c.learn(id, out.To, mailbox.LessonOf(from.Use, dest.Use))
	})
	return out, named(err, to)
}

// copy copies the messages that there are of uids.
func (c *change) copy(box int64, uids []mailbox.Range, to int64) (out Copied, err error) {
	b, err := byID(c.tx, to)
	if err != nil {
		return out, err
	}
	out.UIDValidity, out.ModSeq, out.box = b.UIDValidity, c.modseq, to
	var by counters
	first := int64(b.UIDNext)
	for _, g := range uids {
		if to == box {
			g.High = min(g.High, b.UIDNext-1) // not what has just been copied
		}
		var from []uint32
		err := c.tx.Each(func(r store.Row) error {
			var uid uint32
			var flags, size int64
			if err := r.Scan(&uid, &flags, &size); err != nil {
				return err
			}
			from = append(from, uid)
			unseen, deleted := bits(mailbox.Flags(flags))
			by.messages, by.unseen, by.deleted, by.octets = by.messages+1, by.unseen+unseen, by.deleted+deleted, by.octets+size
			return nil
		}, `SELECT e.uid, e.flags, m.size FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ? ORDER BY e.uid`,
			box, int64(g.Low), int64(g.High))
		if err != nil {
			return out, err
		}
		// As many as were read: nobody else changes the account meanwhile.
		_, err = c.tx.Exec(`INSERT INTO mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved)
			SELECT ?, ? + row_number() OVER (ORDER BY uid), mail, flags, ?, ?, ? FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ?`,
			to, first+by.messages-int64(len(from))-1, int64(c.modseq), int64(c.modseq), store.Time(c.now()), box, int64(g.Low), int64(g.High))
		if err != nil {
			return out, err
		}
		out.From = append(out.From, mailbox.Ranges(from)...)
	}
	if by.messages == 0 {
		return out, nil
	}
	out.To = []mailbox.Range{{Low: uint32(first), High: uint32(first + by.messages - 1)}}
	if _, err := c.tx.Exec(`UPDATE mailboxes SET uidnext = uidnext + ? WHERE id = ?`, by.messages, to); err != nil {
		return out, err
	}
	c.arrived(to, out.To[0].Low, out.To[0].High)
	if err := c.touch(to, by); err != nil {
		return out, err
	}
	return out, c.count(usage{messages: by.messages, octets: by.octets})
}

// Expunge removes the messages of uids, which ascend, that have \Deleted, and returns their UIDs and the modseq
// with which the last of them went: very many go some at a time. ErrNoSuchMailbox.
func (s *Store) Expunge(ctx context.Context, box int64, uids []mailbox.Range) (gone []uint32, modseq uint64, err error) {
	b, err := store.Read(ctx, s.DB, func(tx *store.Tx) (mailbox.Box, error) { return byID(tx, box) })
	for done := false; !done && err == nil; done = len(uids) == 0 {
		some := uids
		uids = nil
		if b.Deleted > flagsAtOnce || len(some) > rangesAtOnce {
			some, uids, err = s.portion(ctx, box, some)
		}
		var went []uint32
		if err == nil {
			went, modseq, err = s.expunge(ctx, box, some, removal{which: ` AND flags & 8 <> 0`})
			gone = append(gone, went...)
		}
	}
	return gone, modseq, err
}

// Remove is Expunge of messages whatever their flags.
func (s *Store) Remove(ctx context.Context, box int64, uids []mailbox.Range) ([]uint32, uint64, error) {
	return s.expunge(ctx, box, uids, removal{})
}

func (s *Store) expunge(ctx context.Context, box int64, uids []mailbox.Range, r removal) (gone []uint32, modseq uint64, err error) {
	err = s.in(ctx, box, func(c *change) (err error) {
		modseq = c.modseq
		gone, err = c.remove(box, uids, r)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("remove messages: %w", err)
	}
	return gone, modseq, nil
}

// removal is how messages are taken out of a mailbox.
type removal struct {
	which string // a further condition
	all   bool   // nothing can be left: the mailbox goes, too, and which messages there were does not matter
	moved bool   // they lie elsewhere by now, and so count as before
}

// remove takes messages out of a mailbox.
func (c *change) remove(box int64, uids []mailbox.Range, how removal) (gone []uint32, err error) {
	var by counters
	which := how.which
	for _, g := range uids {
		some := ` FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ?` + which
		args := []any{box, int64(g.Low), int64(g.High)}
		before := by.messages
		err := c.tx.Each(func(r store.Row) error {
			var uid uint32
			var flags, size int64
			if err := r.Scan(&uid, &flags, &size); err != nil {
				return err
			}
			if !how.all {
				gone = append(gone, uid)
			}
			unseen, deleted := bits(mailbox.Flags(flags))
			by.messages, by.unseen, by.deleted, by.octets = by.messages-1, by.unseen-unseen, by.deleted-deleted, by.octets-size
			return nil
		}, `SELECT e.uid, e.flags, m.size`+some+` ORDER BY e.uid`, args...)
		if err != nil {
			return nil, err
		}
		if by.messages == before {
			continue
		}
		octets := `m.size`
		if how.moved {
			octets = `0`
		}
		_, err = c.tx.Exec(`INSERT INTO mailbox_gone (mailbox, modseq, uid, mail, flags, removed, octets) SELECT e.mailbox, ?, e.uid, e.mail, e.flags, ?, `+octets+some,
			append([]any{int64(c.modseq), store.Time(c.now())}, args...)...)
		if err == nil {
			_, err = c.tx.Exec(`DELETE FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ?`+which, args...)
		}
		if err != nil {
			return nil, err
		}
	}
	if by.messages == 0 {
		return nil, nil
	}
	if err := c.touch(box, by); err != nil {
		return nil, err
	}
	u := usage{messages: by.messages, octets: by.octets}
	if !how.moved {
		u.gone = -by.octets
	}
	return gone, c.count(u)
}
