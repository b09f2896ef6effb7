package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

// Rename gives a mailbox and those below it another name. INBOX stays, empty: its messages
// move (RFC 9051 §6.3.6). ErrNoSuchMailbox, ErrMailboxExists, *mailbox.NameError.
func (s *Store) Rename(ctx context.Context, account, from, to string) error {
	from, to, err := renaming(from, to)
	if err != nil {
		return err
	}
	var left int64 // INBOX, where its messages are still to move
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		left = 0
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		id, err := c.find(from)
		if err != nil {
			return err
		}
		if err := c.free(to); err != nil {
			return err
		}
		if from == mailbox.Inbox {
			left, err = c.emptyInbox(id, to)
			return err
		}
		return c.rename(from, to)
	})
	if err == nil && left != 0 {
		_, err = s.Move(ctx, left, mailbox.All(), to)
	}
	return named(err, from)
}

// renaming checks two names and returns them as they are kept.
func renaming(from, to string) (string, string, error) {
	from, err := mailbox.CleanName(from)
	if err != nil {
		return "", "", err
	}
	if to, err = mailbox.CleanName(strings.TrimSuffix(to, "/")); err != nil {
		return "", "", err
	}
	if strings.HasPrefix(to, from+"/") && from != mailbox.Inbox {
		return "", "", &mailbox.NameError{Name: to, Why: "a mailbox cannot move into itself"}
	}
	return from, to, nil
}

// free refuses a name that a mailbox has.
func (c *change) free(name string) error {
	if _, err := c.find(name); !errors.Is(err, sql.ErrNoRows) {
		return errors.Join(err, ErrMailboxExists)
	}
	return nil
}

// emptyInbox moves all of INBOX into a new mailbox. Of very many, left says that they are to move when the mailbox is there.
func (c *change) emptyInbox(inbox int64, to string) (left int64, err error) {
	b, err := byID(c.tx, inbox)
	if err != nil {
		return 0, err
	}
	id, err := c.create(to, "")
	if err != nil || b.Messages > flagsAtOnce {
		return inbox, err
	}
	if _, err = c.copy(inbox, mailbox.All(), id); err == nil {
		_, err = c.remove(inbox, mailbox.All(), removal{all: true, moved: true})
	}
	return 0, err
}

func (c *change) rename(from, to string) error {
	if err := c.above(to); err != nil {
		return err
	}
	below, err := store.Collect(c.tx, views.ScanBox, views.BoxColumns+` WHERE b.account = ? AND b.removed = 0 AND (b.name = ? OR substr(b.name, 1, ?) = ?) ORDER BY b.name`,
		c.account, from, int64(utf8.RuneCountInString(from)+1), from+"/")
	if err != nil {
		return err
	}
	for _, b := range below {
		name := to + b.Name[len(from):]
		if why := mailbox.NameFault(name); why != "" {
			return &mailbox.NameError{Name: name, Why: why}
		}
		if _, err := c.find(name); !errors.Is(err, sql.ErrNoRows) { // below a name that is no mailbox itself
			return errors.Join(err, ErrMailboxExists)
		}
		if _, err := c.tx.Exec(`UPDATE mailboxes SET name = ?, modseq = ?, shaped = ? WHERE id = ?`, name, int64(c.modseq), int64(c.modseq), b.ID); err != nil {
			return err
		}
	}
	return nil
}

// drain removes messages of a mailbox that is to be deleted, until there are no more than one transaction removes with it:
// others wait for that.
func (s *Store) drain(ctx context.Context, account, name string) error {
	b, err := s.Box(ctx, account, name)
	for uids := mailbox.All(); err == nil && b.Messages > flagsAtOnce && len(uids) > 0; {
		var some []mailbox.Range
		if some, uids, err = s.portion(ctx, b.ID, uids); err == nil && len(uids) > 0 {
			_, _, err = s.Remove(ctx, b.ID, some)
		}
	}
	return err
}

// Delete takes a mailbox away; those below it stay. An operator can bring it back for a while
// (MBX-3). ErrNoSuchMailbox, ErrInbox.
func (s *Store) Delete(ctx context.Context, account, name string) error {
	name, err := mailbox.CleanName(name)
	if err == nil && name == mailbox.Inbox {
		err = ErrInbox
	}
	if err == nil {
		err = s.drain(ctx, account, name)
	}
	if err != nil {
		return err
	}
	return named(s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		id, err := c.find(name)
		if err != nil {
			return err
		}
		b, err := byID(tx, id)
		if err == nil && b.Subscribed { // RFC 9051 §6.3.7: the name stays subscribed
			err = c.keepSubscribed(name)
		}
		if err != nil && !errors.As(err, new(*mailbox.NameError)) {
			return err
		}
		if _, err := c.remove(id, mailbox.All(), removal{all: true}); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM mailbox_changes WHERE mailbox = ?`, id); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE mailboxes SET removed = ?, was = name, name = ?, special = '', modseq = ?, untold = ? WHERE id = ?`,
			store.Time(s.now()), mailbox.RemovedPrefix+delivery.ID(id).String(), int64(c.modseq), int64(c.modseq), id)
		return err
	}), name)
}
