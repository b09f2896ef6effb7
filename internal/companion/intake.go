package companion

import "sync"

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

// take removes up to n of the oldest.
func (q *intake) take(n int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.items))
	out := q.items[:n:n]
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil
	}
	for _, b := range out {
		q.bytes -= len(b)
	}
	return out
}

func (q *intake) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}
