// Package rejects keeps messages that were refused, for some days, in the Rejects mailbox of
// the accounts that want it, so that a wrong refusal can be found (JNK-4). The sender has been
// told that the message was refused all the same.
package rejects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/message"
)

// What an account keeps: what is older goes, and the oldest where there is more.
const (
	Days     = 14
	MaxCount = 1000
	MaxSize  = 2 << 20 // octets of one message
	MaxTotal = 64 << 20
)

// FieldName is of the header field that has the reply with which a message was refused.
const FieldName = "Waxwing-Rejected"

// Store keeps what was refused. Its methods may be called at the same time.
type Store struct {
	DB    *store.Store
	Boxes *mailboxes.Store
	Now   func() time.Time
}

// Reject is a message that was refused.
type Reject struct {
	ID        int64
	Sender    string          // the reverse-path without brackets
	Copies    []delivery.Copy // to whom it was, of accounts here
	Content   delivery.Content
	Reply     string // with which it was refused
	MessageID string // as message.CleanMessageID has it
	Facts     []byte // what was found out about who sent it, JSON
}

// Want says whether an account wants to see what is refused. What it has of it stays for its days.
func (s *Store) Want(ctx context.Context, account string, want bool) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		q := `INSERT INTO junk_rejects (account) VALUES (?) ON CONFLICT DO NOTHING`
		if !want {
			q = `DELETE FROM junk_rejects WHERE account = ?`
		}
		_, err := tx.Exec(q, account)
		return err
	})
}

// Wanted are those of some accounts, each named once, that want to see what is refused.
func (s *Store) Wanted(ctx context.Context, accounts ...string) ([]string, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	args := make([]any, len(accounts))
	for i, a := range accounts {
		args[i] = a
	}
	all, err := store.List(ctx, s.DB, store.Value[string], `SELECT account FROM junk_rejects WHERE account IN (?`+strings.Repeat(", ?", len(args)-1)+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("who wants to see refused messages: %w", err)
	}
	return all, nil
}

// Keep puts a message into the Rejects mailbox of its accounts, which are to be some of Wanted,
// and makes room there. One that is larger than MaxSize is not kept.
func (s *Store) Keep(ctx context.Context, r Reject) (kept bool, err error) {
	if len(r.Copies) == 0 || r.Content.Size() > MaxSize {
		return false, nil
	}
	accounts := map[string]bool{}
	copies := slices.Clone(r.Copies)
	for i := range copies {
		copies[i].Mailbox, copies[i].Create = mailbox.Rejects, true
		accounts[copies[i].Account] = true
	}
	if err := s.keep(ctx, r, copies); err != nil {
		return false, fmt.Errorf("keep a refused message: %w", err)
	}
	for account := range accounts {
		err = errors.Join(err, s.bound(ctx, account))
	}
	return true, err
}

func (s *Store) keep(ctx context.Context, r Reject, copies []delivery.Copy) error {
	content := delivery.WithHeader(message.Fold(FieldName, r.Reply), r.Content)
	d := mailbox.Delivery{Body: r.ID, Size: content.Size(), Sender: r.Sender, MessageID: r.MessageID, Facts: r.Facts}
	bodies := body.Store{DB: s.DB, Now: s.Now, Keep: true}
	if d.Size > body.MaxInline {
		if err := bodies.Put(ctx, r.ID, content); err != nil {
			return err
		}
	} else {
		from, err := content.Open()
		if err != nil {
			return err
		}
		defer from.Close()
		data, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		p := body.Pack(data)
		d.Data, d.Coding, d.Sum = p.Data, uint8(p.Coding), p.Sum
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Boxes.Deliver(tx, d, copies) })
}

// bound removes what an account has kept for long enough, or too much of.
func (s *Store) bound(ctx context.Context, account string) error {
	err := s.Boxes.Keep(ctx, account, mailbox.Rejects, mailbox.Bounds{Messages: MaxCount, Octets: MaxTotal, Before: s.Now().AddDate(0, 0, -Days), Erase: true})
	if err != nil {
		return fmt.Errorf("refused messages of %s: %w", account, err)
	}
	return nil
}

// Tidy removes what all accounts have kept for long enough.
func (s *Store) Tidy(ctx context.Context) error {
	accounts, err := store.List(ctx, s.DB, store.Value[string], `SELECT account FROM mailboxes WHERE name = ? AND removed = 0`, mailbox.Rejects)
	if err != nil {
		return fmt.Errorf("accounts with refused messages: %w", err)
	}
	for _, a := range accounts {
		err = errors.Join(err, s.bound(ctx, a)) // the others' all the same
	}
	return err
}
