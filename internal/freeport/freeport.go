// Package freeport gives tests an address for a program that must be told its address
// before it listens there, or that ends and comes back to it, and writes programs.
//
// A port of the kernel's choice, taken and given back, does not do: until the program
// listens, and while it is away, any connection or listener of another test may be given
// the same port.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// first is where the ports begin: below are those of well-known services.
const first = 20000

// Addr is an address of 127.0.0.1 whose port, for TCP and for UDP, is the test's until it
// ends: the kernel chooses none like it for anybody, and no other call gives it out, in
// whatever process.
func Addr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
}

// Port is the port of Addr.
func Port(t testing.TB) int {
	t.Helper()
	kernels := kernelsFirst()
	for range 1000 {
		port := first + rand.IntN(kernels-first)
		f, err := lock(port)
		if err != nil {
			t.Fatal(err)
		}
		if f == nil {
			continue
		}
		if !unused(port) {
			f.Close()
			continue
		}
		t.Cleanup(func() { f.Close() })
		return port
	}
	t.Fatalf("no port between %d and %d is free", first, kernels)
	return 0
}

// kernelsFirst is the first of the ports that the kernel chooses from where a program does
// not say which (ip(7), ip_local_port_range).
func kernelsFirst() int {
	var low int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scan := fmt.Sscan(string(b), &low); err != nil || scan != nil || low < first+1000 {
		return 32768
	}
	return low
}

// lock takes the port's octet in a file that all tests of this user share; nil if another
// test has it.
func lock(port int) (*os.File, error) {
	name := filepath.Join(os.TempDir(), fmt.Sprintf("waxwing-test-ports-%d", os.Getuid()))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: int64(port), Len: 1})
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == unix.EAGAIN || err == unix.EACCES {
		return nil, nil
	}
	return nil, fmt.Errorf("locking port %d in %s: %w", port, name, err)
}

// unused is whether nothing listens on the port now.
func unused(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	pc.Close()
	return true
}
