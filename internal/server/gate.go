package server

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/peers"
	"waxwing/smtpserver"
)

// ledger is the memory of clients that all listeners share.
func ledger(l config.Limits, now func() time.Time) *peers.Ledger {
	return &peers.Ledger{
		Patience: peers.Patience{Free: l.ErrorsFree, End: l.ErrorsEnd, Step: l.ErrorDelay, Most: l.ErrorDelayMax},
		Forgive:  l.ErrorsForgiven, KnownFor: l.KnownFor, Rate: perMinute(l.ConnectionsPerMinute), RateTLS: perMinute(l.TLSHandshakesPerMinute), Now: now,
	}
}

// perMinute lets a third come at once.
func perMinute(n int) peers.Rate {
	if n == 0 {
		return peers.Rate{}
	}
	return peers.Rate{Burst: max(1, n/3), Every: time.Minute / time.Duration(n)}
}

// httpsConnections are what an HTTPS listener has at one time, if it is not told: each
// may hold more than one for mail.
const httpsConnections = 1000

// shares is what clients may have of a listener (INB-3).
func (s *Server) shares(c config.Listen) smtpserver.Limits {
	l := s.cfg.Limits
	connections := l.MaxConnections
	if c.Kind == config.HTTPS {
		connections = min(connections, httpsConnections)
	}
	return smtpserver.Limits{
		Connections: cmp.Or(c.MaxConnections, connections), ConnectionsPerAddr: l.ConnectionsPerIP, ConnectionsPerNet: l.ConnectionsPerNetwork,
		Handshakes: l.TLSHandshakes, Waiting: l.ErrorsWaiting, EnvelopeMemory: int64(l.EnvelopeMemory),
	}
}

// trace counts what happens at an SMTP listener.
func (s *Server) trace(kind string) smtpserver.Trace {
	return smtpserver.Trace{
		Connected:    func(_ netip.Addr, refused string) { s.Metrics.Connected(kind, refused) },
		Disconnected: func(_ netip.Addr, why string) { s.Metrics.Disconnected(kind, why) },
		Erred:        func(_ netip.Addr, a peers.Answer) { s.Metrics.Erred(kind, a) },
		Limited:      func(limit string) { s.Metrics.Limited(kind, limit) },
		Accepted:     func() { s.Metrics.Accepted(kind) },
	}
}

// gateListener closes what package peers refuses: no stranger may take the room of
// all others. Its fields are set before its first use.
type gateListener struct {
	net.Listener
	gate   peers.Gate
	limits peers.Limits
	guard  *guard.Guard
	area   guard.Area
	count  func(refused string) // "": accepted
	ended  func()
	crowd  func(is bool) // it became nearly full, or is so no more; nil: nobody is told

	mu      sync.Mutex
	crowded bool
	telling sync.Mutex
}

// gated puts a gate before a listener that serves HTTP.
func (s *Server) gated(l net.Listener, c config.Listen, area guard.Area) *gateListener {
	kind := string(c.Kind)
	return &gateListener{
		Listener: l, guard: s.guard, area: area, limits: s.shares(c).Shares(), gate: peers.Gate{Ledger: s.peers, TLS: area == guard.HTTPS},
		count: func(refused string) { s.Metrics.Connected(kind, refused) },
		ended: func() { s.Metrics.Disconnected(kind, "closed") },
	}
}

// Accept returns the next connection that is not refused.
func (l *gateListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var g net.Conn
		l.guard.Do(l.area, func() { g = l.admit(nc) })
		if g != nil {
			return g, nil
		}
		nc.Close()
	}
}

// admit returns nil for a connection that is refused.
func (l *gateListener) admit(nc net.Conn) net.Conn {
	addr := peers.AddrPort(nc.RemoteAddr()).Addr()
	adm := l.gate.Enter(l.limits, addr)
	admitted := false
	defer func() {
		if adm.Refused == "" && !admitted { // a panic
			l.gate.Leave(addr)
			if l.gate.TLS {
				l.gate.EndTLS(addr)
			}
		}
	}()
	l.count(string(adm.Refused))
	if adm.Refused != "" {
		return nil
	}
	l.tell()
	g := &gatedConn{Conn: nc, l: l, addr: addr}
	if l.gate.TLS {
		g.shaken = sync.OnceFunc(func() { l.gate.EndTLS(addr) })
	}
	admitted = true
	return g
}

// tell passes a change of the state on. What is told closes connections, each of
// which comes back here.
func (l *gateListener) tell() {
	if l.crowd == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if is := l.gate.Crowded(); is != l.crowded {
		l.crowded = is
		l.guard.Go(l.area, func() {
			l.telling.Lock()
			defer l.telling.Unlock()
			l.crowd(l.gate.Crowded())
		})
	}
}

type gatedConn struct {
	net.Conn
	l      *gateListener
	addr   netip.Addr
	shaken func() // its TLS handshake is over; nil without TLS
	once   sync.Once
}

func (c *gatedConn) Close() error {
	c.once.Do(func() {
		if c.shaken != nil {
			c.shaken()
		}
		c.l.gate.Leave(c.addr)
		c.l.ended()
		c.l.tell()
	})
	return c.Conn.Close()
}

// shaken notes, as an http.Server's ConnState, that a handshake is over.
func shaken(nc net.Conn, state http.ConnState) {
	t, ok := nc.(*tls.Conn)
	if !ok || state != http.StateActive {
		return
	}
	if g, ok := t.NetConn().(*gatedConn); ok && g.shaken != nil {
		g.shaken()
	}
}
