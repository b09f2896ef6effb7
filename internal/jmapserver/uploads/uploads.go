// Package uploads keeps what JMAP clients have uploaded (RFC 8620 §6.1) until a day has passed: it is used for a mail
// by then, or was not meant.
package uploads

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// How much is kept of an account, beyond which its oldest go; and for how long.
const (
	maxUploads = 1000
	maxOctets  = 512 << 20
	kept       = 24 * time.Hour
)

// Store keeps them. Its fields are set before its first use.
type Store struct {
	DB  *store.Store
	Now func() time.Time
}

// Upload is what was uploaded.
type Upload struct {
	ID      int64
	Type    string // media type, as the client named it
	Content delivery.Content
}

func (s *Store) bodies() *body.Store { return &body.Store{DB: s.DB, Now: s.Now} }

// Put keeps what an account has uploaded.
func (s *Store) Put(ctx context.Context, account, mediaType string, c delivery.Content) (id int64, err error) {
	id = store.NewID()
	var data []byte
	if c.Size() <= body.MaxInline {
		r, err := c.Open()
		if err != nil {
			return 0, err
		}
		defer r.Close()
		if data, err = io.ReadAll(io.LimitReader(r, c.Size())); err != nil {
			return 0, err
		}
	} else if err := s.bodies().Put(ctx, id, c); err != nil {
		return 0, fmt.Errorf("keep an upload: %w", err)
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if data != nil || c.Size() == 0 {
			err = body.Insert(tx, id, body.Pack(append([]byte{}, data...)), 1)
		} else {
			err = body.Use(tx, id, 1)
		}
		if err == nil {
			_, err = tx.Exec(`INSERT INTO jmap_uploads (id, account, body, size, type, created) VALUES (?, ?, ?, ?, ?, ?)`,
				id, account, id, c.Size(), mediaType, store.Time(s.Now()))
		}
		return err
	})
	if err != nil {
		_ = s.bodies().Remove(context.WithoutCancel(ctx), id) // what is left, a sweep removes
		return 0, fmt.Errorf("keep an upload: %w", err)
	}
	return id, s.bound(ctx, account)
}

// Open is an upload of an account; nil: there is no such.
func (s *Store) Open(ctx context.Context, account string, id int64) (*Upload, error) {
	u := &Upload{ID: id}
	var at, size int64
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT body, size, type FROM jmap_uploads WHERE id = ? AND account = ?`, id, account).Scan(&at, &size, &u.Type)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		u.Content, err = s.bodies().Open(context.WithoutCancel(ctx), at, size)
	}
	if err != nil {
		return nil, fmt.Errorf("read an upload: %w", err)
	}
	return u, nil
}

// bound removes the oldest of an account's, where there are too many.
func (s *Store) bound(ctx context.Context, account string) error {
	type one struct{ id, size int64 }
	all, err := store.List(ctx, s.DB, func(r store.Row) (o one, err error) { return o, r.Scan(&o.id, &o.size) },
		`SELECT id, size FROM jmap_uploads WHERE account = ? ORDER BY created DESC, id DESC`, account)
	var octets int64
	for i, o := range all {
		if octets += o.size; err == nil && i > 0 && (i >= maxUploads || octets > maxOctets) {
			err = s.remove(ctx, o.id)
		}
	}
	return err
}

func (s *Store) remove(ctx context.Context, id int64) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM jmap_uploads WHERE id = ?`, id)
		if err != nil || n == 0 {
			return err
		}
		if err = body.Drop(tx, id); errors.Is(err, body.ErrGone) {
			err = nil
		}
		return err
	})
	if err == nil {
		err = s.bodies().Remove(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("remove an upload: %w", err)
	}
	return nil
}

// Tidy removes what is too old.
func (s *Store) Tidy(ctx context.Context) error {
	old, err := store.List(ctx, s.DB, store.Value[int64], `SELECT id FROM jmap_uploads WHERE created < ? LIMIT 10000`, store.Time(s.Now().Add(-kept)))
	for _, id := range old {
		if err == nil {
			err = s.remove(ctx, id)
		}
	}
	return err
}
