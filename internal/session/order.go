package session

import (
	"net/netip"
	"slices"

	"waxwing/internal/delivery"
)

// order is the order in which a host's addresses are tried, given those tried
// last time: first the family that was not tried first then (one of our own
// addresses may be listed, and the other not), and within a family the same
// address again, so that greylisting sees what it saw before (DST-2).
func order(addrs, last []netip.Addr) []netip.Addr {
	i := slices.IndexFunc(last, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	if i < 0 {
		return addrs
	}
	out := slices.Clone(addrs)
	firstWas4 := last[i].Is4()
	rank := func(a netip.Addr) int {
		r := 0
		if a.Is4() == firstWas4 && dualStack(addrs) {
			r += 2
		}
		if !slices.Contains(last, a) {
			r++
		}
		return r
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return out
}

// dualStack reports that both families stand among the addresses.
func dualStack(addrs []netip.Addr) bool {
	is4 := func(a netip.Addr) bool { return a.Unmap().Is4() }
	return slices.ContainsFunc(addrs, is4) && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !is4(a) })
}

// lastAddrs are the addresses of the recipient with the longest history.
func lastAddrs(rs []delivery.Recipient) []netip.Addr {
	for _, r := range rs {
		if len(r.LastAddrs) > 0 {
			return r.LastAddrs
		}
	}
	return nil
}
