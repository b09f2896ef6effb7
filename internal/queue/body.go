package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// LogID is a message's identifier as logs, pages and DSNs show it.
func LogID(id int64) string { return delivery.ID(id).String() }

// body returns the content of a stored message: a small one loaded, a large
// one read chunk by chunk as it is used.
func (q *Queue) body(ctx context.Context, id, size int64) (delivery.Content, error) {
	var data []byte
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		data = nil
		return tx.Row(`SELECT data FROM bodies WHERE message = ?`, id).Scan(&data)
	})
	switch {
	case err == nil:
		return delivery.Bytes(data), nil
	case errors.Is(err, sql.ErrNoRows):
		return &chunked{ctx: ctx, s: q.Store, id: id, size: size}, nil
	}
	return nil, fmt.Errorf("read the body of message %s: %w", LogID(id), err)
}

// chunked is a large body in the store.
type chunked struct {
	ctx  context.Context
	s    *store.Store
	tx   *store.Tx // read through it; nil: a transaction for each chunk
	id   int64
	size int64
}

func (c *chunked) Size() int64                  { return c.size }
func (c *chunked) Open() (io.ReadCloser, error) { return &chunkReader{c: c}, nil }

// In is the same content, read through tx.
func (c *chunked) In(tx *store.Tx) delivery.Content {
	in := *c
	in.tx = tx
	return &in
}

func (c *chunked) chunk(part int64) (data []byte, err error) {
	read := func(tx *store.Tx) error {
		data = nil
		return tx.Row(`SELECT data FROM chunks WHERE message = ? AND part = ?`, c.id, part).Scan(&data)
	}
	if c.tx != nil {
		err = read(c.tx)
		return data, err
	}
	err = c.s.Read(c.ctx, read)
	return data, err
}

// chunkReader holds one chunk at a time.
type chunkReader struct {
	c    *chunked
	next int64 // part
	read int64
	data []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.data) == 0 {
		if r.read == r.c.size {
			return 0, io.EOF
		}
		data, err := r.c.chunk(r.next)
		if errors.Is(err, sql.ErrNoRows) {
			// Never an EOF: a body that ends early must not be sent as if it were whole.
			return 0, fmt.Errorf("body of message %s ends after %d of %d octets", LogID(r.c.id), r.read, r.c.size)
		}
		if err != nil {
			return 0, fmt.Errorf("read the body of message %s: %w", LogID(r.c.id), err)
		}
		r.data = data
		r.next++
		r.read += int64(len(data))
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *chunkReader) Close() error { return nil }
