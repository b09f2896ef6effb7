package body

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"waxwing/internal/store"
)

// content is a large body in the store.
type content struct {
	ctx  context.Context
	db   *store.Store
	id   int64
	size int64
}

func (c *content) Size() int64                  { return c.size }
func (c *content) Open() (io.ReadCloser, error) { return &reader{c: c}, nil }

// reader holds one chunk at a time.
type reader struct {
	c    *content
	part int64 // the next one
	read int64 // octets of the chunks before it
	rest []byte
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
	return n, nil
}

// next reads the next chunk. One that is missing is an error and never an EOF: a body
// that ends early must not pass for a whole one.
func (r *reader) next() error {
	var p Packed
	err := r.c.db.Read(r.c.ctx, func(tx *store.Tx) error {
		p = Packed{}
		return tx.Row(`SELECT data, coding FROM body_chunks WHERE body = ? AND part = ?`, r.c.id, r.part).Scan(&p.Data, &p.Coding)
	})
	var data []byte
	if err == nil {
		data, err = p.unpack()
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: it ends after %d of %d octets", ErrGone, r.read, r.c.size)
	case err != nil:
		return fmt.Errorf("read the body: %w", err)
	case len(data) == 0 || r.read+int64(len(data)) > r.c.size:
		return fmt.Errorf("the body is damaged: part %d has %d octets", r.part, len(data))
	}
	r.rest = data
	r.part++
	r.read += int64(len(data))
	return nil
}

func (r *reader) Close() error {
	r.rest, r.read = nil, r.c.size
	return nil
}
