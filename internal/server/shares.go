package server

import (
	"cmp"
	"net"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/web/gate"
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
func (f *front) shares(c config.Listen) smtpserver.Limits {
	l := f.cfg.Limits
	connections := l.MaxConnections
	if c.Kind == config.HTTPS || c.Kind == config.HTTP {
		connections = min(connections, httpsConnections)
	}
	return smtpserver.Limits{
		Connections: cmp.Or(c.MaxConnections, connections), ConnectionsPerAddr: l.ConnectionsPerIP, ConnectionsPerNet: l.ConnectionsPerNetwork,
		Handshakes: l.TLSHandshakes, Waiting: l.ErrorsWaiting, EnvelopeMemory: int64(l.EnvelopeMemory),
	}
}

// gated puts a gate before a listener that serves HTTP.
func (f *front) gated(l net.Listener, c config.Listen, area guard.Area) *gate.Listener {
	kind, m := string(c.Kind), f.rooms.Metrics
	return &gate.Listener{
		Listener: l, Guard: f.guard, Area: area, Limits: f.shares(c).Shares(), Gate: peers.Gate{Ledger: f.peers, TLS: area == guard.HTTPS},
		Count: func(refused string) { m.Connected(kind, refused) },
		Ended: func() { m.Disconnected(kind, "closed") },
	}
}
