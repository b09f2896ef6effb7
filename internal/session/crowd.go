package session

import (
	"net/netip"
	"sync"
	"time"

	"waxwing/internal/retry"
)

// Crowd bounds what is under way at each address, for all Clients that share it: many
// domains can lead to one address, and one that holds up its clients would hold as many
// as there are (QUE-3, retry.Crowd). Its fields are not changed once it is in use; it is
// safe for concurrent use.
type Crowd struct {
	All int              // deliveries at one time, of the whole server
	Now func() time.Time // nil: time.Now

	mu sync.Mutex
	at map[netip.Addr]*place
}

// place is one address with the connections that are open to it.
type place struct {
	seats map[*seat]struct{}
	heard time.Time // when it last greeted in good time
}

// seat is that of one connection while a delivery uses it, new or kept: one that waits
// in the pool has none.
type seat struct {
	crowd *Crowd
	addr  netip.Addr
	since time.Time
}

const (
	// heardFor is how long an address counts as one that answers.
	heardFor = time.Hour
	// knownPlaces bounds the addresses that are remembered while nothing goes there.
	knownPlaces = 10_000
)

// enter takes a seat, unless the address has as many as it may. A nil Crowd has room
// for all, and gives nil seats.
func (c *Crowd) enter(addr netip.Addr) (s *seat, free bool) {
	if c == nil {
		return nil, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[netip.Addr]*place{}
	}
	p, now := c.at[addr], c.now()
	if p == nil {
		c.forget()
		p = &place{seats: map[*seat]struct{}{}}
		c.at[addr] = p
	}
	state := retry.Crowd{All: c.All, Open: len(p.seats), Answers: !p.heard.IsZero() && now.Sub(p.heard) < heardFor}
	for s := range p.seats {
		if now.Sub(s.since) >= retry.SlowAfter {
			state.Slow++
		}
	}
	if !state.Free() {
		return nil, false
	}
	s = &seat{c, addr, now}
	p.seats[s] = struct{}{}
	return s, true
}

// forget drops addresses that nothing goes to, where there are many. c.mu is held.
func (c *Crowd) forget() {
	if len(c.at) < knownPlaces {
		return
	}
	for a, p := range c.at {
		if len(p.seats) == 0 {
			delete(c.at, a)
		}
	}
}

// greeted notes that the host answered. A nil seat takes no notes.
func (s *seat) greeted() {
	if s == nil {
		return
	}
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	if now := s.crowd.now(); now.Sub(s.since) < retry.SlowAfter {
		s.crowd.at[s.addr].heard = now
	}
}

// leave gives the seat up; also of a nil seat, and more than once.
func (s *seat) leave() {
	if s == nil {
		return
	}
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	p := s.crowd.at[s.addr]
	if p == nil {
		return
	}
	if delete(p.seats, s); len(p.seats) == 0 && p.heard.IsZero() {
		delete(s.crowd.at, s.addr)
	}
}

func (c *Crowd) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
