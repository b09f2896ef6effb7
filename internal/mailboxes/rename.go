package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// wrong says what is wrong with a name; "": nothing.
func wrong(name string) string {
	levels := strings.Split(name, "/")
	switch {
	case !utf8.ValidString(name):
		return "it is no UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return "it has a control character"
	case len(name) > maxName:
		return fmt.Sprintf("it has more than %d octets", maxName)
	case len(levels) > maxDepth:
		return fmt.Sprintf("it has more than %d levels", maxDepth)
	case strings.HasPrefix(name, removedPrefix):
		return "names of that form are for mailboxes that were deleted"
	}
	for _, l := range levels {
		if l == "" || l == "." || l == ".." || strings.ContainsAny(l, "%*") {
			return "a level is empty, \".\" or \"..\", or has % or *"
		}
	}
	return ""
}

// removedPrefix begins the names of mailboxes that were deleted, and can still be brought back.
const removedPrefix = "~deleted/"

// Rename gives a mailbox and those below it another name. INBOX stays, empty: its messages
// move (RFC 9051 §6.3.6). ErrNoSuchMailbox, ErrMailboxExists, *NameError.
func (s *Store) Rename(ctx context.Context, account, from, to string) error {
	from, err := boxName(from)
	if err != nil {
		return err
	}
	if to, err = boxName(strings.TrimSuffix(to, "/")); err != nil {
		return err
	}
	if strings.HasPrefix(to, from+"/") && from != mailbox.Inbox {
		return &NameError{to, "a mailbox cannot move into itself"}
	}
	return named(s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		id, err := c.find(from)
		if err != nil {
			return err
		}
		if _, err := c.find(to); !errors.Is(err, sql.ErrNoRows) {
			return errors.Join(err, ErrMailboxExists)
		}
		if from == mailbox.Inbox {
			return c.emptyInbox(id, to)
		}
		return c.rename(from, to)
	}), from)
}

// emptyInbox moves all of INBOX into a new mailbox.
func (c *change) emptyInbox(inbox int64, to string) error {
	id, err := c.create(to, "")
	if err != nil {
		return err
	}
	if _, err = c.copy(inbox, mailbox.All(), id); err == nil {
		_, err = c.remove(inbox, mailbox.All(), "", true)
	}
	return err
}

func (c *change) rename(from, to string) error {
	if i := strings.LastIndexByte(to, '/'); i > 0 {
		if _, err := c.ensure(to[:i], ""); err != nil {
			return err
		}
	}
	below, err := store.Collect(c.tx, scanBox, boxColumns+` WHERE b.account = ? AND b.removed = 0 AND (b.name = ? OR substr(b.name, 1, ?) = ?) ORDER BY b.name`,
		c.account, from, int64(utf8.RuneCountInString(from)+1), from+"/")
	if err != nil {
		return err
	}
	for _, b := range below {
		name := to + b.Name[len(from):]
		if why := wrong(name); why != "" {
			return &NameError{name, why}
		}
		if _, err := c.find(name); !errors.Is(err, sql.ErrNoRows) { // below a name that is no mailbox itself
			return errors.Join(err, ErrMailboxExists)
		}
		if _, err := c.tx.Exec(`UPDATE mailboxes SET name = ?, modseq = ? WHERE id = ?`, name, int64(c.modseq), b.ID); err != nil {
			return err
		}
	}
	return nil
}

// Delete takes a mailbox away; those below it stay. An operator can bring it back for a while
// (MBX-3). ErrNoSuchMailbox, ErrInbox.
func (s *Store) Delete(ctx context.Context, account, name string) error {
	name, err := boxName(name)
	if err == nil && name == mailbox.Inbox {
		err = ErrInbox
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
		if _, err := c.remove(id, mailbox.All(), "", true); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM mailbox_changes WHERE mailbox = ?`, id); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE mailboxes SET removed = ?, was = name, name = ?, special = '', modseq = ?, untold = ? WHERE id = ?`,
			store.Time(s.now()), removedPrefix+delivery.ID(id).String(), int64(c.modseq), int64(c.modseq), id)
		return err
	}), name)
}
