package jmapserver

import "sync"

// Bounds of what requests and their answers hold in memory: of all of them, and of those of one account, so that no account can leave the others without any.
const (
	requestMemory = 256 << 20
	accountMemory = requestMemory / 2
)

// memory counts what requests hold.
type memory struct {
	mu  sync.Mutex
	all int64
	of  map[string]int64 // by account
}

// share is what one request holds. It is for one goroutine.
type share struct {
	*memory
	account string
	held    int64
}

// take is false where there is not so much left.
func (s *share) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all+n > requestMemory || s.of[s.account]+n > accountMemory {
		return false
	}
	if s.of == nil {
		s.of = map[string]int64{}
	}
	s.all += n
	s.of[s.account] += n
	s.held += n
	return true
}

// leave gives all of it back.
func (s *share) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all -= s.held
	if s.of[s.account] -= s.held; s.of[s.account] <= 0 {
		delete(s.of, s.account)
	}
	s.held = 0
}
