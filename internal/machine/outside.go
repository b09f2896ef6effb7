package machine

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"waxwing/dns"
	"waxwing/internal/doctor"
)

// Outside is the world and the machine as doctor's checks touch them. Tests put something
// else in its fields.
type Outside struct {
	DNS        dns.Resolver
	SelfTest   func(ctx context.Context) dns.SelfTestResult
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)
	Listen     func(network, address string) (io.Closer, error)
	Interfaces func() ([]netip.Addr, error) // without loopback and link-local addresses
	ReadFile   func(path string) ([]byte, error)
	Disk       func(dir string) doctor.Disk
	Clock      func() doctor.Clock
	Holder     func(port uint16) string // the program that has a TCP port; "": not known
	Now        func() time.Time
	Roots      *x509.CertPool // whom certificates are to be of; nil: the system's
}

// World is the real one.
func World(c *dns.Client, names dns.SelfTestNames) *Outside {
	return &Outside{
		DNS:      c,
		SelfTest: func(ctx context.Context) dns.SelfTestResult { return c.SelfTest(ctx, names) },
		Dial:     (&net.Dialer{}).DialContext,
		Listen: func(network, address string) (io.Closer, error) {
			return net.Listen(network, address)
		},
		Interfaces: ownAddrs, ReadFile: readSmall, Disk: diskOf, Clock: clockOf, Holder: holderOf, Now: time.Now,
	}
}

func ownAddrs() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			if a := p.Addr().Unmap(); !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// maxSmall bounds the files of the system that are read.
const maxSmall = 1 << 20

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSmall))
}

// portState is what an error of listening says.
func portState(err error) doctor.PortState {
	switch {
	case err == nil:
		return doctor.Free
	case errors.Is(err, syscall.EADDRINUSE):
		return doctor.Taken
	case errors.Is(err, fs.ErrPermission):
		return doctor.Denied
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return doctor.Absent
	}
	return ""
}

// holderOf finds the program that listens on a TCP port. Only root sees those of others.
func holderOf(port uint16) string {
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := readSmall(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" { // listening
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && inodes[to] {
			name, err := readSmall(filepath.Join(filepath.Dir(filepath.Dir(l)), "comm"))
			if err == nil {
				return strings.TrimSpace(string(name))
			}
		}
	}
	return ""
}
