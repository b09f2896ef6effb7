package validate

import (
	"sync"

	"waxwing/dns/validate/proof"
)

// memory is the signatures that were found valid lately, for all lookups (VAL-8). It has
// two halves: when the newer one is full, the older one is forgotten. Its zero value is ready.
type memory struct {
	mu           sync.Mutex
	newer, older map[proof.Sum]struct{}
}

var _ proof.Memory = (*memory)(nil)

// maxRemembered bounds each half: 32,768 sums of 32 octets, less than 2 MiB as a map.
const maxRemembered = 1 << 15

func (m *memory) Valid(s proof.Sum) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.newer[s]; ok {
		return true
	}
	_, ok := m.older[s]
	if ok {
		m.add(s)
	}
	return ok
}

func (m *memory) Remember(s proof.Sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(s)
}

// add needs m.mu.
func (m *memory) add(s proof.Sum) {
	if len(m.newer) >= maxRemembered {
		m.newer, m.older = nil, m.newer
	}
	if m.newer == nil {
		m.newer = make(map[proof.Sum]struct{})
	}
	m.newer[s] = struct{}{}
}
