// Package body keeps the octets of messages: each message's once, whatever number
// of recipients, mailboxes and queue entries hold it.
//
// Who holds a body is counted. It is there from before its first user's commit until
// after its last user's: a body with a user is never missing, and a crash in between
// leaves one without users, which Sweep removes. So the rest of Waxwing
// never copies a body; what differs between holders, such as a Return-Path field, is
// kept beside their reference to it.
//
// No transaction writes more than MaxTx octets of bodies, nor removes more than
// removeChunks of them at once: a large body goes in and out chunk by chunk, each in
// a transaction of its own, so that no message makes others wait for long. (The second
// form of a notification, RFC 6533 §3, is no body: up to 2 MiB go in with it.)
//
// What mailboxes keep is compressed where that helps: a small body as a whole, a large one
// chunk by chunk, so that no more than a chunk is ever in memory; and with its SHA-256, by which
// damage is found (Verify). What passes through the queue is not: it goes soon.
//
// The octets stand in the store. What stands behind Put, Open and Remove could be an
// object store as well; Insert, Use and Drop only count, and write what is small.
package body

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

const (
	// MaxInline is up to how many octets a body is written in its user's transaction.
	MaxInline = 128 << 10
	// MaxTx bounds the octets of bodies that one transaction writes.
	MaxTx = chunkSize

	chunkSize    = 256 << 10
	removeChunks = 8 // removed in one transaction: 2 MiB
)

// ErrGone says that there is no such body, or not any more.
var ErrGone = errors.New("the body of the message is gone")

// Store keeps bodies. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time
	// Keep: what is Put stays for long, and is compressed where that helps.
	Keep bool
}

// table is that of bodies, for what writes one whole.
const table = `bodies (id, data, users, idle, coding, sha256)`

// Insert writes a body of up to MaxInline octets that has users from the start.
func Insert(tx *store.Tx, id int64, p Packed, users int) error {
	if err := p.small(); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO `+table+` VALUES (?, ?, ?, ?, ?, ?)`, p.row(id, users)...)
	return err
}

// InsertAll writes many, for a user each.
func InsertAll(tx *store.Tx, ids []int64, all []Packed) error {
	var rows []any
	for i, p := range all {
		if err := p.small(); err != nil {
			return err
		}
		rows = append(rows, p.row(ids[i], 1)...)
	}
	return tx.Insert(table, 6, rows)
}

func (p Packed) small() error {
	if len(p.Data) > MaxInline {
		return fmt.Errorf("body of %d octets: more than %d must be put before the transaction", len(p.Data), MaxInline)
	}
	return nil
}

// row is that of a body; with NULL for the data it would be a large one.
func (p Packed) row(id int64, users int) []any {
	return []any{id, store.Blob(p.Data), int64(users), int64(0), int64(p.Coding), p.Sum}
}

// Use adds users to a body, or takes some off that were added in this transaction.
// From then on, until the transaction ends, others who want to do so wait. ErrGone.
func Use(tx *store.Tx, id int64, users int) error {
	n, err := tx.Exec(`UPDATE bodies SET users = users + ? WHERE id = ? AND users >= 0`, int64(users), id)
	if err == nil && n == 0 {
		err = ErrGone
	}
	return err
}

// Drop takes one user off. With the last one a small body is removed; Remove takes
// away a large one after the commit.
func Drop(tx *store.Tx, id int64) error {
	n, err := tx.Exec(`DELETE FROM bodies WHERE id = ? AND users = 1 AND data IS NOT NULL`, id)
	if err != nil || n == 1 {
		return err
	}
	n, err = tx.Exec(`UPDATE bodies SET users = users - 1, idle = 0 WHERE id = ? AND users > 0`, id)
	if err == nil && n == 0 {
		err = ErrGone
	}
	return err
}

// Put writes a large body, which has no user yet: the transaction that Uses it must
// follow within OrphanAge. Where that comes to nothing, Remove takes it away again. An
// error leaves what Sweep removes.
func (s *Store) Put(ctx context.Context, id int64, c delivery.Content) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO bodies (id, users, idle) VALUES (?, 0, ?)`, id, store.Time(s.Now()))
		return err
	})
	if err != nil {
		return err
	}
	return eachChunk(c, func(part int64, data []byte) error {
		p := Packed{Data: data}
		if s.Keep {
			p = Pack(data)
		}
		return s.DB.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO body_chunks (body, part, data, coding, sha256) VALUES (?, ?, ?, ?, ?)`, id, part, p.Data, int64(p.Coding), p.Sum)
			return err
		})
	})
}

func eachChunk(c delivery.Content, fn func(part int64, data []byte) error) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, chunkSize)
	var total int64
	for part := int64(0); ; part++ {
		n, err := io.ReadFull(r, buf)
		total += int64(n)
		if n > 0 && total <= c.Size() {
			if err := fn(part, buf[:n]); err != nil {
				return err
			}
		}
		if total > c.Size() || err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if total != c.Size() {
		return fmt.Errorf("the message has %d octets, %d were announced", total, c.Size())
	}
	return nil
}

// Open returns a body of size octets: a small one loaded, a large one read chunk by
// chunk as it is used, with no transaction between two reads. ErrGone.
func (s *Store) Open(ctx context.Context, id, size int64) (delivery.Content, error) {
	var p Packed
	var large bool
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		tx.Brief()
		p = Packed{}
		return tx.Row(`SELECT data IS NULL, data, coding FROM bodies WHERE id = ? AND users >= 0`, id).Scan(&large, &p.Data, &p.Coding)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrGone
	case err != nil:
		return nil, err
	case large:
		return &content{ctx: ctx, db: s.DB, id: id, size: size}, nil
	}
	data, err := p.unpack()
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != size {
		return nil, fmt.Errorf("the body is damaged: it has %d octets and should have %d", len(data), size)
	}
	return delivery.Bytes(data), nil
}

// Users is how many hold a body; 0 also where there is none.
func Users(tx *store.Tx, id int64) (n int64, err error) {
	err = tx.Row(`SELECT users FROM bodies WHERE id = ?`, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return max(n, 0), err
}
