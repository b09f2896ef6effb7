// Package egress connects to hosts that strangers or programs have named: their names are
// asked of our own resolver, and addresses that may not be dialled are left out at the moment
// of dialling, so that no answer of DNS can lead into the operator's own network (DST-4).
// Proxies of the environment are not used.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"waxwing/dns"
)

// ErrNotAllowed is wrapped where a host has addresses, and none that may be dialled.
var ErrNotAllowed = errors.New("no address that may be dialled")

// Dialer dials. Its fields are not changed once it is in use.
type Dialer struct {
	DNS     dns.Resolver
	Allowed func(netip.Addr) bool
	// Connect connects to an IP address and port; nil: net.Dialer.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects to the first of a host's addresses that may be dialled and answers.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	connect := d.Connect
	if connect == nil {
		connect = (&net.Dialer{Timeout: 20 * time.Second}).DialContext
	}
	err = fmt.Errorf("%s has %w", host, ErrNotAllowed)
	for _, a := range addrs {
		if !d.Allowed(a) {
			continue
		}
		var c net.Conn
		if c, err = connect(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func (d *Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	name, err := dns.ParseLax(host)
	if err != nil {
		return nil, err
	}
	v6, err6 := d.DNS.LookupAAAA(ctx, name)
	v4, err4 := d.DNS.LookupA(ctx, name)
	if err6 != nil && err4 != nil {
		return nil, errors.Join(err6, err4)
	}
	return append(v6.Records, v4.Records...), nil
}
