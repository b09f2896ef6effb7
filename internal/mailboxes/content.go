package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// content is a stored message. It may outlive the call that opened it, and so
// keeps the call's context only for its values.
type content struct {
	db   *store.Store
	ctx  context.Context
	id   int64
	size int64
}

func (c *content) Size() int64 { return c.size }

// Open returns a reader that holds one chunk at a time and no transaction between reads.
func (c *content) Open() (io.ReadCloser, error) { return &reader{c: c}, nil }

type reader struct {
	c    *content
	part int64
	rest []byte // of the chunk
	read int64  // octets returned so far
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 {
		if r.read == r.c.size {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.read += int64(n)
	return n, nil
}

// next reads the next chunk. One that is missing or too long is an error: a
// message is whole or not read.
func (r *reader) next() error {
	err := r.c.db.Read(r.c.ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT data FROM mailbox_chunks WHERE message = ? AND part = ?`, r.c.id, r.part).Scan(&r.rest)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("message %s, part %d: %w", delivery.ID(r.c.id), r.part, ErrNoSuchMessage)
	case err != nil:
		return fmt.Errorf("message %s, part %d: %w", delivery.ID(r.c.id), r.part, err)
	case len(r.rest) == 0 || r.read+int64(len(r.rest)) > r.c.size:
		r.rest = nil
		return fmt.Errorf("message %s, part %d is damaged", delivery.ID(r.c.id), r.part)
	}
	r.part++
	return nil
}

func (r *reader) Close() error {
	r.rest = nil
	r.read = r.c.size
	return nil
}
