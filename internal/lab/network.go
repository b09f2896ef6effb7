package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// Network maps the addresses and ports of the lab's internet to listeners on
// loopback. It is the one place where lab and world differ: names in DNS,
// SNI, URLs and TLSA owner names stay those of ports 25 and 443.
//
// The addresses are in 127.53.0.0/16, so that nothing that slips past the
// mapping can leave the machine. Methods are safe for concurrent use.
type Network struct {
	mu     sync.Mutex
	next   uint16
	listen map[netip.AddrPort]net.Listener
}

// NewNetwork returns an empty internet.
func NewNetwork() *Network {
	return &Network{listen: map[netip.AddrPort]net.Listener{}}
}

// Addr hands out an address that nobody has.
func (n *Network) Addr() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return netip.AddrFrom4([4]byte{127, 53, byte(n.next >> 8), byte(n.next)})
}

// Listen opens a real listener on loopback that stands for ap.
func (n *Network) Listen(ap netip.AddrPort) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lab: listen for %s: %w", ap, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listen[ap] = l
	return l, nil
}

// Close takes the listener that stands for ap away: connections are refused from now on.
func (n *Network) Close(ap netip.AddrPort) {
	n.mu.Lock()
	l := n.listen[ap]
	delete(n.listen, ap)
	n.mu.Unlock()
	if l != nil {
		l.Close()
	}
}

// DialContext dials the listener that stands for address; an address nobody
// listens on is refused. It is a session.Dialer.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return dialFor(ctx, network, address, func(ap netip.AddrPort) (string, bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		l := n.listen[ap]
		if l == nil {
			return "", false
		}
		return l.Addr().String(), true
	})
}

// dialFor dials the listener that find names for address.
func dialFor(ctx context.Context, network, address string, find func(netip.AddrPort) (string, bool)) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	to, ok := find(ap)
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(ap), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

// listeners are the addresses in use, each with where it listens in fact.
func (n *Network) listeners() map[netip.AddrPort]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make(map[netip.AddrPort]string, len(n.listen))
	for ap, l := range n.listen {
		out[ap] = l.Addr().String()
	}
	return out
}

// ListenAt is Listen in the form of net.Listen, for a server's listeners.
func (n *Network) ListenAt(_, address string) (net.Listener, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return n.Listen(ap)
}
