package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

const maxList = 1000 // messages that List returns

const messageColumns = mailColumns + `, b.name, e.uid, e.flags, e.modseq, e.added, e.saved
	FROM mailbox_entries e JOIN mails m ON m.id = e.mail JOIN mailboxes b ON b.id = e.mailbox`

func scanMessage(r store.Row) (m mailbox.Message, err error) {
	var received, flags, saved int64
	e := &m.Entry
	err = r.Scan(append(mailFields(&m.Mail, &received), &m.Mailbox, &e.UID, &flags, &e.ModSeq, &e.Added, &saved)...)
	m.Received, e.Flags, e.Saved, e.Mail = store.FromTime(received), mailbox.Flags(flags), store.FromTime(saved), m.ID
	return m, err
}

// List returns the newest messages of a mailbox, newest first, up to limit (at
// most 1000; 0 is that). A mailbox that is not there has none.
func (s *Store) List(ctx context.Context, account, box string, limit int) ([]mailbox.Message, error) {
	return s.Page(ctx, account, box, 0, limit)
}

// Page is List from the message after the one with the id before; 0: from the newest.
func (s *Store) Page(ctx context.Context, account, box string, before int64, limit int) ([]mailbox.Message, error) {
	box, err := mailbox.CleanName(box)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	return store.List(ctx, s.DB, scanMessage, messageColumns+` WHERE b.account = ? AND b.name = ? AND b.removed = 0 AND
		(? = CAST(0 AS BIGINT) OR e.uid < coalesce((SELECT max(x.uid) FROM mailbox_entries x WHERE x.mailbox = b.id AND x.mail = ?), (SELECT max(g.uid) FROM mailbox_gone g WHERE g.mailbox = b.id AND g.mail = ?)))
		ORDER BY e.uid DESC LIMIT ?`, account, box, before, before, before, int64(limit))
}

// mailsStep is how many mails Mails reads in one transaction.
const mailsStep = 200

// Mails calls fn for each message of a mailbox in uids, in ascending order, with what is kept
// about it; structure says whether that is wanted, too. No transaction is held while fn runs,
// so that it may be slow: what is removed meanwhile is left out.
func (s *Store) Mails(ctx context.Context, box int64, uids []mailbox.Range, fn func(*mailbox.Message) error) error {
	for _, g := range uids {
		for low := uint64(g.Low); low <= uint64(g.High); {
			some, err := store.List(ctx, s.DB, scanMessage, messageColumns+` WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ? ORDER BY e.uid LIMIT ?`,
				box, int64(low), int64(g.High), int64(mailsStep))
			if err != nil {
				return fmt.Errorf("read messages: %w", err)
			}
			for i := range some {
				if err := fn(&some[i]); err != nil {
					return err
				}
			}
			if len(some) < mailsStep {
				break
			}
			low = uint64(some[len(some)-1].Entry.UID) + 1
		}
	}
	return nil
}

// Find is where a mail lies, by mailbox: at most 100 places.
func (s *Store) Find(ctx context.Context, mail int64) ([]mailbox.Message, error) {
	all, err := store.List(ctx, s.DB, scanMessage, messageColumns+` WHERE e.mail = ? AND b.removed = 0 ORDER BY b.name LIMIT 100`, mail)
	if err != nil {
		return nil, fmt.Errorf("where a message lies: %w", err)
	}
	return all, nil
}

// Gone are the UIDs that have left a mailbox after the modseq since. complete is false where
// they are not all remembered any more (RFC 7162 §3.2.5.2 says what is to be told then).
func (s *Store) Gone(ctx context.Context, box int64, since uint64) (uids []mailbox.Range, complete bool, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		var pruned int64
		err := tx.Row(`SELECT a.pruned FROM mail_accounts a JOIN mailboxes b ON b.account = a.account WHERE b.id = ?`, box).Scan(&pruned)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoSuchMailbox
		}
		if err != nil {
			return err
		}
		complete = views.Signed(since) >= pruned
		gone, err := store.Column[uint32](tx, `SELECT uid FROM mailbox_gone WHERE mailbox = ? AND modseq > ? ORDER BY uid`, box, views.Signed(since))
		uids = mailbox.Ranges(gone)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("what has left the mailbox: %w", err)
	}
	return uids, complete, nil
}

// Missing are those of some mails, that are not there any more.
func (s *Store) Missing(ctx context.Context, mails []int64) (gone []int64, err error) {
	there := map[int64]bool{}
	for some := range slices.Chunk(mails, 500) {
		args := make([]any, len(some))
		for i, m := range some {
			args[i] = m
		}
		found, err := store.List(ctx, s.DB, store.Value[int64], `SELECT id FROM mails WHERE id IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("which messages are gone: %w", err)
		}
		for _, m := range found {
			there[m] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(mails), func(m int64) bool { return there[m] }), nil
}

// Reparsed keeps how a mail is built, where that was not known or was known wrongly.
func (s *Store) Reparsed(ctx context.Context, mail int64, structure []byte) error {
	err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE mails SET structure = ? WHERE id = ?`, store.Blob(structure), mail)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep how a message is built: %w", err)
	}
	return nil
}
