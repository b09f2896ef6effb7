package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// SOCKS is a Dialer through a SOCKS5 proxy (RFC 1928), with user name and
// password where the proxy asks for them (RFC 1929). Hosts are given to it as
// IP addresses: names were resolved here, with DNSSEC.
type SOCKS struct {
	Proxy          string // host:port
	User, Password string // empty User: no authentication
	Dialer         Dialer // to the proxy; nil: net.Dialer
}

// String leaves the password out.
func (s SOCKS) String() string { return "SOCKS5 proxy " + s.Proxy }

// GoString leaves the password out.
func (s SOCKS) GoString() string { return s.String() }

// SOCKSError is the proxy's refusal. For what the proxy says of the host it
// wraps the errno that a dialer would have met.
type SOCKSError struct {
	Proxy string
	Text  string
	Err   error // may be nil
	// Own: the fault is the proxy's or its set-up's, whatever host it was asked for.
	Own bool
}

func (e *SOCKSError) Error() string { return "SOCKS5 proxy " + e.Proxy + ": " + e.Text }
func (e *SOCKSError) Unwrap() error { return e.Err }

// DialContext connects to address, "ip:port", through the proxy. The
// connection's LocalAddr is what the proxy says it connects from.
func (s SOCKS) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("SOCKS5: %q is not an IP address with a port", address)
	}
	d := s.Dialer
	if d == nil {
		d = &net.Dialer{}
	}
	nc, err := d.DialContext(ctx, network, s.Proxy)
	if err != nil {
		return nil, s.fault("cannot be reached: " + err.Error())
	}
	if at, ok := ctx.Deadline(); ok {
		nc.SetDeadline(at)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = s.authenticate(nc)
	var local netip.AddrPort
	ready := err == nil
	if ready {
		local, err = s.connect(nc, to)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, s.failed(ctx, err, ready)
	}
	nc.SetDeadline(time.Time{})
	return &socksConn{nc, net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(to)}, nil
}

// fault is a SOCKSError of the proxy's own.
func (s SOCKS) fault(text string) error { return &SOCKSError{Proxy: s.Proxy, Text: text, Own: true} }

// failed words what went wrong. Once the proxy was ready, silence and a closed
// connection may as well be the host's: some proxies have no other way to say it.
func (s SOCKS) failed(ctx context.Context, err error, ready bool) error {
	var own *SOCKSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &own):
		return err
	case !ready && (ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)):
		return s.fault("it did not answer in time")
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	}
	return &SOCKSError{Proxy: s.Proxy, Text: "the connection ended in the negotiation: " + err.Error(), Own: !ready}
}

// connect is the proxy's dialogue; it returns the address the proxy connects from.
func (s SOCKS) connect(nc net.Conn, to netip.AddrPort) (netip.AddrPort, error) {
	var none netip.AddrPort
	if _, err := nc.Write(appendAddr([]byte{5, 1, 0}, to)); err != nil {
		return none, err
	}
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return none, err
	}
	if head[0] != 5 {
		return none, s.fault("it does not speak SOCKS5")
	}
	if head[1] != 0 {
		return none, s.refused(head[1])
	}
	return s.bound(nc, head[3])
}

func (s SOCKS) authenticate(nc net.Conn) error {
	const noAuth, password = 0, 2
	if len(s.User) > 255 || len(s.Password) > 255 || s.User != "" && s.Password == "" {
		return s.fault("user name and password must have 1 to 255 octets")
	}
	greeting := []byte{5, 1, noAuth}
	if s.User != "" {
		greeting = []byte{5, 1, password} // only that: who set a password wants it checked
	}
	if _, err := nc.Write(greeting); err != nil {
		return err
	}
	var choice [2]byte
	if _, err := io.ReadFull(nc, choice[:]); err != nil {
		return err
	}
	switch {
	case choice[0] != 5:
		return s.fault("it does not speak SOCKS5")
	case choice[1] != greeting[2] && s.User == "":
		return s.fault("it wants authentication, and no user name is set")
	case choice[1] != greeting[2]:
		return s.fault("it does not take user name and password")
	case choice[1] == noAuth:
		return nil
	}
	b := append([]byte{1, byte(len(s.User))}, s.User...)
	b = append(append(b, byte(len(s.Password))), s.Password...)
	if _, err := nc.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(nc, choice[:]); err != nil {
		return err
	}
	if choice[1] != 0 {
		return s.fault("it refused the user name or the password")
	}
	return nil
}

// The address types of RFC 1928 §5.
const (
	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4
)

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	kind := byte(socksIPv6)
	if ip.Is4() {
		kind = socksIPv4
	}
	b = append(append(b, kind), ip.AsSlice()...)
	return append(b, byte(a.Port()>>8), byte(a.Port()))
}

// bound reads the address the proxy bound; a name is read and forgotten.
func (s SOCKS) bound(nc net.Conn, kind byte) (netip.AddrPort, error) {
	n := 0
	switch kind {
	case socksIPv4:
		n = 4
	case socksIPv6:
		n = 16
	case socksName:
		var length [1]byte
		if _, err := io.ReadFull(nc, length[:]); err != nil {
			return netip.AddrPort{}, err
		}
		n = int(length[0])
	default:
		return netip.AddrPort{}, s.fault("its answer has an unknown address type")
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(nc, b); err != nil {
		return netip.AddrPort{}, err
	}
	ip, ok := netip.AddrFromSlice(b[:n])
	if !ok || kind == socksName || ip.IsUnspecified() {
		return netip.AddrPort{}, nil // not told
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(b[n])<<8|uint16(b[n+1])), nil
}

// refused words the replies of RFC 1928 §6.
func (s SOCKS) refused(code byte) error {
	switch code {
	case 2:
		return &SOCKSError{Proxy: s.Proxy, Text: "its rules do not allow the connection"}
	case 3:
		return &SOCKSError{Proxy: s.Proxy, Text: "network unreachable", Err: syscall.ENETUNREACH}
	case 4:
		return &SOCKSError{Proxy: s.Proxy, Text: "host unreachable", Err: syscall.EHOSTUNREACH}
	case 5:
		return &SOCKSError{Proxy: s.Proxy, Text: "connection refused", Err: syscall.ECONNREFUSED}
	case 6:
		return &SOCKSError{Proxy: s.Proxy, Text: "TTL expired", Err: syscall.ETIMEDOUT}
	case 7:
		return s.fault("it does not know the command CONNECT")
	case 8:
		return &SOCKSError{Proxy: s.Proxy, Text: "it does not know this address family", Err: syscall.EADDRNOTAVAIL}
	}
	return &SOCKSError{Proxy: s.Proxy, Text: fmt.Sprintf("it failed (code %d)", code)}
}

// socksConn is a connection with the addresses at the proxy's other side.
type socksConn struct {
	net.Conn
	local, remote net.Addr
}

func (c *socksConn) LocalAddr() net.Addr  { return c.local }
func (c *socksConn) RemoteAddr() net.Addr { return c.remote }

// SyscallConn lets the socket be looked at.
func (c *socksConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}
