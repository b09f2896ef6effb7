package mailboxes

import (
	"context"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Shape is what programs change of a mailbox at once; nil: it stays as it is.
type Shape struct {
	Name       *string // the whole
	Use        *string // special use; "": none
	Order      *int64  // in which programs show it
	Subscribed *bool
}

// Reshape changes a mailbox, all of it or nothing. ErrNoSuchMailbox, ErrInbox for a name or a special use of INBOX,
// ErrMailboxExists where another mailbox has the name or the special use, *mailbox.NameError.
func (s *Store) Reshape(ctx context.Context, account, name string, sh Shape) error {
	if name == mailbox.Inbox && (sh.Use != nil || sh.Name != nil) {
		return ErrInbox
	}
	to := name
	if sh.Name != nil {
		var err error
		if name, to, err = renaming(name, *sh.Name); err != nil {
			return err
		}
	}
	return named(s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		id, err := c.find(name)
		if err == nil && to != name {
			if err = c.free(to); err == nil {
				err = c.rename(name, to)
			}
		}
		if err != nil {
			return err
		}
		return c.reshape(id, sh)
	}), name)
}

// reshape changes what of a mailbox is no name.
func (c *change) reshape(id int64, sh Shape) error {
	set := func(column string, value any) error {
		_, err := c.tx.Exec(`UPDATE mailboxes SET `+column+` = ?, modseq = ?, shaped = ? WHERE id = ?`, value, int64(c.modseq), int64(c.modseq), id)
		return err
	}
	if sh.Use != nil {
		if err := c.freeUse(*sh.Use, id); err != nil {
			return err
		}
		if err := set("special", *sh.Use); err != nil {
			return err
		}
	}
	if sh.Order != nil {
		if err := set("sort_order", *sh.Order); err != nil {
			return err
		}
	}
	if sh.Subscribed != nil {
		return set("subscribed", *sh.Subscribed)
	}
	return nil
}
