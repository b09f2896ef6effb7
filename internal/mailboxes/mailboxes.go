// Package mailboxes keeps delivered mail in the store: a row a message and mailbox,
// with the header fields of this copy alone. The rest of the message is kept by package
// body, once for all mailboxes and the queue.
package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Errors of this package.
var (
	ErrNoSuchMessage = errors.New("no such message")
	ErrNoSuchAccount = errors.New("no such account")
)

const (
	maxList = 1000 // messages that List returns
	maxName = 255  // octets in a mailbox's name
)

// Store keeps mail. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// mailbox is the row of a mailbox, made where it is missing.
func (s *Store) mailbox(tx *store.Tx, account, name string) (id int64, err error) {
	const q = `SELECT id FROM mailboxes WHERE account = ? AND name = ?`
	err = tx.Row(q, account, name).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	// Another machine may be making it too: then ours comes to nothing.
	_, err = tx.Exec(`INSERT INTO mailboxes (id, account, name, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		store.NewID(), account, name, store.Time(s.now()))
	if store.IsForeignKey(err) {
		return 0, refusal{ErrNoSuchAccount}
	}
	if err != nil {
		return 0, err
	}
	return id, tx.Row(q, account, name).Scan(&id)
}

// boxName is a mailbox's name as stored. INBOX is the same in any case (RFC 9051 §5.1).
func boxName(name string) (string, error) {
	if name == "" || strings.EqualFold(name, mailbox.Inbox) {
		return mailbox.Inbox, nil
	}
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fmt.Errorf("mailbox name %.100q: up to %d octets of UTF-8 without control characters are allowed", name, maxName)
	}
	return name, nil
}

const columns = `SELECT m.id, b.account, b.name, m.sender, m.recipient, m.size, m.received, m.facts, m.evidence, m.taught
	FROM mailbox_messages m JOIN mailboxes b ON b.id = m.mailbox`

func scan(r store.Row) (m mailbox.Message, err error) {
	var received int64
	err = r.Scan(&m.ID, &m.Account, &m.Mailbox, &m.Sender, &m.Recipient, &m.Size, &received, &m.Facts, &m.Evidence, &m.Taught)
	m.Received = store.FromTime(received)
	return m, err
}

// List returns the newest messages of a mailbox, newest first, up to limit (at
// most 1000; 0 is that). A mailbox that is not there has none.
func (s *Store) List(ctx context.Context, account, box string, limit int) ([]mailbox.Message, error) {
	return s.Page(ctx, account, box, 0, limit)
}

// Page is List from the message after the one with the id before; 0: from the newest.
func (s *Store) Page(ctx context.Context, account, box string, before int64, limit int) ([]mailbox.Message, error) {
	box, err := boxName(box)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	return store.List(ctx, s.DB, scan, columns+` WHERE b.account = ? AND b.name = ? AND m.id < ? ORDER BY m.id DESC LIMIT ?`, account, box, before, limit)
}

// Open returns a message; its content is read from the store piece by piece.
// ErrNoSuchMessage.
func (s *Store) Open(ctx context.Context, id int64) (delivery.Content, mailbox.Message, error) {
	var m mailbox.Message
	var at int64
	var header []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		header = nil
		if m, err = scan(tx.Row(columns+` WHERE m.id = ?`, id)); err != nil {
			return err
		}
		return tx.Row(`SELECT body, header FROM mailbox_messages WHERE id = ?`, id).Scan(&at, &header)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMessage
	}
	var c delivery.Content
	if err == nil {
		// The content may outlive this call.
		bodies := body.Store{DB: s.DB, Now: s.now}
		c, err = bodies.Open(context.WithoutCancel(ctx), at, m.Size-int64(len(header)))
	}
	if err != nil {
		return nil, mailbox.Message{}, fmt.Errorf("message %s: %w", delivery.ID(id), err)
	}
	return delivery.WithHeader(header, c), m, nil
}
