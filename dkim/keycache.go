package dkim

import "sync"

// Bounds of what KeyCache keeps: together some megabytes.
const (
	maxKeys    = 1000
	maxKeyText = 1200 // octets of a record; one with an RSA key of 4,096 bits has about 750
)

// KeyCache remembers what key records say, so that the key of a domain that writes often is not read
// out of its text again for each message. Whether the record is still published is not its
// business: it goes by the text. It is safe for concurrent use; nil remembers nothing.
type KeyCache struct {
	mu     sync.Mutex
	recent map[string]record
	older  map[string]record // what was recent before: thrown away when recent is full again
}

// parse is parseRecord. What cannot be read is not kept.
func (c *KeyCache) parse(txt string) (record, error) {
	if c == nil || len(txt) > maxKeyText {
		return parseRecord(txt)
	}
	if r, ok := c.find(txt); ok {
		return r, nil
	}
	r, err := parseRecord(txt)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.keep(txt, r)
	}
	return r, err
}

func (c *KeyCache) find(txt string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.recent[txt]; ok {
		return r, true
	}
	r, ok := c.older[txt]
	if ok { // it is in use
		c.keep(txt, r)
	}
	return r, ok
}

// keep is called with mu held.
func (c *KeyCache) keep(txt string, r record) {
	if len(c.recent) >= maxKeys/2 || c.recent == nil {
		c.recent, c.older = make(map[string]record), c.recent
	}
	c.recent[txt] = r
}
