// Package mailboxes keeps what people have received: the mailboxes of each account, the mails
// in them, and every change of both in one order, the account's modification sequence.
//
// A mail is one row an account and message (EMAILID), with the header fields of that delivery
// alone; the rest of its octets is kept by package body, once for all accounts and the queue.
// Where it lies is a narrow row a mailbox, with its UID, flags and modseq: a copy writes no
// more than that, and what is removed becomes a row of mailbox_gone, from which sessions
// learn of it and an operator can bring it back.
//
// Whoever changes anything of an account changes its row of mail_accounts first, and with that
// takes its turn: UIDs and modification sequences become visible in ascending order.
package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

// Errors of this package.
var (
	ErrNoSuchMessage   = errors.New("no such message")
	ErrNoSuchAccount   = errors.New("no such account")
	ErrNoSuchMailbox   = views.ErrNoSuchMailbox
	ErrMailboxExists   = errors.New("there is such a mailbox already")
	ErrTooManyKeywords = fmt.Errorf("an account can have %d keywords, and all are in use", mailbox.MaxKeywords)
	ErrOverQuota       = errors.New("the account is over its quota")
	ErrInbox           = errors.New("INBOX stays where it is")
)

// Store keeps mail. Its methods may be called at the same time; all fields are set before the
// first of them.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now
	// Quota bounds accounts (MBX-5); its zero value does not.
	Quota Quota

	feed  feed
	poll  time.Duration // of MindEars; 0: half a second
	views views.Views
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// Open returns a mail and the first of the mailboxes in which it lies. ErrNoSuchMessage for one
// that lies in none.
func (s *Store) Open(ctx context.Context, id int64) (delivery.Content, mailbox.Message, error) {
	places, err := s.Find(ctx, id)
	if err == nil && len(places) == 0 {
		err = ErrNoSuchMessage
	}
	if err != nil {
		return nil, mailbox.Message{}, fmt.Errorf("message %s: %w", delivery.ID(id), err)
	}
	c, _, err := s.Content(ctx, id)
	return c, places[0], err
}

// Content returns a mail, wherever it lies; its octets are read from the store piece by piece.
// ErrNoSuchMessage.
func (s *Store) Content(ctx context.Context, id int64) (delivery.Content, mailbox.Mail, error) {
	var m mailbox.Mail
	var at, replaced int64
	var header []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		tx.Brief()
		var received int64
		err := tx.Row(mailColumns+`, m.body, m.header, m.replaced FROM mails m WHERE m.id = ?`, id).Scan(append(mailFields(&m, &received), &at, &header, &replaced)...)
		m.Received = store.FromTime(received)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMessage
	}
	var c delivery.Content
	if err == nil {
		// The content may outlive this call.
		bodies := body.Store{DB: s.DB, Now: s.now}
		c, err = bodies.Open(context.WithoutCancel(ctx), at, m.Size-int64(len(header))+replaced)
	}
	if err != nil {
		return nil, mailbox.Mail{}, fmt.Errorf("message %s: %w", delivery.ID(id), err)
	}
	return delivery.Edited(header, replaced, c), m, nil
}

const mailColumns = `SELECT m.id, m.account, m.thread, m.sender, m.recipient, m.size, m.received, m.message_id, m.facts, m.evidence, m.taught, m.structure`

// mailFields are where a row of mailColumns goes; received is to be made a time after it.
func mailFields(m *mailbox.Mail, received *int64) []any {
	return []any{&m.ID, &m.Account, &m.Thread, &m.Sender, &m.Recipient, &m.Size, received, &m.MessageID, &m.Facts, &m.Evidence, &m.Taught, &m.Structure}
}

// change is what every change of an account's mail is made in: a transaction that has its turn.
type change struct {
	*Store
	tx      *store.Tx
	account string
	modseq  uint64 // of what is changed

	into  string // the mailbox that a delivery goes to, where it is known from the start
	box   int64  // its id; 0: it is not there, or not known
	after uint32 // its UIDNEXT

	threads map[string]int64 // by Message-ID, of mails that are still to be inserted
}

// change takes the account's turn, with the next modseq. delta is what the change adds to the
// account's counters, where that is known before. The account's row is made where it is missing.
func (s *Store) change(tx *store.Tx, account string, delta usage) (*change, error) {
	return s.changeInto(tx, account, "", delta)
}

// changeInto is change for a delivery into a mailbox.
func (s *Store) changeInto(tx *store.Tx, account, name string, delta usage) (*change, error) {
	c := &change{Store: s, tx: tx, account: account, into: name}
	err := c.turn(delta)
	if errors.Is(err, sql.ErrNoRows) {
		if err = s.begin(tx, account); err == nil {
			err = c.turn(delta)
		}
	}
	if err != nil {
		return nil, err
	}
	return c, s.Rouse(tx, account)
}

// turn takes it; sql.ErrNoRows where the account has no row. To SQLite, RETURNING costs more than a question before, between
// which and the answer nobody else writes.
func (c *change) turn(delta usage) error {
	const by = `, messages = messages + ?, octets = octets + ? WHERE account = ?`
	if c.tx.Postgres() {
		return c.tx.Row(`UPDATE mail_accounts SET modseq = modseq + 1`+by+` RETURNING modseq`, delta.messages, delta.octets, c.account).Scan(&c.modseq)
	}
	var err error
	if c.into == "" {
		err = c.tx.Row(`SELECT modseq + 1 FROM mail_accounts WHERE account = ?`, c.account).Scan(&c.modseq)
	} else {
		err = c.tx.Row(`SELECT a.modseq + 1, coalesce(b.id, 0), coalesce(b.uidnext, 0) FROM mail_accounts a LEFT JOIN mailboxes b ON b.account = a.account AND b.name = ? AND b.removed = 0 WHERE a.account = ?`,
			c.into, c.account).Scan(&c.modseq, &c.box, &c.after)
	}
	if err == nil {
		_, err = c.tx.Exec(`UPDATE mail_accounts SET modseq = ?`+by, int64(c.modseq), delta.messages, delta.octets, c.account)
	}
	return err
}

// usage is a number of messages and their octets, and those of messages that are gone and can be brought back.
type usage struct{ messages, octets, gone int64 }

// begin gives an account its row and the mailboxes that every account has.
func (s *Store) begin(tx *store.Tx, account string) error {
	n, err := tx.Exec(`INSERT INTO mail_accounts (account) VALUES (?) ON CONFLICT DO NOTHING`, account)
	if store.IsForeignKey(err) {
		return refusal{ErrNoSuchAccount}
	}
	if err != nil || n == 0 { // another machine has made it meanwhile
		return err
	}
	c := &change{Store: s, tx: tx, account: account, modseq: 1}
	for _, m := range mailbox.Standards() {
		if _, err := c.create(m.Name, m.Use); err != nil {
			return err
		}
	}
	return nil
}

// touch says that a mailbox has changed with this change, and by how much its counters do.
func (c *change) touch(box int64, by counters) error {
	n, err := c.tx.Exec(`UPDATE mailboxes SET modseq = ?, messages = messages + ?, unseen = unseen + ?, deleted = deleted + ?, octets = octets + ? WHERE id = ?`,
		int64(c.modseq), by.messages, by.unseen, by.deleted, by.octets, box)
	if err == nil && n == 0 {
		err = ErrNoSuchMailbox
	}
	return err
}

// counters are those of a mailbox, or a difference of them.
type counters struct{ messages, unseen, deleted, octets int64 }

// count adds to the account's counters.
func (c *change) count(by usage) error {
	if by == (usage{}) {
		return nil
	}
	_, err := c.tx.Exec(`UPDATE mail_accounts SET messages = messages + ?, octets = octets + ?, gone_octets = gone_octets + ? WHERE account = ?`, by.messages, by.octets, by.gone, c.account)
	return err
}

// in runs fn in a change of the mailbox's account.
func (s *Store) in(ctx context.Context, box int64, fn func(c *change) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		var account string
		err := tx.Row(`SELECT account FROM mailboxes WHERE id = ? AND removed = 0`, box).Scan(&account)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoSuchMailbox
		}
		if err != nil {
			return err
		}
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		return fn(c)
	})
}

// channel is on which machines tell each other whose mail has changed.
const channel = "waxwing_mail"

// feed wakes those who wait for news of an account.
type feed struct {
	mu  sync.Mutex
	who map[string]map[chan struct{}]struct{}
}
