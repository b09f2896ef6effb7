package store

import (
	"strconv"
	"strings"
	"sync"
)

// maxCached bounds the statements remembered, so that generated ones (lists of "?") do not fill the memory.
const maxCached = 500

// rebinder turns "?" into "$1", "$2", … and remembers what it has turned.
type rebinder struct {
	mu   sync.RWMutex
	done map[string]string
}

func (r *rebinder) rebind(q string) string {
	r.mu.RLock()
	s, ok := r.done[q]
	r.mu.RUnlock()
	if ok {
		return s
	}
	s = dollars(q)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = map[string]string{}
	}
	if len(r.done) < maxCached {
		r.done[q] = s
	}
	return s
}

// dollars is q with its parameters numbered; what stands in quotes or comments is left.
func dollars(q string) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(q); {
		if end := skipQuoted(q, i); end > i {
			b.WriteString(q[i:end])
			i = end
			continue
		}
		if q[i] == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteByte(q[i])
		}
		i++
	}
	return b.String()
}

// skipQuoted returns the end of the string, quoted name or comment that begins
// at i, or i where none does. What has no end lasts to the end of q.
func skipQuoted(q string, i int) int {
	var end string
	skip := 1
	switch {
	case q[i] == '\'' || q[i] == '"':
		end = q[i : i+1]
	case strings.HasPrefix(q[i:], "--"):
		end, skip = "\n", 2
	case strings.HasPrefix(q[i:], "/*"):
		end, skip = "*/", 2
	default:
		return i
	}
	if n := strings.Index(q[i+skip:], end); n >= 0 {
		return i + skip + n + len(end)
	}
	return len(q)
}
