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

// maxBoxes bounds the mailboxes of an account (MBX-4).
const maxBoxes = 5000

// Boxes are the mailboxes of an account by name, INBOX first. An account that has had nothing
// to do with mail yet gets those that every account has. ErrNoSuchAccount.
func (s *Store) Boxes(ctx context.Context, account string) ([]mailbox.Box, error) {
	const q = views.BoxColumns + ` WHERE b.account = ? AND b.removed = 0`
	boxes, err := store.List(ctx, s.DB, views.ScanBox, q, account)
	if err == nil && !slices.ContainsFunc(boxes, func(b mailbox.Box) bool { return b.Name == mailbox.Inbox }) {
		if err = s.complete(ctx, account); err == nil {
			boxes, err = store.List(ctx, s.DB, views.ScanBox, q, account)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("mailboxes of %s: %w", account, err)
	}
	slices.SortFunc(boxes, func(a, b mailbox.Box) int {
		if in := b.Name == mailbox.Inbox; in || a.Name == mailbox.Inbox {
			return map[bool]int{true: 1, false: -1}[in]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return boxes, nil
}

// complete makes the mailboxes that every account has and this one does not.
func (s *Store) complete(ctx context.Context, account string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		for _, m := range mailbox.Standards() {
			if err == nil {
				_, err = c.ensure(m.Name, m.Use)
			}
		}
		return err
	})
}

// Box is one mailbox; ErrNoSuchMailbox.
func (s *Store) Box(ctx context.Context, account, name string) (b mailbox.Box, err error) {
	name, err = mailbox.CleanName(name)
	if err != nil {
		return b, err
	}
	find := func() error {
		return s.DB.Read(ctx, func(tx *store.Tx) (err error) {
			b, err = views.ScanBox(tx.Row(views.BoxColumns+` WHERE b.account = ? AND b.name = ? AND b.removed = 0`, account, name))
			return err
		})
	}
	if err = find(); errors.Is(err, sql.ErrNoRows) { // an account that has had nothing to do with mail has none yet
		if _, err = s.Boxes(ctx, account); err == nil {
			err = find()
		}
	}
	return b, named(err, name)
}

// byID is the row of a mailbox that is there; ErrNoSuchMailbox.
func byID(tx *store.Tx, id int64) (mailbox.Box, error) { return views.Box(tx, id) }

func named(err error, name string) error {
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMailbox
	}
	if err != nil {
		return fmt.Errorf("mailbox %q: %w", name, err)
	}
	return nil
}

// find is the id of a mailbox of the account; sql.ErrNoRows.
func (c *change) find(name string) (id int64, err error) {
	return id, c.tx.Row(`SELECT id FROM mailboxes WHERE account = ? AND name = ? AND removed = 0`, c.account, name).Scan(&id)
}

// ensure is find for a mailbox that is made where it is missing.
func (c *change) ensure(name, use string) (id int64, err error) {
	if id, err = c.find(name); errors.Is(err, sql.ErrNoRows) {
		return c.create(name, use)
	}
	return id, err
}

// create makes a mailbox that is not there, and those above it.
func (c *change) create(name, use string) (id int64, err error) {
	var n int64
	if err := c.tx.Row(`SELECT count(*) FROM mailboxes WHERE account = ?`, c.account).Scan(&n); err != nil {
		return 0, err
	}
	if n >= maxBoxes {
		return 0, refusal{fmt.Errorf("an account can have %d mailboxes", maxBoxes)}
	}
	if err := c.above(name); err != nil {
		return 0, err
	}
	validity, err := c.uidValidity()
	if err != nil {
		return 0, err
	}
	subscribed, err := c.tx.Exec(unsubscribe, c.account, name) // so many names
	if err != nil {
		return 0, err
	}
	id = store.NewID()
	_, err = c.tx.Exec(`INSERT INTO mailboxes (id, account, name, created, uidvalidity, modseq, made, special, subscribed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, c.account, name, store.Time(c.now()), validity, int64(c.modseq), int64(c.modseq), use, subscribed > 0 || name == mailbox.Inbox || use != "")
	return id, err
}

// above makes the mailboxes above a name that are missing, since each has its place in one. Nobody has asked
// for them: a client that does is not told that they are there already.
func (c *change) above(name string) error {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return nil
	}
	_, err := c.find(name[:i])
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	id, err := c.create(name[:i], "")
	if err == nil {
		_, err = c.tx.Exec(`UPDATE mailboxes SET implied = 1 WHERE id = ?`, id)
	}
	return err
}

// uidValidity is one that no mailbox of the account has had (RFC 9051 §2.3.1.1).
func (c *change) uidValidity() (v int64, err error) {
	err = c.tx.Row(`UPDATE mail_accounts SET uidvalidity = CASE WHEN uidvalidity < ? THEN ? ELSE uidvalidity + 1 END WHERE account = ? RETURNING uidvalidity`,
		c.now().Unix(), c.now().Unix(), c.account).Scan(&v)
	return v, err
}

// Create makes a mailbox, and those above it that are missing. use is a special use or "".
// ErrMailboxExists, *mailbox.NameError.
func (s *Store) Create(ctx context.Context, account, name, use string) (mailbox.Box, error) {
	name, err := mailbox.CleanName(strings.TrimSuffix(name, "/"))
	if err != nil {
		return mailbox.Box{}, err
	}
	b, err := store.Write(ctx, s.DB, func(tx *store.Tx) (b mailbox.Box, err error) {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return b, err
		}
		id, err := c.find(name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return b, err
		}
		there := err == nil
		if err := c.freeUse(use, 0); err != nil {
			return b, err
		}
		if there {
			err = c.claim(id, use)
		} else {
			id, err = c.create(name, use)
		}
		if err != nil {
			return b, err
		}
		return byID(tx, id)
	})
	return b, named(err, name)
}

// claim makes a mailbox that came along with one below it a mailbox like others. ErrMailboxExists for one that is.
func (c *change) claim(id int64, use string) error {
	n, err := c.tx.Exec(`UPDATE mailboxes SET implied = 0, modseq = ?, shaped = ?, special = ?, subscribed = CASE WHEN ? <> '' THEN 1 ELSE subscribed END WHERE id = ? AND implied = 1 AND uidnext = 1`, int64(c.modseq), int64(c.modseq), use, use, id)
	if err == nil && n == 0 {
		err = ErrMailboxExists
	}
	return err
}

// freeUse refuses a special use that another mailbox of the account has (RFC 6154 §3) than the one with that id.
func (c *change) freeUse(use string, id int64) error {
	if use == "" {
		return nil
	}
	var other string
	err := c.tx.Row(`SELECT name FROM mailboxes WHERE account = ? AND special = ? AND removed = 0 AND id <> ?`, c.account, use, id).Scan(&other)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = refusal{fmt.Errorf("%w for %s: %q", ErrMailboxExists, use, other)}
	}
	return err
}

// maxSubscribed bounds the names of an account that no mailbox has.
const maxSubscribed = 1000

const unsubscribe = `DELETE FROM mailbox_subscriptions WHERE account = ? AND name = ?`

// Subscribe says whether clients are to show a mailbox. There need not be one of that name (RFC 9051 §6.3.7).
func (s *Store) Subscribe(ctx context.Context, account, name string, is bool) error {
	name, err := mailbox.CleanName(name)
	if err != nil {
		return err
	}
	return named(s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(unsubscribe, account, name); err != nil {
			return err
		}
		id, err := c.find(name)
		switch {
		case err == nil:
			_, err = tx.Exec(`UPDATE mailboxes SET subscribed = ?, modseq = ?, shaped = ? WHERE id = ?`, is, int64(c.modseq), int64(c.modseq), id)
			return err
		case errors.Is(err, sql.ErrNoRows) && is:
			return c.keepSubscribed(name)
		case errors.Is(err, sql.ErrNoRows):
			return nil
		}
		return err
	}), name)
}

// keepSubscribed notes a name that no mailbox has, or will have any more.
func (c *change) keepSubscribed(name string) error {
	var n int64
	if err := c.tx.Row(`SELECT count(*) FROM mailbox_subscriptions WHERE account = ?`, c.account).Scan(&n); err != nil {
		return err
	}
	if n >= maxSubscribed {
		return refusal{&mailbox.NameError{Name: name, Why: fmt.Sprintf("an account can be subscribed to %d names that no mailbox has", maxSubscribed)}}
	}
	_, err := c.tx.Exec(`INSERT INTO mailbox_subscriptions (account, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, c.account, name)
	return err
}

// Subscriptions are the names to which an account is subscribed and that no mailbox has, sorted.
func (s *Store) Subscriptions(ctx context.Context, account string) ([]string, error) {
	names, err := store.List(ctx, s.DB, store.Value[string], `SELECT name FROM mailbox_subscriptions WHERE account = ? ORDER BY name`, account)
	if err != nil {
		return nil, fmt.Errorf("subscriptions of %s: %w", account, err)
	}
	return names, nil
}
