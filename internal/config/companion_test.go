package config

import (
	"strings"
	"testing"
)

func TestCompanion(t *testing.T) {
	t.Parallel()
	const head = "hostname = \"mx.example.org\"\n[companion]\n"
	for _, tt := range []struct{ text, fault string }{
		{`datagrams = "/run/tlsrpt.sock"`, ""},
		{`policies = ["127.0.0.1:8642", "[::1]:8642", "unix:/run/policies"]`, ""},
		{"policies = [\"127.0.0.1:8642\"]\nreport_relay = \"/usr/sbin/sendmail\"", ""},
		{"policies = [\"127.0.0.1:8642\"]\nreport_relay = \"127.0.0.1:25\"", ""},
		{"policies = [\"127.0.0.1:8642\"]\nreport_relay = \"smart.example.org\"", ""},
		{`socket_group = "postfix"`, "no listener"},
		{`policies = ["localhost:8642"]`, "companion.policies[0]: \"localhost:8642\" is neither an IP address"},
		{`policies = ["unix:"]`, "names no socket"},
		{`policies = ["127.0.0.1:1", "127.0.0.1:1"]`, "companion.policies[1]: 127.0.0.1:1 stands here twice"},
		{"datagrams = \"/s\"\nreport_relay = \"smart.example.org:port\"", `"port" is no port`},
		{"datagrams = \"/s\"\nreport_relay = \"./sendmail\"", "neither the path of a program nor"},
		{`datagram = "/s"`, `did you mean "datagrams"?`},
	} {
		_, err := Parse("companion.toml", []byte(head+tt.text))
		if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%s: got %v, want %q", tt.text, err, tt.fault)
		}
	}
}

// Relative paths count from the directory of the file.
func TestCompanionPaths(t *testing.T) {
	t.Parallel()
	c, err := Parse("/etc/waxwing/companion.toml", []byte("hostname = \"mx.example.org\"\n[companion]\ndatagrams = \"s\"\npolicies = [\"unix:p\", \"unix:/q\", \"127.0.0.1:1\"]"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Companion.Datagrams + " " + strings.Join(c.Companion.Policies, " "); got != "/etc/waxwing/s unix:/etc/waxwing/p unix:/q 127.0.0.1:1" {
		t.Errorf("got %s", got)
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, host string
		port     uint16
	}{
		{"", "", 0}, {"/usr/sbin/sendmail", "", 0}, {"127.0.0.1", "127.0.0.1", 0}, {"[::1]:26", "::1", 26}, {"mx.example.org:587", "mx.example.org", 587},
	} {
		if host, port, err := (Companion{ReportRelay: tt.in}).Relay(); host != tt.host || port != tt.port || err != nil {
			t.Errorf("%q: %q, %d, %v", tt.in, host, port, err)
		}
		if got := (Companion{ReportRelay: tt.in}).Program(); (got != "") != strings.HasPrefix(tt.in, "/") {
			t.Errorf("%q: the program %q", tt.in, got)
		}
	}
}
