package dns

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"waxwing/internal/foreign"
)

// SystemServers reads the resolvers of a resolv.conf (5) file, usually
// /etc/resolv.conf. A server is trusted if it is on loopback, or if the file
// says "options trust-ad" (DNS-3). Without any nameserver line the local
// machine is meant, as in glibc.
func SystemServers(path string) ([]Server, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the system's DNS servers: %w (name the servers in the configuration instead)", err)
	}
	defer f.Close()
	s, err := parseResolvConf(f)
	if err != nil {
		return nil, fmt.Errorf("reading the system's DNS servers from %s: %w", path, err)
	}
	return s, nil
}

// maxServers bounds what is taken from a file.
const maxServers = 16

func parseResolvConf(r io.Reader) ([]Server, error) {
	var out []Server
	trustAD := false
	sc := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		line, _, _ = strings.Cut(line, ";")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			a, err := netip.ParseAddr(f[1])
			if err != nil {
				return nil, fmt.Errorf("nameserver %q is no IP address", foreign.Clip(f[1], 100))
			}
			if len(out) < maxServers {
				out = append(out, Server{Addr: net.JoinHostPort(a.String(), "53"), Trusted: a.Unmap().IsLoopback()})
			}
		case "options":
			trustAD = trustAD || slices.Contains(f[1:], "trust-ad")
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return []Server{{Addr: "127.0.0.1:53", Trusted: true}}, nil
	}
	for i := range out {
		out[i].Trusted = out[i].Trusted || trustAD
	}
	return out, nil
}
