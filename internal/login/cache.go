package login

import (
	"sync"
	"time"
)

// cache remembers passwords that were verified lately, so that a busy client
// does not cost an argon2id for every connection.
type cache struct {
	mu    sync.Mutex
	until map[[32]byte]time.Time
}

func (k *cache) has(key [32]byte, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return now.Before(k.until[key])
}

func (k *cache) put(key [32]byte, now time.Time, l Limits) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.until == nil {
		k.until = map[[32]byte]time.Time{}
	}
	if len(k.until) >= l.Cache {
		k.shrink(now, l.Cache)
	}
	k.until[key] = now.Add(l.CacheFor)
}

// shrink drops what is over, then whatever comes first until there is room.
func (k *cache) shrink(now time.Time, limit int) {
	for key, t := range k.until {
		if !now.Before(t) {
			delete(k.until, key)
		}
	}
	for key := range k.until {
		if len(k.until) < limit {
			return
		}
		delete(k.until, key)
	}
}
