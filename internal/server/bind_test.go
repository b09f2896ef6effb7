package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"waxwing/internal/config"
)

// A listener on 0.0.0.0 takes no IPv6 connections and one on [::] takes both,
// whatever it is for.
func TestFamilies(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	probe.Close()
	for _, kind := range []config.Kind{config.MX, config.Submission, config.Submissions, config.HTTPS, config.Metrics} {
		for address, six := range map[string]bool{"0.0.0.0:0": false, "[::]:0": true} {
			cfg := parse(t, kind)
			cfg.Listen[0].Address = netip.MustParseAddrPort(address)
			s := run(t, cfg)
			_, port, err := net.SplitHostPort(s.Addr(kind).String())
			if err != nil {
				t.Fatal(err)
			}
			for host, want := range map[string]bool{"127.0.0.1": true, "::1": six} {
				nc, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 5*time.Second)
				if err == nil {
					nc.Close()
				}
				if (err == nil) != want {
					t.Errorf("%s on %s, from %s: %v", kind, address, host, err)
				}
			}
		}
	}
}

// Where the kernel has no IPv6, [::] is every address there is.
func TestNoIPv6(t *testing.T) {
	t.Parallel()
	var asked []string
	b := &builder{Options: Options{Listen: func(network, address string) (net.Listener, error) {
		asked = append(asked, network+" "+address)
		if network != "tcp4" {
			return nil, &net.OpError{Op: "listen", Err: syscall.EAFNOSUPPORT}
		}
		return new(net.ListenConfig).Listen(context.Background(), network, strings.Replace(address, "0.0.0.0", "127.0.0.1", 1))
	}}}
	l, err := b.bind("mx", config.TCP(netip.MustParseAddrPort("[::]:0")))
	if err != nil {
		t.Fatalf("%v: %v", asked, err)
	}
	l.Close()
	if _, err := b.bind("mx", config.TCP(netip.MustParseAddrPort("[::1]:0"))); err == nil {
		t.Errorf("[::1] was bound without IPv6: %v", asked)
	}
}
