package dns

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"waxwing/internal/guard"
)

// sockets keeps UDP sockets to resolvers on this machine for further questions: to
// make, connect and close one costs several times what a question does. They are
// kept only for loopback addresses, which no forged reply can come from. A
// resolver elsewhere is asked from a fresh port each time, for the port is what an
// attacker has to guess (RFC 5452 §4.5). Connections over TLS are kept too, to any server (RFC 7858 §3.4).
type sockets struct {
	mu       sync.Mutex
	idle     map[string][]idleSocket // by address, the one used last at the end
	sweeping bool
}

type idleSocket struct {
	conn  net.Conn
	since time.Time
}

const (
	maxIdleSockets = 64               // for one address
	socketIdle     = 10 * time.Second // longest time without a question
)

// keeps reports whether sockets to addr are kept.
func (s *sockets) keeps(addr string) bool {
	a, err := netip.ParseAddrPort(addr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// get returns a kept socket, or a new one.
func (s *sockets) get(ctx context.Context, addr string) (net.Conn, error) {
	if c := s.take(addr); c != nil {
		return c, nil
	}
	return new(net.Dialer).DialContext(ctx, "udp", addr)
}

// take is a kept connection, the one used last; nil: there is none.
func (s *sockets) take(addr string) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.idle[addr]
	if len(l) == 0 {
		return nil
	}
	s.idle[addr] = l[:len(l)-1]
	return l[len(l)-1].conn
}

// put takes back a socket on which nothing is under way.
func (s *sockets) put(g *guard.Guard, addr string, c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle[addr]) >= maxIdleSockets {
		c.Close()
		return
	}
	if s.idle == nil {
		s.idle = make(map[string][]idleSocket)
	}
	s.idle[addr] = append(s.idle[addr], idleSocket{c, time.Now()})
	if !s.sweeping {
		s.sweeping = true
		s.sweepIn(g, socketIdle)
	}
}

func (s *sockets) sweepIn(g *guard.Guard, d time.Duration) {
	time.AfterFunc(d, g.Func(guard.Resolver, func() { s.sweep(g) }))
}

// sweep closes what has been idle for too long, and comes again while anything is
// kept.
func (s *sockets) sweep(g *guard.Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping = false
	for addr, l := range s.idle {
		for len(l) > 0 && time.Since(l[0].since) >= socketIdle {
			l[0].conn.Close()
			l = l[1:]
		}
		if s.idle[addr] = l; len(l) == 0 {
			delete(s.idle, addr)
			continue
		}
		s.sweeping = true
	}
	if s.sweeping {
		s.sweepIn(g, socketIdle/2)
	}
}
