package peers

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Gate counts what clients have of one listener, within the Limits that its methods
// are given. The zero value is ready; its fields are not changed once it is in use.
// Safe for concurrent use.
type Gate struct {
	Ledger *Ledger // nil: nobody is known
	// TLS: each connection begins with a handshake, for which Enter asks too.
	TLS bool

	mu      sync.Mutex
	open    tally
	waiting tally
	shaking tally
	limits  Limits      // that Enter was given last
	crowded atomic.Bool // changed under mu
}

// tally counts something in all, by client and by network.
type tally struct {
	all               int
	clients, networks map[netip.Prefix]int
}

func (t *tally) add(a netip.Addr, n int) {
	if t.clients == nil {
		t.clients, t.networks = map[netip.Prefix]int{}, map[netip.Prefix]int{}
	}
	t.all += n
	count(t.clients, Client(a), n)
	count(t.networks, Network(a), n)
}

// count keeps no entry for nothing.
func count(by map[netip.Prefix]int, p netip.Prefix, n int) {
	if by[p] += n; by[p] == 0 {
		delete(by, p)
	}
}

// Enter asks for a connection. One that is not refused must Leave, and with TLS
// EndTLS before that.
func (g *Gate) Enter(l Limits, a netip.Addr) Admission {
	known, hasty, unruly := g.Ledger.connects(a, g.TLS)
	g.mu.Lock()
	defer g.mu.Unlock()
	adm := Admit(l, Asking{Open: g.open.all, Client: g.open.clients[Client(a)], Network: g.open.networks[Network(a)], Known: known, Hasty: hasty, Unruly: unruly})
	if adm.Refused == "" && g.TLS && !g.shaking.take(a, handshakes(l, known)) {
		adm = Admission{Refused: LimitTLS}
	}
	if adm.Refused != "" {
		return adm
	}
	g.open.add(a, 1)
	g.limits = l
	g.crowded.Store(Crowded(l, g.open.all, g.crowded.Load()))
	return adm
}

// Leave gives a connection back.
func (g *Gate) Leave(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open.add(a, -1)
	g.crowded.Store(Crowded(g.limits, g.open.all, g.crowded.Load()))
}

// Crowded reports whether the listener is nearly full.
func (g *Gate) Crowded() bool { return g.crowded.Load() }

// Open is the number of connections.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open.all
}

// Wait asks for a place to wait in, before a late answer. One that was granted must
// be given back by Waited.
func (g *Gate) Wait(l Limits, a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.take(a, l.orDefault().Waiting)
}

// Waited gives a place back.
func (g *Gate) Waited(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.add(a, -1)
}

// BeginTLS asks for a handshake. One that was granted must be given back by EndTLS.
func (g *Gate) BeginTLS(l Limits, a netip.Addr) bool {
	known, ok := g.Ledger.shakes(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	return ok && g.shaking.take(a, handshakes(l, known))
}

// EndTLS gives a handshake back.
func (g *Gate) EndTLS(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shaking.add(a, -1)
}

// HurryTLS reports that so many handshakes are under way that none has much time.
func (g *Gate) HurryTLS(l Limits) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.crowded.Load() || 2*g.shaking.all >= l.orDefault().Handshakes
}

// handshakes is how many there may be when one more is begun: the last fifth is for
// clients who are known.
func handshakes(l Limits, known bool) int {
	most := l.orDefault().Handshakes
	if !known {
		most -= most / 5
	}
	return most
}

// take counts one more, up to most. One client may have a quarter, and one network
// half: whoever else comes finds room.
func (t *tally) take(a netip.Addr, most int) bool {
	if t.all >= most || t.clients[Client(a)] >= max(1, most/4) || t.networks[Network(a)] >= max(1, most/2) {
		return false
	}
	t.add(a, 1)
	return true
}
