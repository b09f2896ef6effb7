package config

import "net/netip"

// Endpoint is what net.Listen is given.
type Endpoint struct{ Network, Address string }

// TCP is the endpoint of a listener's address. Package net takes "0.0.0.0" with
// "tcp" for both families: who writes an IPv4 address wants IPv4 alone. "[::]" is
// both.
func TCP(ap netip.AddrPort) Endpoint {
	a, network := ap.Addr().Unmap(), "tcp"
	if a.Is4() && a.IsUnspecified() {
		network = "tcp4"
	}
	return Endpoint{network, netip.AddrPortFrom(a, ap.Port()).String()}
}

// overlap reports that the second of two listeners could not be bound. Port 0 is
// another port each time.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return a.Addr() == b.Addr() || covers(a.Addr(), b.Addr()) || covers(b.Addr(), a.Addr())
}

// covers reports that a listener on all includes one.
func covers(all, one netip.Addr) bool {
	return all.IsUnspecified() && (all.Is6() || one.Is4())
}
