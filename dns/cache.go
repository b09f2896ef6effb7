package dns

import (
	"container/list"
	"sync"
	"time"
)

// Cache keeps answers, negative ones too, for their TTL (DNS-5). It keeps the
// security state an answer came with; a Secure answer counts only as long as
// the server that gave it is trusted. It is safe for concurrent use. A nil
// Cache keeps nothing.
type Cache struct {
	max int

	mu      sync.Mutex
	entries map[cacheKey]*list.Element // of *cacheEntry
	used    *list.List                 // latest use first
}

type cacheKey struct {
	name  Name
	qtype uint16
}

type cacheEntry struct {
	key     cacheKey
	value   any // an Answer[T], T fixed by the type asked for
	expires time.Time
	secure  bool
	server  string
}

// NewCache makes a cache of at most max answers; the one used longest ago goes
// first. A max below 1 stands for 10,000.
func NewCache(max int) *Cache {
	if max < 1 {
		max = 10_000
	}
	return &Cache{max: max, entries: make(map[cacheKey]*list.Element), used: list.New()}
}

// get returns the answer for key and how long it still counts.
func (c *Cache) get(key cacheKey, now time.Time, trusts func(server string) bool) (any, time.Duration, bool) {
	if c == nil {
		return nil, 0, false
	}
	e, ok := c.find(key, now)
	// A server that has lost its trust takes its Secure answers with it (DNS-6).
	if !ok || e.secure && !trusts(e.server) {
		return nil, 0, false
	}
	return e.value, e.expires.Sub(now), true
}

func (c *Cache) find(key cacheKey, now time.Time) (cacheEntry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.entries[key]
	if !ok {
		return cacheEntry{}, false
	}
	e := el.Value.(*cacheEntry)
	if !now.Before(e.expires) {
		c.drop(el)
		return cacheEntry{}, false
	}
	c.used.MoveToFront(el)
	return *e, true
}

func (c *Cache) put(key cacheKey, e cacheEntry) {
	if c == nil {
		return
	}
	e.key = key
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[key]; ok {
		c.drop(el)
	}
	c.entries[key] = c.used.PushFront(&e)
	for len(c.entries) > c.max {
		c.drop(c.used.Back())
	}
}

func (c *Cache) drop(el *list.Element) {
	delete(c.entries, el.Value.(*cacheEntry).key)
	c.used.Remove(el)
}

// Len is the number of answers held, expired ones included.
func (c *Cache) Len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Flush forgets everything.
func (c *Cache) Flush() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.used.Init()
}
