package peers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestClientAndNetwork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ addr, client, network string }{
		{"192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		if c, n := Client(ip(tt.addr)), Network(ip(tt.addr)); c.String() != tt.client || n.String() != tt.network {
			t.Errorf("%s: client %s, network %s", tt.addr, c, n)
		}
	}
	if Client(netip.Addr{}) != Network(netip.Addr{}) {
		t.Error("what has no address is one client")
	}
}

// INB-3: the decision over its whole input space, as laws that hold everywhere.
func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, l := range []Limits{{Connections: 100, PerClient: 20, PerNetwork: 40}, {Connections: 10, PerClient: 10, PerNetwork: 10}, {Connections: 3, PerClient: 1, PerNetwork: 2}, {Connections: 1}} {
		d := l.orDefault()
		for open := range d.Connections + 2 {
			for client := range min(open, d.PerClient+1) + 1 {
				for network := client; network <= min(open, d.PerNetwork+1); network++ {
					for bits := range 4 {
						checkAdmit(t, l, Asking{Open: open, Client: client, Network: network, Hasty: bits&1 > 0, Unruly: bits&2 > 0})
					}
				}
			}
		}
	}
}

func checkAdmit(t *testing.T, l Limits, a Asking) {
	t.Helper()
	stranger := Admit(l, a)
	a.Known = true
	known := Admit(l, a)
	d := l.orDefault()
	bad := func(law string) {
		t.Helper()
		t.Errorf("%s: %+v of %+v: known %+v, stranger %+v", law, a, l, known, stranger)
	}
	switch full := a.Open >= d.Connections; {
	case full && (known.Refused != LimitTotal || stranger.Refused != LimitTotal):
		bad("nobody gets in where all is taken")
	case known.Refused != "" && stranger.Refused == "":
		bad("a stranger never has more than who is known")
	case a.Unruly && (known.Refused == "" || stranger.Refused == ""):
		bad("nobody gets in whose errors are too many")
	case a.Hasty && stranger.Refused == "" || a.Hasty && known.Refused == LimitRate:
		bad("the rate is for strangers")
	case (a.Client >= d.PerClient || a.Network >= d.PerNetwork) && known.Refused == "":
		bad("nobody has more than a share")
	case !full && !a.Unruly && a.Client < d.PerClient && a.Network < d.PerNetwork && known.Refused != "":
		bad("who is known gets in while there is room in its share")
	case known.Refused == "" && stranger.Refused == "" && known.Hurry != stranger.Hurry:
		bad("all are hurried, or none")
	case known.Refused == "" && known.Hurry != Crowded(l, a.Open+1, false):
		bad("hurried is who comes into a crowd")
	case stranger.Refused == "" && known.Hurry && (a.Client >= max(1, d.PerClient/5) || a.Network >= max(1, d.PerNetwork/5)):
		bad("in a crowd a stranger has a fifth")
	case stranger.Refused == "" && a.Open >= d.Connections-d.Connections/10:
		bad("the last tenth is for who is known")
	}
	if a.Open > 0 {
		less := a
		less.Known, less.Open = false, a.Open-1
		less.Network, less.Client = min(a.Network, less.Open), min(a.Client, less.Open)
		if stranger.Refused == "" && Admit(l, less).Refused != "" {
			bad("with one less open, no more is refused")
		}
	}
}

// The state of being crowded does not flicker.
func TestCrowded(t *testing.T) {
	t.Parallel()
	l := Limits{Connections: 100}
	for open := range 101 {
		if got := Crowded(l, open, false); got != (open >= 80) {
			t.Errorf("%d open, not crowded before: %v", open, got)
		}
		if got := Crowded(l, open, true); got != (open >= 70) {
			t.Errorf("%d open, crowded before: %v", open, got)
		}
	}
	if Crowded(Limits{Connections: 1}, 1, false) {
		t.Error("a single connection is no crowd")
	}
}

// INB-3: what harvests addresses waits and is sent away, and what delivers mail is
// neither, whatever its neighbours do.
func TestPatience(t *testing.T) {
	t.Parallel()
	var p Patience
	for n, want := range map[int]Answer{0: {}, 1: {}, 10: {}, 11: {Wait: time.Second}, 12: {Wait: 2 * time.Second}, 19: {Wait: 9 * time.Second}, 20: {End: true}, 10000: {End: true}} {
		for name, three := range map[string]Three{
			"the connection alone":                 {Connection: Conduct{Errors: n}},
			"its client":                           {Connection: Conduct{Errors: 1}, Client: Conduct{Errors: n}},
			"its network":                          {Connection: Conduct{Errors: min(n, 1)}, Client: Conduct{Errors: min(n, 1)}, Network: Conduct{Errors: 5 * n}},
			"a client with as much again accepted": {Connection: Conduct{Errors: n}, Client: Conduct{Errors: n + 7, Accepted: 7}},
		} {
			if got := p.Answer(three); got != want {
				t.Errorf("%s, %d errors: %+v, want %+v", name, n, got, want)
			}
		}
	}
	list := Three{Connection: Conduct{Errors: 60}, Client: Conduct{Errors: 80, Accepted: 140}, Network: Conduct{Errors: 5000}}
	if got := p.Answer(list); got != (Answer{}) || p.Unruly(list.Client, list.Network) {
		t.Errorf("a mailing list with some dead addresses: %+v", got)
	}
	if got := (Patience{Free: 1, End: 100, Step: time.Second, Most: 3 * time.Second}).Answer(Three{Connection: Conduct{Errors: 50}}); got.Wait != 3*time.Second {
		t.Errorf("the wait is bounded: %+v", got)
	}
	for e := range 60 {
		for a := range 60 {
			more, fewer := p.Answer(Three{Client: Conduct{e + 1, a}}), p.Answer(Three{Client: Conduct{e, a}})
			if more.Wait < fewer.Wait && !more.End || fewer.End && !more.End {
				t.Errorf("%d errors, %d accepted: one more error is answered sooner", e, a)
			}
			if a >= e && fewer != (Answer{}) {
				t.Errorf("%d errors and %d accepted: %+v", e, a, fewer)
			}
		}
	}
}

// clock is a time that is set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func book() (*Ledger, *clock) {
	c := &clock{time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}
	return &Ledger{Now: c.now}, c
}

// A new connection does not begin from nothing: errors are a client's and a
// network's, and are forgiven by and by.
func TestLedgerErrors(t *testing.T) {
	t.Parallel()
	l, c := book()
	bad, same, near, far := ip("2001:db8:1:1::1"), ip("2001:db8:1:1::2"), ip("2001:db8:1:2::1"), ip("2001:db8:2:1::1")
	for range 20 {
		l.Erred(bad)
	}
	for a, want := range map[netip.Addr]Conduct{bad: {Errors: 20}, same: {Errors: 20}, near: {}, far: {}} {
		if client, _ := l.Conduct(a); client != want {
			t.Errorf("%s: %+v", a, client)
		}
	}
	if _, network := l.Conduct(near); network.Errors != 20 {
		t.Errorf("the network has %+v", network)
	}
	if _, network := l.Conduct(far); network.Errors != 0 {
		t.Errorf("another network has %+v", network)
	}
	c.t = c.t.Add(3 * time.Minute)
	if client, _ := l.Conduct(bad); client.Errors != 19 {
		t.Errorf("after three minutes: %+v", client)
	}
	c.t = c.t.Add(-time.Hour) // a clock that is set back
	if client, _ := l.Conduct(bad); client.Errors != 19 {
		t.Errorf("with the clock set back: %+v", client)
	}
	c.t = c.t.Add(2 * time.Hour)
	if client, network := l.Conduct(bad); client.Errors != 0 || network.Errors != 0 {
		t.Errorf("after an hour: %+v, %+v", client, network)
	}
	for range 100000 {
		l.Erred(bad)
	}
	c.t = c.t.Add(2 * time.Hour)
	if client, _ := l.Conduct(bad); client.Errors != 0 {
		t.Errorf("two hours after the worst: %+v", client)
	}
}

// Many clients of one network are held to what a network may do.
func TestLedgerNetwork(t *testing.T) {
	t.Parallel()
	l, _ := book()
	n := 0
	for i := range 250 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if _, _, unruly := l.connects(a, false); unruly {
			break
		}
		for {
			client, network := l.Erred(a)
			n++
			if l.Patience.Answer(Three{Client: client, Network: network}).End {
				break
			}
		}
	}
	if n != 100 {
		t.Errorf("a network made %d errors", n)
	}
	if _, _, unruly := l.connects(ip("192.0.2.252"), false); !unruly {
		t.Error("the next client of the network gets in")
	}
	l.Accepted(ip("192.0.2.251"), 1)
	if _, _, unruly := l.connects(ip("192.0.2.251"), false); unruly {
		t.Error("who delivers mail pays for its neighbours")
	}
}

// Good deeds count for a time, and buy a bounded number of errors.
func TestLedgerKnown(t *testing.T) {
	t.Parallel()
	l, c := book()
	a, b := ip("192.0.2.1"), ip("198.51.100.1")
	l.LoggedIn(a)
	for range 1000 {
		l.Accepted(b, 50)
	}
	if !l.Known(a) || !l.Known(b) || l.Known(ip("192.0.2.2")) {
		t.Error("who is known")
	}
	if client, network := l.Conduct(b); client.Accepted != maxCredit || network.Accepted != networkWorth*maxCredit {
		t.Errorf("credit %+v, %+v", client, network)
	}
	c.t = c.t.Add(7*24*time.Hour - time.Second)
	if client, _ := l.Conduct(b); !l.Known(a) || client.Accepted != maxCredit/2 {
		t.Errorf("almost a week later: %v %+v", l.Known(a), client)
	}
	c.t = c.t.Add(time.Second)
	if l.Known(a) || l.Known(b) {
		t.Error("known for ever")
	}
	var none *Ledger
	none.Accepted(a, 1)
	none.LoggedIn(a)
	if c, n := none.Erred(a); none.Known(a) || c != (Conduct{}) || n != (Conduct{}) || !none.Tell(a) {
		t.Error("no ledger knows somebody")
	}
}

// However many come, the memory is bounded, and neither who is known nor who has
// made errors is forgotten for strangers.
func TestLedgerFlood(t *testing.T) {
	t.Parallel()
	l, c := book()
	l.Remembered = 1000
	for i := range 100 {
		l.LoggedIn(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}))
		for range 20 {
			l.Erred(netip.AddrFrom4([4]byte{10, 1, byte(i), 1}))
		}
	}
	for i := range 50000 {
		c.t = c.t.Add(time.Millisecond)
		l.connects(netip.AddrFrom4([4]byte{172, byte(i >> 16), byte(i >> 8), byte(i)}), false)
	}
	if len(l.entries) > 1000 || len(l.visitors) > 1000 {
		t.Errorf("%d entries, %d visitors", len(l.entries), len(l.visitors))
	}
	for i := range 5000 { // who errs once each
		l.Erred(netip.AddrFrom4([4]byte{173, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(l.entries) > 1000 {
		t.Errorf("%d entries", len(l.entries))
	}
	known, unruly := 0, 0
	for i := range 100 {
		if l.Known(netip.AddrFrom4([4]byte{10, 0, byte(i), 1})) {
			known++
		}
		if client, _ := l.Conduct(netip.AddrFrom4([4]byte{10, 1, byte(i), 1})); client.Errors > 10 {
			unruly++
		}
	}
	if known < 100 || unruly < 90 {
		t.Errorf("of 100 each, %d who are known and %d who are unruly are remembered", known, unruly)
	}
}

// Strangers connect, and begin handshakes, only so often.
func TestRates(t *testing.T) {
	t.Parallel()
	l, c := book()
	for _, tt := range []struct {
		tls         bool
		burst, then int
	}{{false, 200, 10}, {true, 50, 1}} {
		a, friend := ip(fmt.Sprintf("192.0.2.%d", tt.burst)), ip(fmt.Sprintf("198.51.100.%d", tt.burst))
		l.LoggedIn(friend)
		try := func(a netip.Addr) (n int) {
			for range 1000 {
				if _, hasty, _ := l.connects(a, tt.tls); !hasty {
					n++
				}
			}
			return n
		}
		if n := try(a); n != tt.burst {
			t.Errorf("TLS %v: %d at once", tt.tls, n)
		}
		c.t = c.t.Add(time.Second)
		if n := try(a); n != tt.then {
			t.Errorf("TLS %v: %d a second later", tt.tls, n)
		}
		if n := try(friend); n != 1000 {
			t.Errorf("TLS %v: %d of who is known", tt.tls, n)
		}
		c.t = c.t.Add(24 * time.Hour)
		if n := try(a); n != tt.burst {
			t.Errorf("TLS %v: %d a day later", tt.tls, n)
		}
	}
}

// INB-1: where each connection begins with a handshake, there is one for it or it is
// refused.
func TestGateTLS(t *testing.T) {
	t.Parallel()
	g, lim := &Gate{TLS: true}, Limits{Connections: 100, Handshakes: 4}
	a, b := ip("192.0.2.1"), ip("198.51.100.1")
	if got := g.Enter(lim, a); got.Refused != "" {
		t.Errorf("the first: %q", got.Refused)
	}
	if got := g.Enter(lim, a); got.Refused != LimitTLS || g.Open() != 1 {
		t.Errorf("its share is taken: %q, %d open", got.Refused, g.Open())
	}
	if got := g.Enter(lim, b); got.Refused != "" {
		t.Errorf("another client: %q", got.Refused)
	}
	g.EndTLS(a)
	if got := g.Enter(lim, a); got.Refused != "" {
		t.Errorf("once the handshake is over: %q", got.Refused)
	}
}

// What enters leaves; nothing is kept of who has gone.
func TestGate(t *testing.T) {
	t.Parallel()
	l, _ := book()
	g, lim := &Gate{Ledger: l}, Limits{Connections: 10, PerClient: 2, PerNetwork: 3, Waiting: 4, Handshakes: 10}
	want := func(addr string, word Word) {
		t.Helper()
		if got := g.Enter(lim, ip(addr)); got.Refused != word {
			t.Errorf("%s: %q, want %q", addr, got.Refused, word)
		}
	}
	want("192.0.2.1", "")
	want("192.0.2.1", "")
	want("192.0.2.1", LimitAddress)
	want("192.0.2.2", "")
	want("192.0.2.3", LimitNetwork)
	for i := range 6 {
		want(fmt.Sprintf("198.51.%d.1", i), "")
	}
	if !g.Crowded() || g.Open() != 9 {
		t.Errorf("%d open, crowded %v", g.Open(), g.Crowded())
	}
	want("203.0.113.1", LimitStrangers)
	l.LoggedIn(ip("203.0.113.1"))
	want("203.0.113.1", "")
	want("203.0.113.1", LimitTotal)
	for range 2 {
		g.Leave(ip("192.0.2.1"))
	}
	g.Leave(ip("192.0.2.2"))
	if !g.Crowded() {
		t.Error("not crowded any more at 70 %")
	}
	for i := range 6 {
		g.Leave(ip(fmt.Sprintf("198.51.%d.1", i)))
	}
	g.Leave(ip("203.0.113.1"))
	a, b, far := ip("192.0.2.1"), ip("192.0.2.2"), ip("198.51.100.1")
	if !g.Wait(lim, a) || g.Wait(lim, a) || !g.Wait(lim, b) || g.Wait(lim, ip("192.0.2.3")) || !g.Wait(lim, far) {
		t.Error("one client waits in a quarter of the places, one network in half")
	}
	for _, a := range []netip.Addr{a, b, far} {
		g.Waited(a)
	}
	if g.HurryTLS(lim) || !g.BeginTLS(lim, a) || !g.BeginTLS(lim, a) || g.BeginTLS(lim, a) || !g.BeginTLS(lim, b) || !g.BeginTLS(lim, far) {
		t.Error("one client has a quarter of the handshakes")
	}
	held := []netip.Addr{a, a, b, far}
	for i := range 4 { // strangers have four fifths
		held = append(held, ip(fmt.Sprintf("198.51.%d.1", i)))
		if !g.BeginTLS(lim, held[len(held)-1]) || !g.HurryTLS(lim) {
			t.Errorf("handshake %d", len(held))
		}
	}
	if g.BeginTLS(lim, ip("198.51.99.1")) || !g.BeginTLS(lim, ip("203.0.113.1")) {
		t.Error("the last fifth of the handshakes is for who is known")
	}
	for _, a := range append(held, ip("203.0.113.1")) {
		g.EndTLS(a)
	}
	for name, c := range map[string]tally{"open": g.open, "waiting": g.waiting, "handshakes": g.shaking} {
		if c.all != 0 || len(c.clients) != 0 || len(c.networks) != 0 {
			t.Errorf("%s: %+v is left", name, c)
		}
	}
}
