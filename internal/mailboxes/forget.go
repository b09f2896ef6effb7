package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

// How long what was removed is remembered, and how much is done in one transaction: nobody
// waits for it for long (MBX-3).
const (
	// goneDays is how long clients can learn what has gone since they looked last (RFC 7162).
	goneDays    = 90
	forgetBatch = 200
	forgetRows  = 10_000 // that messages have been there
)

// Keep removes from a mailbox what is beyond bounds, the oldest first. A mailbox that is not
// there has nothing.
func (s *Store) Keep(ctx context.Context, account, name string, bounds mailbox.Bounds) error {
	b, err := s.Box(ctx, account, name)
	if errors.Is(err, ErrNoSuchMailbox) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case bounds.Messages > 0 || bounds.Octets > 0:
		err = s.removeBeyond(ctx, b, bounds)
	case !bounds.Before.IsZero():
		err = s.removeBefore(ctx, b, bounds.Before)
	}
	if err == nil && bounds.Erase {
		err = s.erase(ctx, `g.mailbox = ?`, b.ID)
	}
	return err
}

// removeBefore removes what a mailbox has had since before a time, which may be very much.
func (s *Store) removeBefore(ctx context.Context, b mailbox.Box, before time.Time) error {
	for last := uint32(0); ; {
		old, err := store.List(ctx, s.DB, store.Value[uint32], `SELECT uid FROM mailbox_entries WHERE mailbox = ? AND uid > ? AND saved < ? ORDER BY uid LIMIT ?`,
			b.ID, int64(last), store.Time(before), int64(forgetBatch))
		if err == nil && len(old) > 0 {
			last = old[len(old)-1]
			_, _, err = s.Remove(ctx, b.ID, mailbox.Ranges(old))
		}
		if err != nil {
			return fmt.Errorf("empty mailbox %q: %w", b.Name, err)
		}
		if len(old) < forgetBatch {
			return nil
		}
	}
}

// removeBeyond removes the oldest messages of a mailbox that is small, since it has bounds.
func (s *Store) removeBeyond(ctx context.Context, b mailbox.Box, bounds mailbox.Bounds) error {
	all, err := store.List(ctx, s.DB, func(r store.Row) (k mailbox.Kept, err error) { return k, r.Scan(&k.UID, &k.Size, &k.Saved) },
		`SELECT e.uid, m.size, e.saved FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ? ORDER BY e.uid DESC`, b.ID)
	if err != nil {
		return fmt.Errorf("look what is in mailbox %q: %w", b.Name, err)
	}
	doomed := bounds.Beyond(all)
	for len(doomed) > 0 {
		some := doomed[:min(len(doomed), forgetBatch)]
		doomed = doomed[len(some):]
		slices.Sort(some)
		if _, _, err := s.Remove(ctx, b.ID, mailbox.Ranges(some)); err != nil {
			return fmt.Errorf("empty mailbox %q: %w", b.Name, err)
		}
	}
	return nil
}

// EmptyTrash removes what has lain in Trash and Junk since before a time (MBX-4).
func (s *Store) EmptyTrash(ctx context.Context, before time.Time) error {
	type place struct{ account, name string }
	places, err := store.List(ctx, s.DB, func(r store.Row) (p place, err error) { return p, r.Scan(&p.account, &p.name) },
		`SELECT account, name FROM mailboxes b WHERE special IN (?, ?) AND removed = 0 AND messages > 0 AND
			EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mailbox = b.id AND e.saved < ?)`, mailbox.UseTrash, mailbox.UseJunk, store.Time(before))
	if err != nil {
		return fmt.Errorf("look for old messages in Trash and Junk: %w", err)
	}
	for _, p := range places {
		err = errors.Join(err, s.Keep(ctx, p.account, p.name, mailbox.Bounds{Before: before})) // the others' all the same
	}
	return err
}

// Forget erases what was removed before a time, and what is no longer to be remembered of it at
// all; mailboxes that were deleted then go, too.
func (s *Store) Forget(ctx context.Context, before time.Time) error {
	if err := s.erase(ctx, `g.removed < ?`, store.Time(before)); err != nil {
		return err
	}
	if err := s.trim(ctx); err != nil {
		return err
	}
	if err := s.forgetGone(ctx, s.now().AddDate(0, 0, -goneDays)); err != nil {
		return err
	}
	if err := views.ForgetChanges(ctx, s.DB, views.KeptChanges); err != nil {
		return err
	}
	return s.DB.Prune(ctx, "mailboxes", store.Old{Query: `DELETE FROM mailboxes WHERE removed > 0 AND removed < ?
		AND NOT EXISTS (SELECT 1 FROM mailbox_gone g WHERE g.mailbox = mailboxes.id) AND NOT EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mailbox = mailboxes.id)`, Before: store.Time(before)})
}

// erase takes the content of what was removed away for good, some at a time.
func (s *Store) erase(ctx context.Context, which string, arg int64) error {
	for {
		mails, err := store.List(ctx, s.DB, store.Value[int64], `SELECT g.mail FROM mailbox_gone g WHERE g.mail <> 0 AND `+which+` LIMIT ?`, arg, int64(forgetBatch))
		if err != nil {
			return fmt.Errorf("look for removed messages: %w", err)
		}
		if err := s.eraseAll(ctx, mails, which, arg); err != nil || len(mails) < forgetBatch {
			return err
		}
	}
}

func (s *Store) eraseAll(ctx context.Context, mails []int64, which string, arg int64) error {
	bodies := body.Store{DB: s.DB, Now: s.now}
	for _, m := range mails {
		left, err := store.Write(ctx, s.DB, func(tx *store.Tx) (int64, error) { return eraseOne(tx, m, which, arg) })
		if err == nil && left != 0 {
			err = bodies.Remove(ctx, left)
		}
		if err != nil {
			return fmt.Errorf("erase a removed message: %w", err)
		}
	}
	return nil
}

// trim erases what accounts have removed that could be brought back, the oldest first, of those where it has more octets
// than their mail may have: else who stores and removes again and again would fill the disk (MBX-5).
func (s *Store) trim(ctx context.Context) error {
	if s.Quota.Octets <= 0 {
		return nil
	}
	accounts, err := store.List(ctx, s.DB, store.Value[string], `SELECT account FROM mail_accounts WHERE gone_octets > ?`, s.Quota.Octets)
	for _, a := range accounts {
		for more := true; more && err == nil; {
			more, err = s.trimOne(ctx, a)
		}
	}
	if err != nil {
		return fmt.Errorf("erase what was removed, of accounts that have removed more than they may keep: %w", err)
	}
	return nil
}

// trimOne erases some, and reports whether there may be more.
func (s *Store) trimOne(ctx context.Context, account string) (more bool, err error) {
	type old struct{ mail, octets int64 }
	left := int64(0)
	all, err := store.Read(ctx, s.DB, func(tx *store.Tx) ([]old, error) {
		if err := tx.Row(`SELECT gone_octets FROM mail_accounts WHERE account = ?`, account).Scan(&left); err != nil {
			return nil, err
		}
		return store.Collect(tx, func(r store.Row) (o old, err error) { return o, r.Scan(&o.mail, &o.octets) },
			`SELECT g.mail, g.octets FROM mailbox_gone g JOIN mailboxes b ON b.id = g.mailbox WHERE b.account = ? AND g.mail <> 0 AND g.octets > 0 ORDER BY g.removed LIMIT ?`, account, int64(forgetBatch))
	})
	var doomed []int64
	for _, o := range all {
		if left <= s.Quota.Octets {
			break
		}
		doomed, left = append(doomed, o.mail), left-o.octets
	}
	if err == nil {
		err = s.eraseAll(ctx, doomed, `g.mail <> ?`, 0)
	}
	return len(all) == forgetBatch && left > s.Quota.Octets, err
}

// eraseOne makes that a removed message cannot be brought back, and erases its mail where nothing else
// has it. of is the body that has lost a user then.
func eraseOne(tx *store.Tx, mail int64, which string, arg int64) (of int64, err error) {
	// In the order of all others who change mail: the account, the mail, where it lay.
	var account string
	var octets int64
	err = tx.Row(`SELECT account FROM mails WHERE id = ?`, mail).Scan(&account)
	if err == nil {
		err = tx.Row(`SELECT account FROM mail_accounts WHERE account = ?`+tx.Wait(), account).Scan(&account)
	}
	if err == nil {
		err = tx.Row(`SELECT body FROM mails WHERE id = ?`+tx.Wait(), mail).Scan(&of)
	}
	if err == nil {
		err = tx.Row(`SELECT coalesce(sum(octets), 0) FROM mailbox_gone AS g WHERE g.mail = ? AND `+which, mail, arg).Scan(&octets)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if _, err := tx.Exec(`UPDATE mailbox_gone AS g SET mail = 0, octets = 0 WHERE g.mail = ? AND `+which, mail, arg); err != nil || of == 0 {
		return 0, err
	}
	if _, err := tx.Exec(`UPDATE mail_accounts SET gone_octets = gone_octets - ? WHERE account = ?`, octets, account); err != nil {
		return 0, err
	}
	n, err := tx.Exec(`DELETE FROM mails WHERE id = ? AND NOT EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mail = mails.id)
		AND NOT EXISTS (SELECT 1 FROM mailbox_gone g WHERE g.mail = mails.id)`, mail)
	if err != nil || n == 0 {
		return 0, err
	}
	if _, err := tx.Exec(`DELETE FROM mail_lessons WHERE mail = ?`, mail); err != nil {
		return 0, err
	}
	if err := unindexed(tx, account, mail); err != nil {
		return 0, err
	}
	if err := body.Drop(tx, of); err != nil && !errors.Is(err, body.ErrGone) {
		return 0, err
	}
	return of, nil
}

// forgetGone forgets that messages have been there, with the modseq up to which that is so.
func (s *Store) forgetGone(ctx context.Context, before time.Time) error {
	accounts, err := store.List(ctx, s.DB, store.Value[string], `SELECT DISTINCT b.account FROM mailbox_gone g JOIN mailboxes b ON b.id = g.mailbox WHERE g.removed < ? AND g.mail = 0`, store.Time(before))
	for _, a := range accounts {
		err = errors.Join(err, s.forgetOf(ctx, a, store.Time(before)))
	}
	if err != nil {
		return fmt.Errorf("forget what was removed long ago: %w", err)
	}
	return nil
}

// forgetOf is forgetGone of one account, some at a time: first it is noted what is not all remembered any more.
func (s *Store) forgetOf(ctx context.Context, account string, before int64) error {
	const old = ` FROM mailbox_gone WHERE removed < ? AND mail = 0 AND mailbox IN (SELECT id FROM mailboxes WHERE account = ?)`
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE mail_accounts SET pruned = coalesce((SELECT max(modseq)`+old+` AND modseq > mail_accounts.pruned), pruned) WHERE account = ?`, before, account, account)
		return err
	})
	for n := int64(forgetRows); n == forgetRows && err == nil; {
		n, err = store.Write(ctx, s.DB, func(tx *store.Tx) (int64, error) {
			return tx.Exec(`DELETE FROM mailbox_gone WHERE (mailbox, modseq, uid) IN (SELECT mailbox, modseq, uid`+old+`
				AND modseq <= (SELECT pruned FROM mail_accounts WHERE account = ?) LIMIT ?)`, before, account, account, int64(forgetRows))
		})
	}
	return err
}

// Removed is a message that can be brought back.
type Removed struct {
	mailbox.Message
	Removed time.Time
}

const removedColumns = mailColumns + `, CASE WHEN b.was = '' THEN b.name ELSE b.was END, g.uid, g.flags, g.modseq, g.removed
	FROM mailbox_gone g JOIN mails m ON m.id = g.mail JOIN mailboxes b ON b.id = g.mailbox`

func scanRemoved(r store.Row) (m Removed, err error) {
	var received, flags, removed int64
	err = r.Scan(append(mailFields(&m.Mail, &received), &m.Mailbox, &m.Entry.UID, &flags, &m.Entry.ModSeq, &removed)...)
	m.Received, m.Entry.Flags, m.Entry.Mail, m.Removed = store.FromTime(received), mailbox.Flags(flags), m.ID, store.FromTime(removed)
	return m, err
}

// Removed lists what an account has removed and can have back, the latest first, up to limit. What
// lies elsewhere, as after a move, is not among it.
func (s *Store) Removed(ctx context.Context, account string, limit int) ([]Removed, error) {
	all, err := store.List(ctx, s.DB, scanRemoved, removedColumns+` WHERE m.account = ? AND NOT EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mail = m.id)
		AND NOT EXISTS (SELECT 1 FROM mailbox_gone x WHERE x.mail = g.mail AND (x.modseq > g.modseq OR x.modseq = g.modseq AND x.uid > g.uid)) ORDER BY g.removed DESC, g.uid DESC LIMIT ?`, account, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("removed messages of %s: %w", account, err)
	}
	return all, nil
}

// Lost are the mails that Undelete would bring back into a mailbox of the account, also one that was
// deleted: those that were removed after a time and lie nowhere.
func (s *Store) Lost(ctx context.Context, account, box string, after time.Time) ([]int64, error) {
	box, err := mailbox.CleanName(box)
	if err != nil {
		return nil, err
	}
	ids, err := store.List(ctx, s.DB, store.Value[int64], `SELECT g.mail FROM mailbox_gone g JOIN mails m ON m.id = g.mail JOIN mailboxes b ON b.id = g.mailbox
		WHERE m.account = ? AND CASE WHEN b.was = '' THEN b.name ELSE b.was END = ? AND g.removed >= ? AND NOT EXISTS (SELECT 1 FROM mailbox_entries e WHERE e.mail = m.id)
		AND NOT EXISTS (SELECT 1 FROM mailbox_gone x WHERE x.mail = g.mail AND x.modseq > g.modseq) ORDER BY g.modseq, g.uid`, account, box, store.Time(after))
	if err != nil {
		return nil, fmt.Errorf("removed messages of mailbox %q: %w", box, err)
	}
	return ids, nil
}

// Undelete brings a removed mail back into the mailbox from which it went last, with the flags that it
// had but \Deleted; a mailbox that was deleted is made again. ErrNoSuchMessage.
func (s *Store) Undelete(ctx context.Context, mail int64) (where string, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		m, err := scanRemoved(tx.Row(removedColumns+` WHERE g.mail = ? ORDER BY g.modseq DESC LIMIT 1`, mail))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoSuchMessage
		}
		if err != nil {
			return err
		}
		where = m.Mailbox
		c, err := s.change(tx, m.Account, usage{messages: 1, octets: m.Size})
		if err != nil {
			return err
		}
		flags := m.Entry.Flags &^ mailbox.Deleted
		box, uid, err := c.place(&box{account: m.Account, name: m.Mailbox, create: true}, flags, m.Size)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE mails SET created = ? WHERE id = ?`, int64(c.modseq), mail)
		if err == nil && n == 0 {
			err = ErrNoSuchMessage // it was erased meanwhile
		}
		if err != nil {
			return err
		}
		var octets int64
		if err := tx.Row(`SELECT coalesce(sum(octets), 0) FROM mailbox_gone WHERE mail = ?`, mail).Scan(&octets); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE mailbox_gone SET mail = 0, octets = 0 WHERE mail = ?`, mail); err != nil {
			return err
		}
		if err := c.count(usage{gone: -octets}); err != nil {
			return err
		}
		return c.enter(box, mailbox.Entry{UID: uid, Flags: flags, Mail: mail, Saved: s.now()})
	})
	if err != nil {
		return "", fmt.Errorf("bring a message back: %w", err)
	}
	return where, nil
}
