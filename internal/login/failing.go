package login

import (
	"cmp"
	"net/netip"
	"sync"
	"time"
)

func (l Limits) orDefault() Limits {
	return Limits{
		Parallel: cmp.Or(l.Parallel, 4),
		Cache:    cmp.Or(l.Cache, 1000),
		CacheFor: cmp.Or(l.CacheFor, 10*time.Minute),
		Failures: cmp.Or(l.Failures, 20),
		Window:   cmp.Or(l.Window, 15*time.Minute),
		Delay:    cmp.Or(l.Delay, 500*time.Millisecond),
		Tracked:  cmp.Or(l.Tracked, 10000),
	}
}

const maxDelay = 10 * time.Second

// failing counts failed logins by address (INB-3).
type failing struct {
	mu sync.Mutex
	by map[netip.Addr]*streak
}

// streak is the failures of one address in a window that began with the first.
type streak struct {
	failures int
	ends     time.Time
}

// key is what counts as one client: an IPv4 address, an IPv6 /64.
func key(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// refused reports whether the address has used up its failures.
func (f *failing) refused(a netip.Addr, now time.Time, l Limits) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.by[key(a)]
	return s != nil && now.Before(s.ends) && s.failures >= l.Failures
}

// add counts a failure and says how long to wait before it is answered.
func (f *failing) add(a netip.Addr, now time.Time, l Limits) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[netip.Addr]*streak{}
	}
	s := f.by[key(a)]
	if s == nil || !now.Before(s.ends) {
		if s == nil && len(f.by) >= l.Tracked {
			f.shrink(now, l.Tracked)
		}
		s = &streak{ends: now.Add(l.Window)}
		f.by[key(a)] = s
	}
	s.failures++
	if s.failures == l.Failures {
		s.ends = now.Add(l.Window) // refused for a whole window
	}
	return max(0, min(l.Delay*time.Duration(s.failures), maxDelay))
}

// shrink makes room: what is over goes first, then any.
func (f *failing) shrink(now time.Time, limit int) {
	for a, s := range f.by {
		if !now.Before(s.ends) {
			delete(f.by, a)
		}
	}
	for a := range f.by {
		if len(f.by) < limit {
			return
		}
		delete(f.by, a)
	}
}
