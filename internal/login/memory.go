package login

import (
	"net/netip"
	"sync"
	"time"
)

// nameKey stands for a name as it was typed. It is keyed with a secret of this
// process: people type passwords where a name belongs.
type nameKey [16]byte

// pair is a name and a network that tries it.
type pair struct {
	network netip.Addr
	name    nameKey
}

// memory is what is remembered of logins that failed, and of where they succeed. It
// is this process's own and bounded; a restart forgets it.
type memory struct {
	mu       sync.Mutex
	networks streaks[netip.Addr]
	names    streaks[nameKey]
	pairs    streaks[pair]
	homes    map[pair]time.Time // until when
	first    map[pair]*leader   // of attempts that are under way where the name is not at home
	at       map[netip.Addr]int // names that are at home in a network
}

// barred reports whether a network has used up its failures and is no name's home.
func (m *memory) barred(n netip.Addr, now time.Time, l Limits) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.networks.get(n, now)
	return s != nil && s.failures >= l.Failures && m.at[n] == 0
}

// leader is the first of several attempts under one name from one network: what comes
// of it tells much of the others.
type leader struct {
	began time.Time
	ended chan struct{}
}

// ahead is closed when the first attempt of a pair ends; nil where there is none, and
// for one that should have ended long ago.
func (m *memory) ahead(p pair, now time.Time) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.first[p]; l != nil && now.Sub(l.began) < maxTurn && !now.Before(m.homes[p]) {
		return l.ended
	}
	return nil
}

// lead makes an attempt the first of its pair, if there is none; nil.
func (m *memory) lead(p pair, now time.Time) *leader {
	if l := m.first[p]; l != nil && now.Sub(l.began) < maxTurn {
		return nil
	}
	if m.first == nil {
		m.first = map[pair]*leader{}
	}
	l := &leader{now, make(chan struct{})}
	m.first[p] = l
	return l
}

// led ends what lead began.
func (m *memory) led(p pair, l *leader) {
	if l == nil {
		return
	}
	close(l.ended)
	if m.first[p] == l {
		delete(m.first, p)
	}
}

// begun is an attempt that is under way.
type begun struct {
	pair pair
	home bool
	lead *leader
}

// begin rules on an attempt. One that may go on is under way until end is called.
func (m *memory) begin(p pair, now time.Time, l Limits) (r ruling, b begun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := history{network: m.networks.failures(p.network, now), pair: m.pairs.failures(p, now), home: now.Before(m.homes[p])}
	if s := m.names.get(p.name, now); s != nil {
		h.name, h.queue = s.failures+s.underWay, max(0, s.next.Sub(now))
	}
	r, b = decide(h, l), begun{pair: p, home: h.home}
	if r.action != goOn || h.home {
		return r, b
	}
	b.lead = m.lead(p, now)
	s := m.names.touch(p.name, now, l)
	s.underWay++
	if r.spacing > 0 {
		s.next = now.Add(r.wait + r.spacing)
	}
	return r, b
}

// ending is how an attempt ended.
type ending int

const (
	undecided ending = iota // nobody's fault
	failure
	success
)

// end notes how an attempt that may have gone on ended, and says how late a failure
// is to be answered.
func (m *memory) end(b begun, how ending, now time.Time, l Limits) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, home := b.pair, b.home
	defer m.led(p, b.lead)
	if s := m.names.get(p.name, now); s != nil && !home {
		s.underWay = max(0, s.underWay-1)
	}
	switch how {
	case success:
		delete(m.pairs.by, p)
		m.welcome(p, now, l)
	case failure:
		m.pairs.add(p, now, l)
		if !home {
			m.names.add(p.name, now, l)
		}
		return late(m.networks.add(p.network, now, l), l)
	}
	return 0
}

// stray counts a failure without a name.
func (m *memory) stray(n netip.Addr, now time.Time, l Limits) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return late(m.networks.add(n, now, l), l)
}

// welcome makes a network a name's home.
func (m *memory) welcome(p pair, now time.Time, l Limits) {
	if m.homes == nil {
		m.homes, m.at = map[pair]time.Time{}, map[netip.Addr]int{}
	}
	if _, ok := m.homes[p]; !ok {
		m.forget(now, l.Tracked)
		m.at[p.network]++
	}
	m.homes[p] = now.Add(l.Home)
}

// forget makes room for a home: what is over goes first, then whatever comes first.
func (m *memory) forget(now time.Time, limit int) {
	if len(m.homes) < limit {
		return
	}
	drop := func(p pair) {
		delete(m.homes, p)
		if m.at[p.network]--; m.at[p.network] <= 0 {
			delete(m.at, p.network)
		}
	}
	for p, until := range m.homes {
		if !now.Before(until) {
			drop(p)
		}
	}
	for p := range m.homes {
		if len(m.homes) < limit {
			return
		}
		drop(p)
	}
}

// streak is the failures of one key in a window that began with the first.
type streak struct {
	failures int
	ends     time.Time
	underWay int       // of a name: attempts
	next     time.Time // of a name: the next turn
}

// streaks are the failures by network, by name and by both.
type streaks[K comparable] struct{ by map[K]*streak }

// get is the running streak; nil: there is none.
func (f *streaks[K]) get(k K, now time.Time) *streak {
	if s := f.by[k]; s != nil && now.Before(s.ends) {
		return s
	}
	return nil
}

func (f *streaks[K]) failures(k K, now time.Time) int {
	if s := f.get(k, now); s != nil {
		return s.failures
	}
	return 0
}

// touch is the running streak, or a new one.
func (f *streaks[K]) touch(k K, now time.Time, l Limits) *streak {
	if s := f.get(k, now); s != nil {
		return s
	}
	if f.by == nil {
		f.by = map[K]*streak{}
	}
	if f.by[k] == nil && len(f.by) >= l.Tracked {
		f.shrink(now, l.Tracked)
	}
	s := &streak{ends: now.Add(l.Window)}
	f.by[k] = s
	return s
}

// add counts a failure and says how many there are.
func (f *streaks[K]) add(k K, now time.Time, l Limits) int {
	s := f.touch(k, now, l)
	s.failures++
	if s.failures == l.Failures {
		s.ends = now.Add(l.Window) // refused for a whole window
	}
	return s.failures
}

// shrink makes room: what is over goes first, then those with the fewest failures,
// a tenth at a time. Whoever floods it with new keys pushes out these, not what
// bars somebody.
func (f *streaks[K]) shrink(now time.Time, limit int) {
	for k, s := range f.by {
		if !now.Before(s.ends) {
			delete(f.by, k)
		}
	}
	for few := 0; len(f.by) >= limit; few = 2*few + 1 {
		for k, s := range f.by {
			if len(f.by) < limit-limit/10 {
				return
			}
			if s.failures <= few {
				delete(f.by, k)
			}
		}
	}
}
