package mailboxes

import (
	"context"
	"fmt"
	"slices"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Amendment is what is to become of a mail, wherever it lies. Where it has \Deleted, it does not lie (RFC 8621 §4.1.1).
type Amendment struct {
	Mail  int64
	Flags []FlagChange // in every mailbox, one after the other
	// In are the mailboxes it is to lie in, of the account; nil: it stays where it is.
	In []int64
	// Gone takes it out of all mailboxes.
	Gone bool
}

// Amend changes mails of an account, all or none. ErrNoSuchMessage, ErrNoSuchMailbox, ErrOverQuota, ErrTooManyKeywords.
func (s *Store) Amend(ctx context.Context, account string, all []Amendment) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.AmendWithin(tx, account, all) })
}

// AmendWithin is Amend in a transaction that does more.
func (s *Store) AmendWithin(tx *store.Tx, account string, all []Amendment) error {
	c, err := s.change(tx, account, usage{})
	for i := range all {
		if err == nil {
			err = c.amend(&all[i])
		}
	}
	if err == nil && slices.ContainsFunc(all, func(a Amendment) bool { return len(a.In) > 0 }) {
		err = c.room(usage{})
	}
	return err
}

// lies is where a mail lies.
type lies struct {
	box int64
	uid []mailbox.Range // one
	use string
}

func (c *change) amend(a *Amendment) error {
	places, err := store.Collect(c.tx, func(r store.Row) (l lies, err error) {
		var uid uint32
		err = r.Scan(&l.box, &uid, &l.use)
		l.uid = []mailbox.Range{{Low: uid, High: uid}}
		return l, err
	}, `SELECT e.mailbox, e.uid, b.special FROM mailbox_entries e JOIN mailboxes b ON b.id = e.mailbox
		WHERE e.mail = ? AND b.account = ? AND b.removed = 0 AND e.flags & 8 = 0 ORDER BY e.mailbox, e.uid`, a.Mail, c.account)
	if err == nil && len(places) == 0 {
		err = ErrNoSuchMessage
	}
	if err != nil {
		return fmt.Errorf("change a mail: %w", err)
	}
	// First the flags: a copy has those of what it is a copy of.
	for _, f := range a.Flags {
		if err := c.amendFlags(places, &f); err != nil {
			return err
		}
	}
	has := map[int64]bool{}
	for _, l := range places {
		has[l.box] = true
	}
	for _, box := range a.In {
		if !has[box] {
			if err := c.amendInto(places[0], box); err != nil {
				return err
			}
		}
	}
	for _, l := range places {
		if a.Gone || a.In != nil && !slices.Contains(a.In, l.box) {
			if _, err := c.remove(l.box, l.uid, removal{moved: !a.Gone && len(a.In) > 0}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) amendFlags(places []lies, f *FlagChange) error {
	set, err := c.flags(f.Flags)
	if err != nil {
		return err
	}
	done := f.of(set)
	for _, l := range places {
		by, err := c.setFlags(l.box, l.uid[0], &done)
		if err == nil {
			err = c.touch(l.box, by)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *change) amendInto(from lies, to int64) error {
	b, err := byID(c.tx, to)
	if err == nil && b.Account != c.account {
		err = ErrNoSuchMailbox
	}
	if err != nil {
		return err
	}
	out, err := c.copy(from.box, from.uid, to)
	if err != nil {
		return err
	}
	return c.learn(to, out.To, mailbox.LessonOf(from.use, b.Use))
}
