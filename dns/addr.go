package dns

import "net/netip"

// special is address space that no public host can have (the IANA special
// purpose registries, RFC 6890), beyond what netip knows by itself.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation, RFC 5737
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("64:ff9b:1::/48"),  // local translation, RFC 8215
	netip.MustParsePrefix("100::/64"),        // discard, RFC 6666
	netip.MustParsePrefix("2001:db8::/32"),   // documentation, RFC 3849
	netip.MustParsePrefix("3fff::/20"),       // documentation, RFC 9637
	netip.MustParsePrefix("5f00::/16"),       // segment routing, RFC 9602
	netip.MustParsePrefix("fec0::/10"),       // site-local, RFC 3879
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, RFC 4291 §2.5.5.1
}

// embedding prefixes hold an IPv4 address, the one that is reached in the end.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixto4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// PrivateAddr reports an address that is not one of a public host: loopback,
// private (RFC 1918, unique local, carrier-grade NAT), link-local, unspecified,
// multicast, documentation and reserved space, and IPv6 forms of such IPv4
// addresses. What is reached by names that others choose must not be one
// (DST-4, STS-2). An invalid address is private.
func PrivateAddr(a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	a = a.WithZone("").Unmap()
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() {
		return true
	}
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return PrivateAddr(netip.AddrFrom4([4]byte(b[12:16])))
	case sixto4.Contains(a):
		return PrivateAddr(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return false
}
