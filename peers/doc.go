// Package peers decides what a client may have of a server whom nobody has to
// know: a connection when many want one, time, answers to its errors. Decisions
// are pure (Admit, Patience.Answer); what they rest on is counted by a Gate, of one
// listener, and by a Ledger, of one server: a memory of networks that is bounded.
//
// A client is an IPv4 address or an IPv6 /64; a network is an IPv4 /24 or an IPv6
// /48, which is what one customer of a provider may have. A client is known while
// it has logged in, or delivered mail that was accepted, lately; all others are
// strangers.
package peers

import (
	"net"
	"net/netip"
)

// Client is what counts as one client: an IPv4 address, an IPv6 /64. An address that
// is none, as of a pipe, is one client too.
func Client(a netip.Addr) netip.Prefix { return within(a, 32, 64) }

// Network is what counts as one network: an IPv4 /24, an IPv6 /48.
func Network(a netip.Addr) netip.Prefix { return within(a, 24, 48) }

func within(a netip.Addr, v4, v6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// AddrPort is the address of one end of a TCP connection; the zero value for others.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
