package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Appended is a message that a client or an import puts into a mailbox.
type Appended struct {
	Sender  string // the reverse-path, where it is known
	Flags   []string
	Date    time.Time // INTERNALDATE; zero: now
	Content delivery.Content
	// What package structure has found out about it, as of a delivery.
	MessageID  string
	References []string
	Structure  []byte
}

// stored is one of them whose octets are ready.
type stored struct {
	*Appended
	id   int64
	data body.Packed // none: put into the store already
}

// Append puts messages into a mailbox, all of them or none (RFC 3502); when it returns nil they
// are durable. ErrNoSuchMailbox, ErrOverQuota, ErrTooManyKeywords.
func (s *Store) Append(ctx context.Context, account, name string, messages []Appended) (box mailbox.Box, uids []uint32, err error) {
	return s.AppendWith(ctx, account, name, messages, func(*store.Tx) error { return nil })
}

// AppendWith is Append in one transaction with what also writes.
func (s *Store) AppendWith(ctx context.Context, account, name string, messages []Appended, also func(*store.Tx) error) (box mailbox.Box, uids []uint32, err error) {
	if name, err = mailbox.CleanName(name); err != nil {
		return box, nil, err
	}
	err = s.appending(ctx, messages, func(tx *store.Tx, ready []stored) (err error) {
		if box, uids, err = s.append(tx, account, name, ready); err != nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		return box, nil, named(err, name)
	}
	return box, uids, nil
}

// appending stores the octets of messages, as far as they do not go into the transaction in which write runs.
func (s *Store) appending(ctx context.Context, messages []Appended, write func(tx *store.Tx, ready []stored) error) error {
	ready, err := s.ready(ctx, messages)
	if err == nil {
		err = s.DB.Write(ctx, func(tx *store.Tx) error { return write(tx, ready) })
	}
	if err != nil {
		s.giveUp(ctx, ready)
	}
	return err
}

// Replace is Append of one message, and removes another of the account in the same moment: there is either of them at
// any time, whatever happens (RFC 8508), and they need no room together. ErrNoSuchMessage where the other has gone
// already, and the errors of Append.
func (s *Store) Replace(ctx context.Context, m Appended, name string, old mailbox.Box, uids []mailbox.Range) (box mailbox.Box, uid uint32, err error) {
	if name, err = mailbox.CleanName(name); err != nil {
		return box, 0, err
	}
	err = s.appending(ctx, []Appended{m}, func(tx *store.Tx, ready []stored) error {
		c, err := s.change(tx, old.Account, usage{})
		if err != nil {
			return err
		}
		gone, err := c.remove(old.ID, uids, removal{})
		if err == nil && len(gone) != 1 {
			err = ErrNoSuchMessage
		}
		if err != nil {
			return err
		}
		var added []uint32
		if box, added, err = s.append(tx, old.Account, name, ready); err == nil {
			uid = added[0]
		}
		return err
	})
	return box, uid, named(err, name)
}

// ready loads what is small, and stores what is large: too much for one transaction.
func (s *Store) ready(ctx context.Context, messages []Appended) (out []stored, err error) {
	bodies := body.Store{DB: s.DB, Now: s.now, Keep: true}
	inline := 0
	for i := range messages {
		m := stored{Appended: &messages[i], id: store.NewID()}
		size := m.Content.Size()
		if size <= body.MaxInline && inline+int(size) <= body.MaxTx {
			inline += int(size)
			data, err := octets(m.Content)
			if err != nil {
				return out, err
			}
			m.data = body.Pack(data)
		} else if err = bodies.Put(ctx, m.id, m.Content); err != nil {
			return append(out, m), err
		}
		out = append(out, m)
	}
	return out, nil
}

func octets(c delivery.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, c.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return data, nil
}

// giveUp takes back what was stored for nothing.
func (s *Store) giveUp(ctx context.Context, ready []stored) {
	bodies := body.Store{DB: s.DB, Now: s.now}
	for _, m := range ready {
		if m.data.Data == nil {
			bodies.Remove(context.WithoutCancel(ctx), m.id) // what is left, Sweep removes
		}
	}
}

func (s *Store) append(tx *store.Tx, account, name string, ready []stored) (box mailbox.Box, uids []uint32, err error) {
	c, err := s.change(tx, account, usage{})
	if err != nil {
		return box, nil, err
	}
	id, err := c.find(name)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMailbox
	}
	if err != nil {
		return box, nil, err
	}
	if box, err = byID(tx, id); err != nil {
		return box, nil, err
	}
	uids, by, err := c.appendAll(ready, id, box.UIDNext)
	if err != nil {
		return box, nil, err
	}
	if err := c.room(usage{messages: by.messages, octets: by.octets}); err != nil {
		return box, nil, err
	}
	if _, err := tx.Exec(`UPDATE mailboxes SET uidnext = uidnext + ? WHERE id = ?`, by.messages, id); err != nil {
		return box, nil, err
	}
	if len(uids) > 0 {
		c.arrived(id, uids[0], uids[len(uids)-1])
	}
	if err := c.touch(id, by); err != nil {
		return box, nil, err
	}
	return box, uids, c.count(usage{messages: by.messages, octets: by.octets})
}

// appendAll writes messages and where they lie, with UIDs from next on.
func (c *change) appendAll(ready []stored, box int64, next uint32) (uids []uint32, by counters, err error) {
	var ids []int64 // of bodies that are stored now
	var bodies []body.Packed
	var mails, news, entries []any
	c.threads = map[string]int64{}
	for i := range ready {
		m := &ready[i]
		if m.data.Data == nil {
			if err := body.Use(c.tx, m.id, 1); err != nil {
				return nil, by, err
			}
		} else {
			ids, bodies = append(ids, m.id), append(bodies, m.data)
		}
		mail, err := c.appended(m)
		if err != nil {
			return nil, by, err
		}
		e := mailbox.Entry{UID: next + uint32(i), Mail: mail.ID, Saved: c.now()}
		if e.Flags, err = c.flags(m.Flags); err != nil {
			return nil, by, err
		}
		mails, news, entries = append(mails, c.mailRow(mail, m.id, nil, 0)...), append(news, c.account, mail.ID), append(entries, c.entryRow(box, e)...)
		unseen, deleted := bits(e.Flags)
		by = counters{by.messages + 1, by.unseen + unseen, by.deleted + deleted, by.octets + mail.Size}
		uids = append(uids, e.UID)
	}
	if err = body.InsertAll(c.tx, ids, bodies); err == nil {
		err = c.tx.Insert(mailTable, 15, mails)
	}
	if err == nil {
		err = c.tx.Insert(`mails_unindexed (account, mail)`, 2, news)
	}
	if err == nil {
		err = c.tx.Insert(entryTable, 7, entries)
	}
	return uids, by, err
}

// appended is the mail that is made of a message.
func (c *change) appended(m *stored) (*mailbox.Mail, error) {
	received := m.Date
	if received.IsZero() {
		received = c.now()
	}
	mail := &mailbox.Mail{ID: store.NewID(), Sender: m.Sender, Size: m.Content.Size(), Received: received, MessageID: m.MessageID, Structure: m.Structure}
	var err error
	if mail.Thread, err = c.thread(mail.ID, m.References); err == nil && mail.MessageID != "" {
		c.threads[mail.MessageID] = mail.Thread
	}
	return mail, err
}
