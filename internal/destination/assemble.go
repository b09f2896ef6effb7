package destination

import (
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// hostFacts is what was looked up for one candidate.
type hostFacts struct {
	candidate
	v4, v6       dns.Answer[netip.Addr]
	v4err, v6err error
	dane         delivery.DANE
	lookups      lookups
}

// found reports whether there is any address.
func (h *hostFacts) found() bool { return len(h.v4.Records)+len(h.v6.Records) > 0 }

// answers is the address answers that count: those with addresses.
func (h *hostFacts) answers() []dns.Answer[netip.Addr] {
	var out []dns.Answer[netip.Addr]
	for _, a := range []dns.Answer[netip.Addr]{h.v6, h.v4} {
		if len(a.Records) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// security is the weakest state of the answers that count.
func (h *hostFacts) security() dns.Security {
	as := h.answers()
	if len(as) == 0 {
		return dns.Indeterminate
	}
	weakest := dns.Secure
	for _, a := range as {
		if a.Security != dns.Secure && weakest != dns.Indeterminate {
			weakest = a.Security
		}
	}
	return weakest
}

// host makes the Host of h (pure). Its Fail says why it has no address.
func (h *hostFacts) host(allowPrivate bool) delivery.Host {
	out := delivery.Host{Name: delivery.MXHost{Name: h.name}, Preference: h.pref, AddrSecurity: h.security()}
	refused := false
	// IPv6 first (RFC 3974 §3); the session lets the families take turns (DST-2).
	refuse := func(a netip.Addr) bool {
		r := !allowPrivate && dns.PrivateAddr(a)
		refused = refused || r
		return r
	}
	out.Addrs = bound(slices.DeleteFunc(slices.Clone(h.v6.Records), refuse), slices.DeleteFunc(slices.Clone(h.v4.Records), refuse))
	switch {
	case len(out.Addrs) > 0:
		out.DANE = h.dane
	case refused && h.v4err == nil && h.v6err == nil:
		out.Fail = permanent(reason.AddressRefused, noAddress, "all addresses of %s are private or reserved, and mail is not sent there", h.name)
	case h.v4err != nil:
		out.Fail = lookupFailure(h.v4err)
	case h.v6err != nil:
		out.Fail = lookupFailure(h.v6err)
	case h.v4.NXDomain && h.v6.NXDomain:
		out.Fail = permanent(reason.NoSuchHost, noAddress, "the host %s does not exist", h.name)
	default:
		out.Fail = permanent(reason.NoAddress, noAddress, "the host %s has no address", h.name)
	}
	return out
}

// maxAddrs is how many addresses of one host may be tried in an attempt. An
// answer holds thousands, and each that is silent costs the time to connect:
// without a bound one message could hold a place in the queue for days.
const maxAddrs = 8

// bound leaves maxAddrs addresses, the first of each family, half of them from
// each as far as there are so many (pure).
func bound(v6, v4 []netip.Addr) []netip.Addr {
	n6 := min(len(v6), max(maxAddrs/2, maxAddrs-len(v4)))
	n4 := min(len(v4), maxAddrs-n6)
	return slices.Concat(v6[:n6], v4[:n4])
}

// assemble makes the list of hosts out of what was found (DST-4, pure): it
// drops ourselves, known by address, with all that is not better than us, and
// says why nothing is left. Hosts without address stay in the list as long as
// another has one.
func assemble(facts []hostFacts, self func(dns.Name, []netip.Addr) bool, allowPrivate bool) ([]delivery.Host, *delivery.Failure) {
	limit := -1 // the best preference that is ours
	var us dns.Name
	for _, h := range facts {
		if addrs := slices.Concat(h.v6.Records, h.v4.Records); len(addrs) > 0 && self(h.name, addrs) {
			if limit < 0 || int(h.pref) < limit {
				limit, us = int(h.pref), h.name
			}
		}
	}
	var hosts []delivery.Host
	usable := false
	for _, h := range facts {
		if limit >= 0 && int(h.pref) >= limit {
			continue
		}
		host := h.host(allowPrivate)
		hosts = append(hosts, host)
		usable = usable || host.Fail == nil
	}
	switch {
	case usable:
		return hosts, nil
	case len(hosts) == 0 && limit >= 0:
		return nil, selfFailure(us)
	}
	return nil, noneLeft(hosts)
}

// noneLeft is the failure of a domain none of whose hosts has an address: for
// good only if no lookup failed (DST-4).
func noneLeft(hosts []delivery.Host) *delivery.Failure {
	var last *delivery.Failure
	for _, h := range hosts {
		if last == nil || last.Permanent && !h.Fail.Permanent {
			last = h.Fail
		}
	}
	if last == nil {
		return permanent(reason.NoAddress, noAddress, "the domain has no host that takes mail")
	}
	if len(hosts) > 1 && last.Permanent {
		return permanent(reason.NoAddress, noAddress, "none of the domain's %d mail hosts has an address that can be used; the first: %s", len(hosts), last.Text)
	}
	return last
}
