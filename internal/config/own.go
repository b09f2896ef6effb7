package config

import (
	"net"
	"net/netip"
)

// OwnAddrs are the addresses of the listeners that other servers would deliver
// to; one that names none has all that the machine's interfaces have.
func (c *Config) OwnAddrs(interfaces func() ([]net.Addr, error)) []netip.Addr {
	var own []netip.Addr
	for _, l := range c.Listen {
		switch {
		case l.Kind != MX || l.Address.Port() != c.Delivery.Port:
		case !l.Address.Addr().IsUnspecified():
			own = append(own, l.Address.Addr())
		default:
			all, err := interfaces()
			if err != nil {
				continue // the host name is left
			}
			for _, a := range all {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					own = append(own, p.Addr().Unmap())
				}
			}
		}
	}
	return own
}
