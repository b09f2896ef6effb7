package reports

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A body that comes slower than slowest, once grace is over, gives its place up
// where another one waits for it. Reports come in one piece.
const (
	grace   = time.Second
	slowest = 32 << 10 // octets a second
)

// progress is how far a body has come.
type progress struct {
	Began  time.Time
	Octets int64
}

// giveWay picks the body that gives its place up: the slowest of those that are too
// slow; -1 where none is.
func giveWay(bodies []progress, now time.Time) int {
	pick, least := -1, float64(slowest)
	for i, b := range bodies {
		took := now.Sub(b.Began)
		if took < grace {
			continue
		}
		if rate := float64(b.Octets) / took.Seconds(); rate < least {
			pick, least = i, rate
		}
	}
	return pick
}

// places are for requests whose bodies come in, or wait to be unpacked.
type places struct {
	mu sync.Mutex
	in []*place
}

type place struct {
	began  time.Time
	octets atomic.Int64
	cut    func() // ends the reading
	// Of places, under its lock:
	lost bool // it was given to another
	done bool // the body is here: it keeps its place
}

// enter takes one of most places, that of a slow body if need be.
func (s *places) enter(most int, now time.Time, cut func()) (*place, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) >= most && !s.evict(now) {
		return nil, false
	}
	p := &place{began: now, cut: cut}
	s.in = append(s.in, p)
	return p, true
}

func (s *places) evict(now time.Time) bool {
	var bodies []progress
	var reading []*place
	for _, p := range s.in {
		if !p.done {
			bodies, reading = append(bodies, progress{p.began, p.octets.Load()}), append(reading, p)
		}
	}
	i := giveWay(bodies, now)
	if i < 0 {
		return false
	}
	reading[i].lost = true
	s.remove(reading[i])
	reading[i].cut()
	return true
}

func (s *places) remove(p *place) {
	for i, q := range s.in {
		if p == q {
			s.in = append(s.in[:i], s.in[i+1:]...)
			return
		}
	}
}

// finish says that the reading of p has ended, and reports whether it still has its
// place.
func (s *places) finish(p *place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.done = true
	return !p.lost
}

// leave gives a place back.
func (s *places) leave(p *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(p)
}

// counted counts what is read of a body.
type counted struct {
	io.Reader
	p *place
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.p.octets.Add(int64(n))
	return n, err
}
