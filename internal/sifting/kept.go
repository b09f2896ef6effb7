package sifting

import (
	"sync"

	"waxwing/internal/delivery"
)

// kept are the answers of scripts to messages that could not be settled on arrival: what goes on or is thrown
// away is done by the first attempt of the queue, moments later, and obeys the same answer. Where another
// process makes it, the script runs again: nothing was obeyed yet. The zero value is ready for use; it is safe
// for concurrent use.
type kept struct {
	mu      sync.Mutex
	answers map[asked]answer
	order   []asked // the oldest first; some may be gone
	octets  int
}

// asked is whose script was asked about which message.
type asked struct {
	message, recipient int64
	account            string
}

// answer is what came of a script.
type answer struct {
	decision decision
	fault    error // why it failed
	script   string
}

// Bounds of what is kept.
const (
	maxKept   = 2000
	maxOctets = 8 << 20
)

// size is about how many octets are held.
func (a *answer) size() int {
	n := 500
	for _, c := range a.decision.copies {
		n += len(c.Header)
	}
	for _, r := range a.decision.redirects {
		n += len(r.header)
	}
	for _, m := range a.decision.notices {
		n += len(m.Message)
	}
	if v := a.decision.vacation; v != nil {
		n += len(v.Reason)
	}
	return n
}

// about is under what the answer for a copy is kept; not ok for a message that is none of the queue's.
func about(job *delivery.Job, c delivery.Copy) (k asked, ok bool) {
	return asked{job.ID, c.Recipient, c.Account}, job.ID != 0
}

func (s *kept) put(k asked, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(k)
	if s.answers == nil {
		s.answers = map[asked]answer{}
	}
	s.answers[k] = a
	s.order = append(s.order, k)
	for s.octets += a.size(); len(s.order) > maxKept || s.octets > maxOctets && len(s.order) > 0; {
		s.drop(s.order[0])
		s.order = s.order[1:]
	}
}

// take gives an answer, once.
func (s *kept) take(k asked) (a answer, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok = s.answers[k]
	s.drop(k)
	return a, ok
}

func (s *kept) drop(k asked) {
	if a, ok := s.answers[k]; ok {
		s.octets -= a.size()
		delete(s.answers, k)
	}
}
