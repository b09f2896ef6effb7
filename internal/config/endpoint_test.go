package config

import (
	"fmt"
	"strings"
	"testing"
)

// Package net takes "0.0.0.0" with "tcp" for both families; a listener on it is
// for IPv4 only, and one on "[::]", or on a port alone, for both.
func TestListenAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, network, address string }{
		{"0.0.0.0:25", "tcp4", "0.0.0.0:25"},
		{"192.0.2.1:25", "tcp", "192.0.2.1:25"},
		{"[::]:25", "tcp", "[::]:25"},
		{":25", "tcp", "[::]:25"},
		{"[::1]:25", "tcp", "[::1]:25"},
		{"[fe80::1%eth0]:25", "tcp", "[fe80::1%eth0]:25"},
		{"[::ffff:0.0.0.0]:25", "tcp4", "0.0.0.0:25"},
		{"[::ffff:192.0.2.1]:25", "tcp", "192.0.2.1:25"},
		{"localhost:25", "", ""}, {"25", "", ""}, {":smtp", "", ""}, {":", "", ""}, {"::25", "", ""}, {"*:25", "", ""}, {":65536", "", ""},
	} {
		c, err := Parse("w", []byte(strings.Replace(minimal, "127.0.0.1:2525", tt.text, 1)))
		if (err == nil) != (tt.network != "") {
			t.Errorf("%s: %v", tt.text, err)
		} else if err == nil && TCP(c.Listen[0].Address) != (Endpoint{tt.network, tt.address}) {
			t.Errorf("%s is bound as %v", tt.text, TCP(c.Listen[0].Address))
		}
		c = &Config{}
		if e, err := c.Companion.Endpoint(tt.text); (err == nil) != (tt.network != "") || err == nil && e != (Endpoint{tt.network, tt.address}) {
			t.Errorf("companion, %s: %v %v", tt.text, e, err)
		}
	}
}

// Two listeners of which the second could not be bound are told in the
// configuration, with the reason.
func TestOverlappingListeners(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ first, second, fault string }{
		{"127.0.0.1:25", "127.0.0.1:25", "is listened on already, in line 4"},
		{"0.0.0.0:25", "127.0.0.1:25", "0.0.0.0 is every IPv4 address"},
		{"127.0.0.1:25", "0.0.0.0:25", "0.0.0.0 is every IPv4 address"},
		{"0.0.0.0:25", "[::]:25", "[::] is every address, of IPv4 too"},
		{":25", "127.0.0.1:25", "[::] is every address, of IPv4 too"},
		{"[::1]:25", "[::]:25", "[::] is every address, of IPv4 too"},
		{"0.0.0.0:25", "[::1]:25", ""},
		{"127.0.0.1:25", "[::1]:25", ""},
		{"[::]:25", "[::]:26", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"[::]:0", "127.0.0.1:0", ""},
	} {
		_, err := Parse("w", fmt.Appendf(nil, "hostname = \"mx.example.org\"\n\n[[listen]]\naddress = %q\nkind = \"mx\"\n[[listen]]\naddress = %q\nkind = \"mx\"\n", tt.first, tt.second))
		if (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s and %s: %v, want %q", tt.first, tt.second, err, tt.fault)
		}
	}
}
