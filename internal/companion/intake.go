package companion

import (
	"slices"
	"sync"
)

// intake is the bounded queue between the reader of datagrams and the writer.
type intake struct {
	mu     sync.Mutex
	items  [][]byte
	bytes  int
	most   int // of items
	weight int // of octets
	filled chan struct{}
}

func newIntake(items, octets int) *intake {
	return &intake{most: items, weight: octets, filled: make(chan struct{}, 1)}
}

// put keeps a copy of b; false: there is no room. It never blocks.
func (q *intake) put(b []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= q.most || q.bytes+len(b) > q.weight {
		return false
	}
	q.items = append(q.items, append([]byte(nil), b...))
	q.bytes += len(b)
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return true
}

// take removes up to n of the oldest with up to octets together, and at least one.
func (q *intake) take(n, octets int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken, size := 0, 0
	for taken < min(n, len(q.items)) && (taken == 0 || size+len(q.items[taken]) <= octets) {
		size += len(q.items[taken])
		taken++
	}
	out := slices.Clone(q.items[:taken])
	clear(q.items[:taken]) // the array behind lives on
	q.items = q.items[taken:]
	if len(q.items) == 0 {
		q.items = nil
	}
	q.bytes -= size
	return out
}

func (q *intake) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}
