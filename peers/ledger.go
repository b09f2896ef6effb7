package peers

import (
	"cmp"
	"math"
	"net/netip"
	"sync"
	"time"
)

// Ledger remembers how clients and networks have behaved lately, so that a new
// connection does not begin from nothing. Errors are forgiven by and by: all that
// patience has room for in Forgive. It holds Remembered clients and networks at most,
// and as many visitors of whom there is nothing to say; it forgets those first of
// whom there is least. Its fields are not changed
// once it is in use; a nil Ledger knows nobody. Safe for concurrent use.
type Ledger struct {
	Patience   Patience
	Forgive    time.Duration    // 0: 1 h
	KnownFor   time.Duration    // after the last good deed; 0: 7 days
	Rate       Rate             // of strangers' connections; zero: 200, then 10 a second
	RateTLS    Rate             // of strangers' TLS handshakes; zero: 50, then 1 a second
	Remembered int              // 0: 20000
	Now        func() time.Time // nil: time.Now

	mu       sync.Mutex
	entries  map[netip.Prefix]*entry
	visitors map[netip.Prefix]*visitor
}

// Rate is how often something may be done: Burst times at once, and then once
// every Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// entry is a client or a network.
type entry struct {
	worth    float64   // 1, or networkWorth: how many clients' errors it may make
	at       time.Time // what errors and accepted hold for
	errors   float64
	accepted float64
	good     time.Time // last accepted mail or login; zero: never
}

// visitor is a client that has come: a flood of such must not wash entries away.
type visitor struct {
	connects, shakes bucket
	told             time.Time // when the log last was told of a refusal
}

const (
	// maxCredit is the most that accepted recipients make up for: what was good once
	// must not buy thousands of guesses.
	maxCredit = 200
	// halfCredit is when half of them is forgotten.
	halfCredit = 7 * 24 * time.Hour
	// tellEvery is how often the log is told that one client was refused.
	tellEvery = time.Minute
	// looked is how many entries are compared when one must go.
	looked = 16
)

// bucket holds when the next event is due at the sustained rate.
type bucket struct{ due time.Time }

// take counts an event and reports whether it is within the rate; one that is not
// does not count.
func (b *bucket) take(now time.Time, r Rate) bool {
	due := b.due
	if due.Before(now) {
		due = now
	}
	if due.Sub(now) > time.Duration(r.Burst-1)*r.Every {
		return false
	}
	b.due = due.Add(r.Every)
	return true
}

func (l *Ledger) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// end is how many errors end patience.
func (l *Ledger) end(e *entry) float64 { return e.worth * float64(l.Patience.orDefault().End) }

func (l *Ledger) forgive() time.Duration  { return cmp.Or(l.Forgive, time.Hour) }
func (l *Ledger) knownFor() time.Duration { return cmp.Or(l.KnownFor, 7*24*time.Hour) }

// age brings an entry's counts to now.
func (l *Ledger) age(e *entry, now time.Time) {
	past := max(0, now.Sub(e.at))
	e.at = now
	e.errors = max(0, e.errors-l.end(e)*past.Seconds()/l.forgive().Seconds())
	e.accepted *= math.Exp2(-past.Seconds() / halfCredit.Seconds())
}

func (e *entry) conduct() Conduct {
	if e == nil {
		return Conduct{}
	}
	// A fraction of an error that is left is one; of what was accepted, the nearest.
	return Conduct{int(math.Ceil(e.errors - 1e-6)), int(math.Round(e.accepted))}
}

func (l *Ledger) client(a netip.Addr, now time.Time) *entry { return l.get(Client(a), 1, now) }
func (l *Ledger) network(a netip.Addr, now time.Time) *entry {
	return l.get(Network(a), networkWorth, now)
}

// get returns an entry, made if need be. The lock is held.
func (l *Ledger) get(p netip.Prefix, worth float64, now time.Time) *entry {
	if e := l.look(p, now); e != nil {
		return e
	}
	if l.entries == nil {
		l.entries = map[netip.Prefix]*entry{}
	}
	if len(l.entries) >= l.remembered() {
		l.forget(now)
	}
	e := &entry{worth: worth, at: now}
	l.entries[p] = e
	return e
}

// look returns an entry, if there is one.
func (l *Ledger) look(p netip.Prefix, now time.Time) *entry {
	e := l.entries[p]
	if e != nil {
		l.age(e, now)
	}
	return e
}

// visit returns a client's visitor, made if need be.
func (l *Ledger) visit(a netip.Addr) *visitor {
	p := Client(a)
	if v := l.visitors[p]; v != nil {
		return v
	}
	if l.visitors == nil {
		l.visitors = map[netip.Prefix]*visitor{}
	}
	if len(l.visitors) >= l.remembered() {
		for any := range l.visitors {
			delete(l.visitors, any)
			break
		}
	}
	v := &visitor{}
	l.visitors[p] = v
	return v
}

func (l *Ledger) remembered() int { return cmp.Or(l.Remembered, 20000) }

// forget removes the least of some entries.
func (l *Ledger) forget(now time.Time) {
	var least netip.Prefix
	worth, n := math.Inf(1), 0
	for p, e := range l.entries {
		l.age(e, now)
		if w := l.loss(e, now); w < worth {
			least, worth = p, w
		}
		if n++; n == looked {
			break
		}
	}
	delete(l.entries, least)
}

// loss orders entries: by what there is to lose.
func (l *Ledger) loss(e *entry, now time.Time) float64 {
	if l.isKnown(e, now) {
		return e.errors + 1e6 - now.Sub(e.good).Hours()
	}
	return e.errors
}

func (l *Ledger) isKnown(e *entry, now time.Time) bool {
	return e != nil && !e.good.IsZero() && now.Sub(e.good) < l.knownFor()
}

// Known reports a client that has logged in or delivered mail lately.
func (l *Ledger) Known(a netip.Addr) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.isKnown(l.look(Client(a), now), now)
}

// Conduct is that of a client and of its network.
func (l *Ledger) Conduct(a netip.Addr) (client, network Conduct) {
	if l == nil {
		return client, network
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.look(Client(a), now).conduct(), l.look(Network(a), now).conduct()
}

// Erred counts an error of a client, and returns what it has come to with it.
func (l *Ledger) Erred(a netip.Addr) (client, network Conduct) {
	if l == nil {
		return client, network
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c, n := l.client(a, now), l.network(a, now)
	for _, e := range []*entry{c, n} {
		// Bounded, so that all is forgiven in a bounded time.
		e.errors = min(e.errors+1, e.accepted+2*l.end(e))
	}
	return c.conduct(), n.conduct()
}

// Accepted counts the recipients of a message that was accepted from a client.
func (l *Ledger) Accepted(a netip.Addr, recipients int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, e := range []*entry{l.client(a, now), l.network(a, now)} {
		e.good = now
		e.accepted = min(e.accepted+float64(recipients), e.worth*maxCredit)
	}
}

// LoggedIn notes that a client has logged in. It is as good as an accepted
// recipient: behind one address some may know their passwords and one may not.
func (l *Ledger) LoggedIn(a netip.Addr) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e := l.client(a, now)
	e.good = now
	e.accepted = min(e.accepted+1, maxCredit)
}

// connects counts a connection and returns what Admit wants to know of the
// client. With handshake it counts a TLS handshake too, that begins with it.
func (l *Ledger) connects(a netip.Addr, handshake bool) (known, hasty, unruly bool) {
	if l == nil {
		return false, false, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e := l.look(Client(a), now)
	known = l.isKnown(e, now)
	if !known {
		v := l.visit(a)
		hasty = !v.connects.take(now, cmp.Or(l.Rate, Rate{200, 100 * time.Millisecond}))
		hasty = hasty || handshake && !v.shakes.take(now, l.rateTLS())
	}
	return known, hasty, l.Patience.Unruly(e.conduct(), l.look(Network(a), now).conduct())
}

func (l *Ledger) rateTLS() Rate { return cmp.Or(l.RateTLS, Rate{50, time.Second}) }

// shakes counts a TLS handshake and reports whether the client is known, and whether
// it may have it.
func (l *Ledger) shakes(a netip.Addr) (known, ok bool) {
	if l == nil {
		return false, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	known = l.isKnown(l.look(Client(a), now), now)
	return known, known || l.visit(a).shakes.take(now, l.rateTLS())
}

// Tell reports whether the log should be told of a refusal now: each client's once
// a minute, or a flood would fill it.
func (l *Ledger) Tell(a netip.Addr) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	v := l.visit(a)
	if now.Sub(v.told) < tellEvery {
		return false
	}
	v.told = now
	return true
}
