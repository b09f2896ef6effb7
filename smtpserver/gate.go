package smtpserver

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"waxwing/internal/guard"
	"waxwing/peers"
)

// gate counts connections (INB-3).
type gate struct{ peers.Gate }

// Shares is what package peers wants to know of the limits.
func (l Limits) Shares() peers.Limits {
	return peers.Limits{Connections: l.Connections, PerClient: l.ConnectionsPerAddr, PerNetwork: l.ConnectionsPerNet, Waiting: l.Waiting, Handshakes: l.Handshakes}
}

func (g *gate) enter(a netip.Addr, l Limits) (refused string) {
	return string(g.Enter(l.Shares(), a).Refused)
}

func (g *gate) leave(a netip.Addr) { g.Leave(a) }

// refusals are connections that were refused and are told so a moment later: who
// connects in a loop is slowed down by it at the cost of a descriptor. Only so many
// are kept.
type refusals struct{ kept atomic.Int64 }

const (
	refusalDelay = time.Second
	maxRefusals  = 256
)

// refuse ends a connection that was never served. One that another host of ours may
// have room for is told at once.
func (s *Server) refuse(nc net.Conn, addr netip.Addr, why string) {
	if s.Peers.Tell(addr) {
		s.logger().Info("connection refused", "remote", addr.String(), "word", why)
	}
	full := why == string(peers.LimitTotal) || why == string(peers.LimitStrangers)
	if full || s.refused.kept.Add(1) > maxRefusals {
		if !full {
			s.refused.kept.Add(-1)
		}
		s.dismiss(nc)
		return
	}
	time.AfterFunc(refusalDelay, s.Guard.Func(guard.SMTP, func() {
		defer s.refused.kept.Add(-1)
		s.dismiss(nc)
	}))
}

// dismiss says 421, where it can be said.
func (s *Server) dismiss(nc net.Conn) {
	if !s.ImplicitTLS {
		// A fresh socket's buffer takes this at once; the deadline is for odd ones.
		nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		nc.Write([]byte("421 4.7.0 " + s.Hostname + " too many connections or errors from your network, try again later\r\n"))
	}
	nc.Close()
}
