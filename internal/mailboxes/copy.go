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
}

// Copy puts the messages of uids into another mailbox of the account too, with their flags and
// dates; no octet of them is written again. ErrNoSuchMailbox, ErrOverQuota.
func (s *Store) Copy(ctx context.Context, box int64, uids []mailbox.Range, to string) (Copied, error) {
	return s.transfer(ctx, box, uids, to, false)
}

// Move is Copy that leaves nothing behind: others see both at once (RFC 6851).
func (s *Store) Move(ctx context.Context, box int64, uids []mailbox.Range, to string) (Copied, error) {
	return s.transfer(ctx, box, uids, to, true)
}

func (s *Store) transfer(ctx context.Context, box int64, uids []mailbox.Range, to string, move bool) (out Copied, err error) {
	if to, err = mailbox.CleanName(to); err != nil {
		return out, err
	}
	err = s.in(ctx, box, func(c *change) error {
		from, err := byID(c.tx, box)
		if err != nil {
			return err
		}
		id, err := c.find(to)
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrNoSuchMailbox
		}
		if err != nil {
			return err
		}
		if out, err = c.copy(box, uids, id); err != nil {
			return err
		}
		if move {
			if _, err = c.remove(box, out.From, "", false); err != nil {
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
	out.UIDValidity, out.ModSeq = b.UIDValidity, c.modseq
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
	if err := c.changed(to, out.To[0].Low, out.To[0].High); err != nil {
		return out, err
	}
	if err := c.touch(to, by); err != nil {
		return out, err
	}
	return out, c.count(usage{by.messages, by.octets})
}

// Expunge removes the messages of uids that have \Deleted, and returns their UIDs and the modseq
// with which they went. ErrNoSuchMailbox.
func (s *Store) Expunge(ctx context.Context, box int64, uids []mailbox.Range) ([]uint32, uint64, error) {
	return s.expunge(ctx, box, uids, ` AND flags & 8 <> 0`)
}

// Remove is Expunge of messages whatever their flags.
func (s *Store) Remove(ctx context.Context, box int64, uids []mailbox.Range) ([]uint32, uint64, error) {
	return s.expunge(ctx, box, uids, "")
}

func (s *Store) expunge(ctx context.Context, box int64, uids []mailbox.Range, which string) (gone []uint32, modseq uint64, err error) {
	err = s.in(ctx, box, func(c *change) (err error) {
		modseq = c.modseq
		gone, err = c.remove(box, uids, which, false)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("remove messages: %w", err)
	}
	return gone, modseq, nil
}

// remove takes messages out of a mailbox; which is a further condition. With all, nothing can
// be left: the mailbox goes, too, and which messages there were does not matter.
func (c *change) remove(box int64, uids []mailbox.Range, which string, all bool) (gone []uint32, err error) {
	var by counters
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
			if !all {
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
		const rest = ` FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ?`
		_, err = c.tx.Exec(`INSERT INTO mailbox_gone (mailbox, modseq, uid, mail, flags, removed) SELECT mailbox, ?, uid, mail, flags, ?`+rest+which,
			append([]any{int64(c.modseq), store.Time(c.now())}, args...)...)
		if err == nil {
			_, err = c.tx.Exec(`DELETE`+rest+which, args...)
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
	return gone, c.count(usage{by.messages, by.octets})
}
