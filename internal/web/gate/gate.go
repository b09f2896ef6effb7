package gate

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"waxwing/internal/guard"
	"waxwing/peers"
)

// Listener closes what package peers refuses: no stranger may take the room of
// all others. Its fields are set before its first use.
type Listener struct {
	net.Listener
	Gate   peers.Gate
	Limits peers.Limits
	Guard  *guard.Guard
	Area   guard.Area
	Count  func(refused string) // "": accepted
	Ended  func()
	Crowd  func(is bool) // it became nearly full, or is so no more; nil: nobody is told

	mu      sync.Mutex
	crowded bool
	telling sync.Mutex
}

// Accept returns the next connection that is not refused.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var g net.Conn
		l.Guard.Do(l.Area, func() { g = l.admit(nc) })
		if g != nil {
			return g, nil
		}
		nc.Close()
	}
}

// admit returns nil for a connection that is refused.
func (l *Listener) admit(nc net.Conn) net.Conn {
	addr := peers.AddrPort(nc.RemoteAddr()).Addr()
	adm := l.Gate.Enter(l.Limits, addr)
	admitted := false
	defer func() {
		if adm.Refused == "" && !admitted { // a panic
			l.Gate.Leave(addr)
			if l.Gate.TLS {
				l.Gate.EndTLS(addr)
			}
		}
	}()
	l.Count(string(adm.Refused))
	if adm.Refused != "" {
		return nil
	}
	l.tell()
	g := &conn{Conn: nc, l: l, addr: addr}
	if l.Gate.TLS {
		g.shaken = sync.OnceFunc(func() { l.Gate.EndTLS(addr) })
	}
	admitted = true
	return g
}

// tell passes a change of the state on. What is told closes connections, each of
// which comes back here.
func (l *Listener) tell() {
	if l.Crowd == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if is := l.Gate.Crowded(); is != l.crowded {
		l.crowded = is
		l.Guard.Go(l.Area, func() {
			l.telling.Lock()
			defer l.telling.Unlock()
			l.Crowd(l.Gate.Crowded())
		})
	}
}

type conn struct {
	net.Conn
	l      *Listener
	addr   netip.Addr
	shaken func() // its TLS handshake is over; nil without TLS
	once   sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() {
		if c.shaken != nil {
			c.shaken()
		}
		c.l.Gate.Leave(c.addr)
		c.l.Ended()
		c.l.tell()
	})
	return c.Conn.Close()
}

// Shaken notes, as an http.Server's ConnState, that a handshake is over.
func Shaken(nc net.Conn, state http.ConnState) {
	t, ok := nc.(*tls.Conn)
	if !ok || state != http.StateActive {
		return
	}
	if g, ok := t.NetConn().(*conn); ok && g.shaken != nil {
		g.shaken()
	}
}
