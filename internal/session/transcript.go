package session

import (
	"net"
	"net/netip"

	"waxwing/internal/delivery"
	"waxwing/peers"
	"waxwing/smtpclient"
)

// options are those of a connection that was made with a host.
func (c *Client) options(host delivery.MXHost, addr netip.Addr, nc net.Conn) smtpclient.Options {
	return smtpclient.Options{HELO: c.HELO, LMTP: c.LMTP, Timeouts: c.Timeouts, Transcript: c.Transcript,
		Peer: smtpclient.Peer{Host: host.ASCII(), Remote: netip.AddrPortFrom(addr.Unmap(), c.port()), Local: peers.AddrPort(nc.LocalAddr())}}
}
