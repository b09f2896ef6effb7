package store

import (
	"context"
	"sync"
)

// Cached is what is made of some tables, until the area that stands for them is raised.
// The zero value is ready for use; it is safe for concurrent use.
type Cached[T any] struct {
	mu   sync.Mutex
	held *held[T]
}

type held[T any] struct {
	value      T
	generation int64
}

// Get is the value for the present generation of area (Store.Generation). Where it
// is not held, read makes it, in one snapshot with its generation, so that none is
// kept for longer than it is true. It is shared: nobody may change it.
func (c *Cached[T]) Get(ctx context.Context, s *Store, area string, read func(tx *Tx) (T, error)) (T, error) {
	var next held[T]
	generation, err := s.Generation(ctx, area)
	if err != nil {
		return next.value, err
	}
	if h := c.get(); h != nil && h.generation == generation {
		return h.value, nil
	}
	err = s.Read(ctx, func(tx *Tx) (err error) {
		if next.generation, err = tx.Generation(area); err != nil {
			return err
		}
		next.value, err = read(tx)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	c.put(&next)
	return next.value, nil
}

func (c *Cached[T]) get() *held[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// put keeps what is newer: two may read at the same time.
func (c *Cached[T]) put(h *held[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil || c.held.generation <= h.generation {
		c.held = h
	}
}
