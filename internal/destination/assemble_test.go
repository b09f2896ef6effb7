package destination

import (
	"net/netip"
	"testing"

	"waxwing/dns"
)

// A hostile answer with thousands of silent addresses held one attempt, and
// with it a place in the queue, for as many times the time to connect.
func TestAddressesAreBounded(t *testing.T) {
	t.Parallel()
	addrs := func(n int, base string) []netip.Addr {
		out, a := make([]netip.Addr, n), netip.MustParseAddr(base)
		for i := range out {
			out[i], a = a, a.Next()
		}
		return out
	}
	for _, tt := range []struct{ v6, v4, want6, want4 int }{
		{0, 4000, 0, 8}, {4000, 0, 8, 0}, {4000, 4000, 4, 4}, {1, 4000, 1, 7}, {4000, 2, 6, 2}, {4, 4, 4, 4}, {0, 1, 0, 1}, {8, 0, 8, 0},
	} {
		v6, v4 := addrs(tt.v6, "2600::1"), addrs(tt.v4, "8.8.0.1")
		h := hostFacts{v6: dns.Answer[netip.Addr]{Records: v6}, v4: dns.Answer[netip.Addr]{Records: v4}}
		got := h.host(false).Addrs
		n6 := 0
		for _, a := range got {
			if a.Is6() {
				n6++
			}
		}
		if n6 != tt.want6 || len(got)-n6 != tt.want4 {
			t.Errorf("%d AAAA, %d A: %d and %d are tried, want %d and %d", tt.v6, tt.v4, n6, len(got)-n6, tt.want6, tt.want4)
		}
	}
	// Refused ones take no place of others.
	h := hostFacts{v4: dns.Answer[netip.Addr]{Records: append(addrs(100, "10.0.0.1"), addrs(2, "8.8.0.1")...)}}
	if got := h.host(false); len(got.Addrs) != 2 || got.Fail != nil {
		t.Errorf("got %v, %v", got.Addrs, got.Fail)
	}
}
