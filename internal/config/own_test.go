package config

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// TestOwnAddrs (DST-4): an MX that leads back to this machine is known by its
// address too, also where the listener names none.
func TestOwnAddrs(t *testing.T) {
	t.Parallel()
	interfaces := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(198, 51, 100, 7), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)}}, nil
	}
	cfg := &Config{Delivery: Delivery{Port: 25}, Listen: []Listen{
		{Kind: MX, Address: netip.MustParseAddrPort("0.0.0.0:25")},
		{Kind: MX, Address: netip.MustParseAddrPort("203.0.113.9:25")},
		{Kind: MX, Address: netip.MustParseAddrPort("203.0.113.10:2525")},
		{Kind: Submission, Address: netip.MustParseAddrPort("203.0.113.11:25")},
	}}
	got := cfg.OwnAddrs(interfaces)
	want := []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("203.0.113.9")}
	if !slices.Equal(got, want) {
		t.Errorf("own addresses %v, want %v", got, want)
	}
}
