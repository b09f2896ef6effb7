package store

import (
	"context"
	"sync"
)

// Cached is what is made of some tables, until the area that stands for them is raised.
// The zero value is ready for use; it is safe for concurrent use.
type Cached[T any] struct{ one Keyed[struct{}, T] }

// Get is the value for the present generation of area (Store.Generation). Where it
// is not kept, read makes it, in one snapshot with its generation, so that none is
// kept for longer than it is true. It is shared: nobody may change it.
func (c *Cached[T]) Get(ctx context.Context, s *Store, area string, read func(tx *Tx) (T, error)) (T, error) {
	return c.one.Get(ctx, s, area, struct{}{}, func(tx *Tx) (value T, size int, err error) {
		value, err = read(tx)
		return value, 1, err
	})
}

// Keyed is Cached for a table of which one row, or the rows of one key, are asked for at a
// time. Where the sizes of its values come to more than 4096, all but the newest are
// dropped. The zero value is ready for use; it is safe for concurrent use.
type Keyed[K comparable, V any] struct {
	mu         sync.Mutex
	generation int64
	values     map[K]V
	size       int // of all values
}

const maxSize = 4096

// Get is the value of key for the present generation of area, as Cached.Get has it.
// What read gives the size 0, because it is too large, is not kept.
func (c *Keyed[K, V]) Get(ctx context.Context, s *Store, area string, key K, read func(tx *Tx) (value V, size int, err error)) (V, error) {
	var none V
	generation, err := s.Generation(ctx, area)
	if err != nil {
		return none, err
	}
	if v, ok := c.get(generation, key); ok {
		return v, nil
	}
	var value V
	var size int
	err = s.Read(ctx, func(tx *Tx) (err error) {
		if generation, err = tx.Generation(area); err != nil {
			return err
		}
		value, size, err = read(tx)
		return err
	})
	if err != nil {
		return none, err
	}
	if size > 0 {
		c.put(generation, key, value, size)
	}
	return value, nil
}

func (c *Keyed[K, V]) get(generation int64, key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		var none V
		return none, false
	}
	v, ok := c.values[key]
	return v, ok
}

func (c *Keyed[K, V]) put(generation int64, key K, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, there := c.values[key]
	if generation < c.generation || generation == c.generation && there {
		return // read before what is kept, or at the same time
	}
	if generation > c.generation || c.size+size > maxSize || c.values == nil {
		c.generation, c.values, c.size = generation, map[K]V{}, 0
	}
	c.values[key] = value
	c.size += size
}
