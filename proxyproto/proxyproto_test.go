package proxyproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// v2 is a header of version 2.
func v2(cmd, family byte, addrs []byte, tlvs int) string {
	b := append([]byte(v2Start), cmd, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addrs)+tlvs))
	return string(append(append(b, addrs...), bytes.Repeat([]byte{0xee}, tlvs)...))
}

func addrs(source, destination string) []byte {
	s, d := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	b := append(s.Addr().AsSlice(), d.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, s.Port()), d.Port())
}

var (
	four = addrs("192.0.2.1:1234", "198.51.100.2:25")
	six  = addrs("[2001:db8::1]:1234", "[2001:db8::2]:25")
)

// long is an address of the longest kind.
const long = "2001:db81:aaaa:bbbb:cccc:dddd:eeee:ffff"

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, source, destination string }{
		{"v1 TCP4", "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n", "192.0.2.1:1234", "198.51.100.2:25"},
		{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", "[2001:db8::1]:0", "[2001:db8::2]:65535"},
		{"v1 longest", "PROXY TCP6 " + long + " " + long + " 65535 65535\r\n", "[" + long + "]:65535", "[" + long + "]:65535"},
		{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1", "[::1]:2"},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "local", ""},
		{"v1 unknown with more", "PROXY UNKNOWN ffff::1 x y z w\r\n", "local", ""},
		{"v2 TCP4", v2(0x21, 0x11, four, 0), "192.0.2.1:1234", "198.51.100.2:25"},
		{"v2 TCP6", v2(0x21, 0x21, six, 0), "[2001:db8::1]:1234", "[2001:db8::2]:25"},
		{"v2 with TLVs", v2(0x21, 0x11, four, 300), "192.0.2.1:1234", "198.51.100.2:25"},
		{"v2 with the most TLVs", v2(0x21, 0x21, six, 65535-36), "[2001:db8::1]:1234", "[2001:db8::2]:25"},
		{"v2 LOCAL", v2(0x20, 0x00, nil, 0), "local", ""},
		{"v2 LOCAL with addresses", v2(0x20, 0x11, four, 7), "local", ""},
		{"v2 unspecified", v2(0x21, 0x00, nil, 9), "local", ""},
		{"v2 unix", v2(0x21, 0x31, make([]byte, 216), 0), "local", ""},
	} {
		r := bufio.NewReader(strings.NewReader(tt.in + "EHLO x\r\n"))
		h, err := Read(r)
		if err != nil || h.Local != (tt.source == "local") || !h.Local && (h.Source.String() != tt.source || h.Destination.String() != tt.destination) {
			t.Errorf("%s: %+v, %v", tt.name, h, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "EHLO x\r\n" {
			t.Errorf("%s: %q is left", tt.name, rest)
		}
	}
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     error // nil: any but these
	}{
		{"nothing", "", io.EOF},
		{"mail", "EHLO x\r\n", ErrNoHeader},
		{"TLS", "\x16\x03\x01", ErrNoHeader},
		{"almost v1", "PROXX", ErrNoHeader},
		{"almost v2", "\r\n\r\nQUIT", ErrNoHeader},
		{"v1 cut", "PROXY TCP4 192.0.2.1", io.ErrUnexpectedEOF},
		{"v2 cut in the signature", v2Start[:7], io.ErrUnexpectedEOF},
		{"v2 cut in the addresses", v2(0x21, 0x11, four, 0)[:20], io.ErrUnexpectedEOF},
		{"v2 cut in the TLVs", v2(0x21, 0x11, four, 9)[:30], io.ErrUnexpectedEOF},
		{"v1 endless", "PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n", nil},
		{"v1 LF", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n" + strings.Repeat("x", 100), nil},
		{"v1 UDP", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", nil},
		{"v1 wrong family", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", nil},
		{"v1 wrong family", "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", nil},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", nil},
		{"v1 no port", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", nil},
		{"v1 port", "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", nil},
		{"v1 leading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", nil},
		{"v1 two spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", nil},
		{"v1 nobody", "PROXY TCP4 0.0.0.0 198.51.100.2 1 2\r\n", nil},
		{"v1 multicast", "PROXY TCP6 ff02::1 2001:db8::2 1 2\r\n", nil},
		{"v2 version 1", v2(0x11, 0x11, four, 0), nil},
		{"v2 command 2", v2(0x22, 0x11, four, 0), nil},
		{"v2 UDP", v2(0x21, 0x12, four, 0), nil},
		{"v2 short", v2(0x21, 0x11, four[:11], 0), nil},
		{"v2 short for TCP6", v2(0x21, 0x21, four, 23), nil},
	} {
		h, err := Read(bufio.NewReader(strings.NewReader(tt.in)))
		other := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrNoHeader)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && other {
			t.Errorf("%s: %+v, %v; want %v", tt.name, h, err, tt.want)
		}
	}
}

// FuzzRead: what is taken off is a header again when written anew, and the rest
// is left.
func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x21, six, 3)))
	f.Add([]byte(v2(0x20, 0x00, nil, 0)))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(append(in[:len(in):len(in)], "EHLO"...)))
		h, err := Read(r)
		if err != nil {
			return
		}
		if rest, _ := io.ReadAll(r); !bytes.HasSuffix([]byte("EHLO"), rest) && !bytes.HasSuffix(rest, []byte("EHLO")) {
			t.Fatalf("%q is left", rest)
		}
		if h.Local {
			return
		}
		proto := "TCP6"
		if h.Source.Addr().Is4() {
			proto = "TCP4"
		}
		if h.Source.Addr().Is4() != h.Destination.Addr().Is4() {
			return // one was an IPv4-mapped one
		}
		again, err := Read(bufio.NewReader(strings.NewReader(fmt.Sprintf("PROXY %s %s %s %d %d\r\n", proto, h.Source.Addr(), h.Destination.Addr(), h.Source.Port(), h.Destination.Port()))))
		again.Version = h.Version
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// front is a Listener on loopback whose refusals are noted.
type front struct {
	*Listener
	mu      sync.Mutex
	refused []string
}

func listen(t *testing.T, from string) *front {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{Listener: &Listener{Listener: inner, From: []netip.Prefix{netip.MustParsePrefix(from)}, Timeout: 300 * time.Millisecond}}
	f.Refused = func(a netip.Addr, why string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.refused = append(f.refused, a.String()+" "+why)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func dial(t *testing.T, f *front, text string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	io.WriteString(nc, text)
	return nc
}

func TestListener(t *testing.T) {
	t.Parallel()
	f := listen(t, "127.0.0.0/8")
	slow := dial(t, f, "PROXY TC") // keeps nobody waiting
	for _, tt := range []struct{ header, remote string }{
		{"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n", "192.0.2.1:1234"},
		{v2(0x21, 0x21, six, 99), "[2001:db8::1]:1234"},
		{v2(0x20, 0x00, nil, 0), ""},
	} {
		c := dial(t, f, tt.header+"hello")
		nc, err := f.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if tt.remote == "" {
			tt.remote = c.LocalAddr().String()
		}
		if got := nc.RemoteAddr().String(); got != tt.remote {
			t.Errorf("from %s, want %s", got, tt.remote)
		}
		io.WriteString(c, " world")
		b := make([]byte, 11)
		if _, err := io.ReadFull(nc, b); err != nil || string(b) != "hello world" {
			t.Errorf("%q, %v", b, err)
		}
		nc.Close()
	}
	garbage := dial(t, f, "EHLO x\r\n")
	for _, nc := range []net.Conn{garbage, slow} {
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("not closed: %d, %v", n, err)
		}
	}
	dial(t, f, "PROXY").Close()
	dial(t, f, "").Close() // a check of the port
	// What is told to Refused is told after the close.
	for range 100 {
		f.mu.Lock()
		n := len(f.refused)
		f.mu.Unlock()
		if n == 4 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.refused, ", ")
	for _, want := range []string{"127.0.0.1 garbage", "127.0.0.1 timeout", "127.0.0.1 lost", "127.0.0.1 empty"} {
		if !strings.Contains(all, want) {
			t.Errorf("refused: %s; want %s", all, want)
		}
	}
}

// Who is no proxy is nobody's client: its header is not read.
func TestStranger(t *testing.T) {
	t.Parallel()
	f := listen(t, "10.0.0.0/8")
	c := dial(t, f, "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n")
	nc, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b := make([]byte, 6)
	if io.ReadFull(nc, b); string(b) != "PROXY " || nc.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("%q from %s", b, nc.RemoteAddr())
	}
}

// Pending is a bound, and Close ends those that owe their header.
func TestPendingAndClose(t *testing.T) {
	t.Parallel()
	f := listen(t, "127.0.0.0/8")
	f.Pending, f.Timeout = 1, time.Hour
	done := make(chan error)
	go func() { _, err := f.Accept(); done <- err }()
	first, second := dial(t, f, "P"), dial(t, f, "P")
	// Whichever came second is closed.
	gone := make(chan bool, 2)
	for _, nc := range []net.Conn{first, second} {
		go func() { _, err := nc.Read(make([]byte, 1)); gone <- err != nil }()
	}
	if !<-gone {
		t.Error("both are kept")
	}
	f.Close()
	if !<-gone || !errors.Is(<-done, net.ErrClosed) {
		t.Error("Close leaves a connection or an Accept waiting")
	}
}
