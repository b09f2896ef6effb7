// Package proxyproto reads the PROXY protocol, versions 1 and 2 (HAProxy's
// proxy-protocol.txt of 2020-03-05), with which a load balancer tells who has
// connected to it. A Listener takes the header off before anybody sees the
// connection, so that its RemoteAddr is the client.
//
// Who may write a header is a list of addresses: from them it is required, from
// nobody else is it read. TLVs of version 2 are skipped.
package proxyproto

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Header is what a header says.
type Header struct {
	Version int // 1 or 2
	// Local: it says nothing of a client; the connection is the proxy's own (a health
	// check), or of a kind that has no address. The socket's addresses hold.
	Local       bool
	Source      netip.AddrPort // the client
	Destination netip.AddrPort // what it connected to
}

// ErrNoHeader is a connection that does not begin with a header.
var ErrNoHeader = errors.New("proxyproto: no PROXY header")

// fault is a header that is wrong. Its text holds nothing of what was received.
func fault(format string, args ...any) error {
	return fmt.Errorf("proxyproto: %s", fmt.Sprintf(format, args...))
}

const (
	v1Start = "PROXY "
	v2Start = "\r\n\r\n\x00\r\nQUIT\n"
	maxV1   = 107 // octets of a line with CRLF (§2.1)
)

// Read takes a header off r, and not an octet more. Errors: ErrNoHeader, the
// reader's, and others for a header that is wrong. It decides at the first octet
// that fits no header, so that a client that waits is not waited for.
func Read(r *bufio.Reader) (Header, error) {
	first, err := r.Peek(1)
	if err != nil {
		return Header{}, err
	}
	switch first[0] {
	case v1Start[0]:
		return readV1(r)
	case v2Start[0]:
		return readV2(r)
	}
	return Header{}, ErrNoHeader
}

// expect reads text.
func expect(r *bufio.Reader, text string) error {
	for i := range len(text) {
		c, err := r.ReadByte()
		if err != nil {
			return whole(err)
		}
		if c != text[i] {
			return ErrNoHeader
		}
	}
	return nil
}

// whole makes an end within a header an error like any other.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func readV1(r *bufio.Reader) (Header, error) {
	if err := expect(r, v1Start); err != nil {
		return Header{}, err
	}
	line := make([]byte, 0, maxV1)
	for !strings.HasSuffix(string(line), "\r\n") {
		if len(line) == maxV1-len(v1Start) {
			return Header{}, fault("the line is longer than %d octets", maxV1)
		}
		c, err := r.ReadByte()
		if err != nil {
			return Header{}, whole(err)
		}
		line = append(line, c)
	}
	return parseV1(string(line[:len(line)-2]))
}

// parseV1 parses what follows "PROXY ".
func parseV1(line string) (Header, error) {
	f := strings.Split(line, " ")
	if f[0] == "UNKNOWN" { // §2.1: whatever follows is ignored
		return Header{Version: 1, Local: true}, nil
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return Header{}, fault("a line of version 1 is TCP4, TCP6 or UNKNOWN, two addresses and two ports")
	}
	source, err := v1AddrPort(f[0], f[1], f[3])
	if err != nil {
		return Header{}, err
	}
	destination, err := v1AddrPort(f[0], f[2], f[4])
	if err != nil {
		return Header{}, err
	}
	return checked(Header{Version: 1, Source: source, Destination: destination})
}

func v1AddrPort(proto, addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != (proto == "TCP4") {
		return netip.AddrPort{}, fault("an address is none of %s", proto)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port { // §2.1: without leading zeroes
		return netip.AddrPort{}, fault("a port is no number of 0 to 65535")
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// The octets of version 2 (§2.2).
const (
	cmdLocal, cmdProxy = 0x20, 0x21
	famUnspec          = 0x00
	famTCP4, famTCP6   = 0x11, 0x21
	famUnix            = 0x31
)

func readV2(r *bufio.Reader) (Header, error) {
	if err := expect(r, v2Start); err != nil {
		return Header{}, err
	}
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, whole(err)
	}
	cmd, family, left := fixed[0], fixed[1], int(binary.BigEndian.Uint16(fixed[2:]))
	if cmd != cmdLocal && cmd != cmdProxy {
		return Header{}, fault("version and command are %#x, not 0x20 or 0x21", cmd)
	}
	h := Header{Version: 2}
	size := map[byte]int{famTCP4: 4, famTCP6: 16}[family]
	switch {
	case cmd == cmdLocal, family == famUnspec, family == famUnix:
		h.Local = true // §2.2: whatever follows is skipped
	case size == 0:
		return Header{}, fault("family and protocol are %#x, not those of TCP", family)
	case left < 2*size+4:
		return Header{}, fault("the header of %d octets is too short for its addresses", left)
	default:
		var b [2*16 + 4]byte
		addrs := b[:2*size+4]
		if _, err := io.ReadFull(r, addrs); err != nil {
			return Header{}, whole(err)
		}
		left -= len(addrs)
		h.Source, h.Destination = v2AddrPort(addrs, 0, size), v2AddrPort(addrs, 1, size)
	}
	if _, err := r.Discard(left); err != nil {
		return Header{}, whole(err)
	}
	return checked(h)
}

// v2AddrPort is the first (0) or second address of b: two addresses of size
// octets each, then two ports.
func v2AddrPort(b []byte, which, size int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(b[which*size : (which+1)*size])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[2*size+2*which:]))
}

// checked refuses clients that cannot be: limits and logs by address would be of
// no use.
func checked(h Header) (Header, error) {
	if a := h.Source.Addr(); !h.Local && (a.IsUnspecified() || a.IsMulticast()) {
		return Header{}, fault("the client's address is %s", a)
	}
	return h, nil
}
