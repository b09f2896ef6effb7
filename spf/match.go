package spf

import (
	"net/netip"
	"slices"

	"waxwing/dns"
)

// match evaluates one mechanism (RFC 7208 §5).
func (e *evaluation) match(t *Term, domain dns.Name, depth int) (bool, error) {
	switch t.Mechanism {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return t.Network.Contains(e.ip), nil
	}
	if err := e.count(); err != nil {
		return false, err
	}
	target := domain
	if t.Domain != nil {
		name, ok, err := e.target(t.Domain, domain)
		if err != nil || !ok && t.Mechanism != "include" {
			return false, err // RFC 7208 §4.8: what is no name matches nothing
		}
		target = name
	}
	switch t.Mechanism {
	case "include":
		return e.include(target, depth)
	case "a":
		return e.matchHost(target, t)
	case "mx":
		return e.matchMX(target, t)
	case "ptr":
		return e.matchPTR(target)
	}
	a, err := e.c.Resolver.LookupA(e.ctx, target) // exists: A for IPv6 clients too (§5.7)
	found, err := noted(e, a, err)
	return len(found) > 0, err
}

// include is RFC 7208 §5.2.
func (e *evaluation) include(target dns.Name, depth int) (bool, error) {
	if target.IsZero() {
		return false, permanent("include names what is no domain name")
	}
	switch v := e.checkHost(target, depth+1); v.result {
	case Pass:
		return true, nil
	case None:
		return false, permanent("include of %s, which has no SPF record", target)
	case PermError, TempError:
		return false, &stop{v.result, v.problem}
	}
	return false, nil
}

func (e *evaluation) matchHost(host dns.Name, t *Term) (bool, error) {
	addrs, err := e.addresses(host)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return e.within(a, t) }), nil
}

// within reports that the client is in the network of a of the length that the
// mechanism gives (RFC 7208 §5.6).
func (e *evaluation) within(a netip.Addr, t *Term) bool {
	bits := t.Prefix4
	if a = a.Unmap(); a.Is6() {
		bits = t.Prefix6
	}
	p, err := a.Prefix(bits)
	return err == nil && p.Contains(e.ip)
}

// matchMX is RFC 7208 §5.4.
func (e *evaluation) matchMX(domain dns.Name, t *Term) (bool, error) {
	a, err := e.c.Resolver.LookupMX(e.ctx, domain)
	hosts, err := noted(e, a, err)
	if err != nil {
		return false, err
	}
	if len(hosts) > maxHosts {
		return false, permanent("%s has more than %d MX hosts", domain, maxHosts)
	}
	for _, h := range hosts {
		if h.Null || h.Host.IsZero() {
			continue
		}
		match, err := e.matchHost(h.Host, t)
		if match || err != nil {
			return match, err
		}
	}
	return false, nil
}

// matchPTR is RFC 7208 §5.5.
func (e *evaluation) matchPTR(domain dns.Name) (bool, error) {
	names, err := e.validated()
	return slices.ContainsFunc(names, func(n dns.Name) bool { return n.Under(domain) }), err
}

// validated are the names of the client's address that lead back to it
// (RFC 7208 §5.5). Failed lookups there match nothing.
func (e *evaluation) validated() ([]dns.Name, error) {
	if e.named {
		return e.names, nil
	}
	e.named = true
	a, err := e.c.Resolver.LookupPTR(e.ctx, e.ip)
	if err != nil {
		e.rests(dns.Insecure)
		return nil, nil
	}
	candidates, err := noted(e, a, nil)
	if err != nil {
		return nil, err
	}
	for _, n := range candidates[:min(len(candidates), maxHosts)] {
		addrs, err := e.addressesOf(n)
		if err == nil && slices.Contains(addrs, e.ip) {
			e.names = append(e.names, n)
		}
	}
	return e.names, nil
}

// addressesOf is addresses for the names of a reverse lookup, which are no
// domain owner's choice: without an answer they do not count as void.
func (e *evaluation) addressesOf(host dns.Name) ([]netip.Addr, error) {
	look := e.c.Resolver.LookupA
	if e.ip.Is6() {
		look = e.c.Resolver.LookupAAAA
	}
	a, err := look(e.ctx, host)
	if err != nil {
		e.rests(dns.Insecure)
		return nil, err
	}
	e.rests(a.Security)
	return a.Records, nil
}
