package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// maxLessons is how many messages of one move the classifier is to learn: the newest.
const maxLessons = 1000

// learn notes what a classifier is to learn of messages that now lie in a mailbox.
func (c *change) learn(to int64, uids []mailbox.Range, class mailbox.Class) error {
	if class == mailbox.Unknown || len(uids) == 0 {
		return nil
	}
	_, err := c.tx.Exec(`INSERT INTO mail_lessons (mail, class) SELECT DISTINCT mail, CAST(? AS SMALLINT) FROM
			(SELECT mail FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid DESC LIMIT ?) AS moved
		WHERE true ON CONFLICT (mail) DO UPDATE SET class = excluded.class`,
		int64(class), to, int64(uids[0].Low), int64(uids[0].High), int64(maxLessons))
	return err
}

// Lessons are those that are to be learnt, of mails that lie in mailboxes; limit at most.
func (s *Store) Lessons(ctx context.Context, limit int) ([]mailbox.Lesson, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (l mailbox.Lesson, err error) { return l, r.Scan(&l.Mail, &l.Class) }, `SELECT mail, class FROM mail_lessons l
		WHERE EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mail = l.mail) LIMIT ?`, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("what is to be learnt about junk: %w", err)
	}
	return all, nil
}

// Learnt ends a lesson, unless another of the mail has come meanwhile.
func (s *Store) Learnt(ctx context.Context, l mailbox.Lesson) error {
	err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM mail_lessons WHERE mail = ? AND class = ?`, l.Mail, int64(l.Class))
		return err
	})
	if err != nil {
		return fmt.Errorf("note what was learnt about junk: %w", err)
	}
	return nil
}

// Taught notes what a message was learnt as, and returns what it was before; ErrNoSuchMessage.
func (s *Store) Taught(tx *store.Tx, id int64, class mailbox.Class) (was mailbox.Class, err error) {
	err = tx.Row(`SELECT taught FROM mails WHERE id = ?`+tx.Lock(), id).Scan(&was)
	if errors.Is(err, sql.ErrNoRows) {
		return was, ErrNoSuchMessage
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE mails SET taught = ? WHERE id = ?`, int64(class), id)
	}
	return was, err
}
