package config

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
)

var update = flag.Bool("update", false, "rewrite docs/operating/configuration.md")

const minimal = `hostname = "mx.example.org"
[[listen]]
address = "127.0.0.1:2525"
kind = "mx"
`

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse("/etc/waxwing/waxwing.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.name, want.places = c.name, c.places
	want.Hostname, want.Listen, want.DataDir = dns.MustParse("mx.example.org"), c.Listen, "/etc/waxwing/data"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("parsed %+v\nwant   %+v", c, want)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := Parse("waxwing.toml", []byte(minimal+`max_connections = 7
max_message_size = 1000000
[[listen]]
address = "[::]:443"
kind = "https"
[tls]
cert_file = "/c.pem"
key_file = "k.pem"
[resolver]
servers = ["127.0.0.53", "[::1]:5353"]
trusted = true
[resolver.selftest]
bogus = ""
[delivery]
retry = ["10s",
  "1m", # with a comment
]
expire = "5d"
minimum = { "Partner.example" = "dane" }
[tlsrpt]
from = "tls@example.org"
[limits]
max_message_size = "10MB"
`))
	if err != nil {
		t.Fatal(err)
	}
	addrs, system, err := c.Resolver.Upstreams()
	if err != nil || system || len(addrs) != 2 || addrs[0].Addr != "127.0.0.53:53" || addrs[1].Addr != "[::1]:5353" {
		t.Errorf("resolvers %v %v %v", addrs, system, err)
	}
	if l := c.Listen[0]; l.MaxConnections != 7 || l.MaxMessageSize != 1000000 || c.Listen[1].Kind != HTTPS {
		t.Errorf("listeners %+v", c.Listen)
	}
	if !slices.Equal(c.Delivery.Retry, []time.Duration{10 * time.Second, time.Minute}) || c.Delivery.Expire != 120*time.Hour {
		t.Errorf("delivery %+v", c.Delivery)
	}
	if c.Delivery.Minimum[dns.MustParse("partner.example")] != "dane" || c.Limits.MaxMessageSize != 10e6 || !c.Resolver.Selftest.Bogus.IsZero() {
		t.Errorf("parsed %+v", c)
	}
	if cert, key, _ := c.TLSFiles(); cert != "/c.pem" || key != "k.pem" {
		t.Errorf("files %s, %s", cert, key)
	}
}

// Every fault is told, each with its line.
func TestFaults(t *testing.T) {
	t.Parallel()
	text := `hostnam = "mx.example.org"
data_dir = 7
postgres = "mysql://root:hunter2@db"

[[listen]]
address = "localhost:25"
kind = "mx"

[[listen]]
address = "127.0.0.1:587"
kind = "submision"
max_connections = -1

[[listen]]
address = "127.0.0.1:587"
kind = "submission"

[tls]
cert_file = "x"
[resolver]
servers = ["127.0.0.1", "system"]
timeout = "1ms"
[delivery]
allow_private = "yes"
retry = [
  "1m",
  "never",
  5,
]
delay_notice = "10d"
port = 99999
minimum = { "a.example" = "max", "b..c" = "any" }
[delivery.what]
x = 1
[tlsrpt]
from = "nobody"
[limits]
max_recipients = 5
max_message_size = "1TB"
[log]
level = "loud"
`
	_, err := Parse("w.toml", []byte(text))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error %v", err)
	}
	var got []string
	for _, e := range errs {
		got = append(got, strings.TrimPrefix(strings.SplitN(e.Error(), ": ", 3)[0], "w.toml")+" "+e.Key)
	}
	want := []string{
		" hostname", ":1 hostnam", ":2 data_dir", ":3 postgres", ":6 listen[0].address", ":11 listen[1].kind", ":12 listen[1].max_connections",
		":15 listen[2].address", ":18 tls", ":21 resolver.servers", ":22 resolver.timeout", ":24 delivery.allow_private",
		":27 delivery.retry[1]", ":28 delivery.retry[2]", ":30 delivery.delay_notice", ":31 delivery.port",
		":32 delivery.minimum.a.example", ":32 delivery.minimum.b..c", ":33 delivery.what", ":36 tlsrpt.from", ":38 limits.max_recipients", ":39 limits.max_message_size", ":41 log.level",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("faults\n%s\nwant\n%s\n\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), err)
	}
	for _, hint := range []string{`did you mean "hostname"?`, `did you mean "submission"?`, "127.0.0.1:587 is listened on already, in line 10"} {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("no hint %q in\n%v", hint, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("an error holds the database's password")
	}
	if !slices.IsSortedFunc(errs, func(a, b Error) int { return a.Line - b.Line }) {
		t.Error("faults are not in the order of lines")
	}
}

func TestSyntaxFaults(t *testing.T) {
	t.Parallel()
	for text, line := range map[string]int{
		"a = 1\nb = \n":                  2,
		"a = 1\n\na = 2\n":               3,
		minimal + "x = [1,\n":            5,
		minimal + "kind = 'mx'\n":        5,
		minimal + "[listen]\n":           5,
		minimal + "[[listen]\nx = 1\n":   5,
		minimal + "\x00":                 5,
		minimal + "s = \"\xff\"\n":       5,
		minimal + "[delivery.minimum]\n": 0,
	} {
		_, err := Parse("w", []byte(text))
		var errs Errors
		errors.As(err, &errs)
		if line == 0 && err == nil {
			continue
		}
		if len(errs) != 1 || errs[0].Line != line {
			t.Errorf("%q: %v, want line %d", text, err, line)
		}
	}
	if _, err := Parse("w", bytes.Repeat([]byte("#"), maxFile+1)); err == nil {
		t.Error("a file without bound is read")
	}
}

func TestUnquotedDomain(t *testing.T) {
	t.Parallel()
	_, err := Parse("w", []byte(minimal+"[delivery.minimum]\npartner.example = \"dane\"\n"))
	if err == nil || !strings.Contains(err.Error(), "quotes") {
		t.Errorf("%v", err)
	}
}

func TestReportFrom(t *testing.T) {
	t.Parallel()
	for from, ok := range map[string]bool{
		"tls@mx.example.org": true, "tls@example.org": true, "tls@example.net": false, "A <tls@example.org>": false, "tls@[192.0.2.1]": false, "tls": false,
	} {
		_, err := Parse("w", []byte(minimal+"[tlsrpt]\nfrom = \""+from+"\"\n"))
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "w:6: tlsrpt.from") {
			t.Errorf("from %q: %v (RPT-9)", from, err)
		}
	}
}

// The files of quickstart --local are looked for where it makes them.
func TestLocalCA(t *testing.T) {
	t.Parallel()
	c, err := Parse("/w/waxwing.toml", []byte(minimal+"[tls]\nlocal_ca = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if cert, key, roots := c.TLSFiles(); cert != "/w/data/tls/host.crt" || key != "/w/data/tls/host.key" || roots != "/w/data/tls/ca.crt" {
		t.Errorf("files %s, %s, %s", cert, key, roots)
	}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), ":6: tls.local_ca") || !strings.Contains(err.Error(), "quickstart --local") {
		t.Errorf("check without them: %v", err)
	}
}

func TestListenerNeedsCertificate(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{MX, Metrics, Submission, Submissions, HTTPS} {
		text := strings.Replace(minimal, `"mx"`, `"`+string(kind)+`"`, 1)
		_, err := Parse("w", []byte(text))
		if bare := kind == MX || kind == Metrics; (err == nil) != bare || !bare && !strings.Contains(err.Error(), "w:4: listen[0].kind") {
			t.Errorf("%s without a certificate: %v", kind, err)
		}
		if _, err := Parse("w", []byte(text+"[tls]\nlocal_ca = true\n")); err != nil {
			t.Errorf("%s with a certificate: %v", kind, err)
		}
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	got := positions([]byte("a = '''\nx]\n''' # [no]\nb.c = {d = 1, \"e f\" = [[1], [2,\n3]]}\n[[t]]\nk = \"\\\"\"\n[t.u]\nv = 1\n[[t]]\nk=2\n[t.'q.r']\n"))
	want := map[string]place{
		"a": {1, 1}, "b.c": {4, 1}, "b.c.d": {4, 8}, "b.c.e f": {4, 15}, "b.c.e f[0]": {4, 25}, "b.c.e f[0][0]": {4, 25},
		"b.c.e f[1]": {4, 30}, "b.c.e f[1][0]": {4, 30}, "b.c.e f[1][1]": {5, 1},
		"t[0]": {6, 3}, "t[0].k": {7, 1}, "t[0].u": {8, 2}, "t[0].u.v": {9, 1}, "t[1]": {10, 3}, "t[1].k": {11, 1}, "t[1].q.r": {12, 2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("positions %v\nwant %v", got, want)
	}
}

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Describe(&b); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join("..", "..", "docs", "operating", "configuration.md")
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/operating/configuration.md is stale (%v): go test ./internal/config -update", err)
	}
	for _, s := range sections() {
		for _, k := range s.keys {
			if k.doc == "" || s.doc == "" {
				t.Errorf("%s has no documentation", join(s.path, k.name))
			}
			if k.required && k.example == "" {
				t.Errorf("%s is required and has no example", k.name)
			}
		}
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.0.0.1": "10.0.0.1/32", "2001:db8::/32": "2001:db8::/32", "2001:db8::1": "2001:db8::1/128", "::ffff:10.0.0.1": "10.0.0.1/32",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::/0": "::/0",
		"10.0.0.1/8": "", "10.0.0.0/33": "", "proxy.example.org": "", "fe80::1%eth0": "", "": "",
	} {
		c, err := Parse("w", []byte(minimal+fmt.Sprintf("proxy_from = [%q]\n", text)))
		if (err == nil) != (want != "") {
			t.Errorf("%q: %v", text, err)
		} else if err == nil && c.Listen[0].ProxyFrom[0].String() != want {
			t.Errorf("%q is read as %s", text, c.Listen[0].ProxyFrom[0])
		}
	}
}

func TestClientCerts(t *testing.T) {
	t.Parallel()
	const sum = "AA:bb:00112233445566778899aabbccddeeff00112233445566778899aabbccdd"
	for text, want := range map[string]string{
		"joe@example.org sha256:" + sum:        "",
		"joe@example.org  sha256:" + sum:       "",
		"joe@example.org " + sum:               "no fingerprint of 64 hexadecimal digits",
		"joe@example.org sha256:" + sum + "00": "no fingerprint",
		"joe@example.org sha256:xx":            "no fingerprint",
		"joe sha256:" + sum:                    "does not begin with a mail address",
		"sha256:" + sum:                        "does not begin with a mail address",
		"":                                     "does not begin with a mail address",
	} {
		base := "hostname = \"mx.example.org\"\n[tls]\ncert_file = \"a\"\nkey_file = \"b\"\n[[listen]]\naddress = \"127.0.0.1:587\"\nkind = \"submission\"\n"
		c, err := Parse("w", []byte(base+fmt.Sprintf("client_certs = [%q]\nclient_ca = \"ca.pem\"\n", text)))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":8: listen[0].client_certs[0]")) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			if pins, err := c.Listen[0].Pinned(); err != nil || len(pins) != 1 {
				t.Errorf("%q: %v, %v", text, pins, err)
			}
		}
	}
	for _, line := range []string{"client_ca = \"ca.pem\"", "client_certs = [\"joe@example.org sha256:" + sum + "\"]"} {
		if _, err := Parse("w", []byte(minimal+line+"\n")); err == nil || !strings.Contains(err.Error(), "nobody logs in on a listener of kind mx") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestExampleParses(t *testing.T) {
	t.Parallel()
	if _, err := Parse("waxwing.toml", []byte(Example())); err != nil {
		t.Errorf("the example: %v\n%s", err, Example())
	}
	// With every key switched on it says the same as without, but for the examples.
	all := regexp.MustCompile(`(?m)^#(\[\[|[a-z_]+ = )`).ReplaceAllString(Example(), "$1")
	all = regexp.MustCompile(`(?m)^(socket = ".*lmtp|socket_)`).ReplaceAllString(all, "#$1") // in place of an address
	c, err := Parse("waxwing.toml", []byte(all))
	if err != nil {
		t.Fatalf("the example with every key: %v\n%s", err, all)
	}
	if d := Default(); !reflect.DeepEqual(c.Limits, d.Limits) || !reflect.DeepEqual(c.Delivery.Retry, d.Delivery.Retry) || c.Resolver.Timeout != d.Resolver.Timeout {
		t.Errorf("the example's values are not the defaults: %+v", c)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "waxwing.toml")
	text := strings.Replace(minimal, "127.0.0.1", "192.0.2.77", 1) + "[tls]\ncert_file = 'none.pem'\nkey_file = 'none.key'\nroots_file = 'waxwing.toml'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Check()
	for _, want := range []string{":3: listen[0].address: this machine has no address 192.0.2.77", ":6: tls.cert_file", ":8: tls.roots_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	var all Errors
	if !errors.As(err, &all) || !slices.IsSortedFunc(all, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) }) {
		t.Errorf("not by line: %v", err)
	}
	if c, err = Parse(file, []byte(minimal)); err != nil || c.Check() != nil {
		t.Errorf("%v, %v", err, c.Check())
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Size{"0": 0, "5": 5, "64KiB": 65536, "50 MiB": 50 << 20, "10MB": 10e6, "3GB": 3e9, "7kB": 7000, "9B": 9} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("size %q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "B", "-1", "+1", "1.5MiB", "x", "9999999999GiB", "5 mb"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("size %q: %d", s, got)
		}
	}
	for s, want := range map[string]time.Duration{"5d": 120 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute, "90s": 90 * time.Second} {
		got, err := ParseDuration(s)
		if err != nil || got != want {
			t.Errorf("duration %q: %v, %v", s, got, err)
		}
		if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
			t.Errorf("duration %v is written %s", got, FormatDuration(got))
		}
	}
	for _, s := range []string{"", "5", "-5m", "d", "1.5d", "x"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("duration %q: %v", s, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(Example()))
	f.Add([]byte("a.b = {c = [1, '''x''']}\n[[d]]\ne = \"\\u00e9\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		positions(text)
		c, err := Parse("w", text)
		var errs Errors
		if err != nil && (!errors.As(err, &errs) || len(errs) == 0 || c != nil) {
			t.Fatalf("error %T %v", err, err)
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, e := range errs {
			if e.Line < 0 || e.Line > lines || e.Text == "" {
				t.Fatalf("fault %+v in a text of %d lines", e, lines)
			}
		}
	})
}

// TRA-5: who may send through the socket is told without doubt.
func TestSendmail(t *testing.T) {
	t.Parallel()
	base := "hostname = \"mx.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n[sendmail]\n"
	user := "[[sendmail.user]]\nuser = \"www-data\"\naccount = \"web\"\n"
	c, err := Parse("/etc/waxwing/waxwing.toml", []byte(base+"socket = \"s.sock\"\n"+user+"addresses = [\"www@example.org\"]\n"))
	if err != nil || c.Sendmail.Socket != "/etc/waxwing/s.sock" || len(c.Sendmail.User) != 1 || c.Sendmail.User[0].Addresses[0] != "www@example.org" {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []struct{ text, want string }{
		{"socket = \"/s\"\n", "nobody may send"},
		{"socket = \"/s\"\n" + user + user, "has a table already, in line"},
		{"socket = \"/s\"\n" + user + "addresses = [\"nobody\"]\n", "no mail address"},
		{"socket = \"/s\"\n[[sendmail.user]]\nuser = \"x\"\n", "account"},
	} {
		if _, err := Parse("waxwing.toml", []byte(base+bad.text)); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want %q", bad.text, err, bad.want)
		}
	}
}

// INB-14: a listener has an address, or a socket with its mode and owner, for LMTP alone.
func TestSocket(t *testing.T) {
	t.Parallel()
	const socket, lmtp = "socket = \"s\"\n", "kind = \"lmtp\"\n"
	for text, want := range map[string]string{
		socket + lmtp + "socket_mode = \"0600\"\nsocket_owner = \":mail\"": "",
		lmtp: "address: missing",
		socket + lmtp + "address = \"127.0.0.1:24\"":                "either address or socket",
		socket + "kind = \"mx\"":                                    `is for kind "lmtp"`,
		socket + lmtp + "socket_mode = \"rw\"":                      "is no mode of a socket",
		lmtp + "address = \"127.0.0.1:24\"\nsocket_mode = \"0600\"": "are of a socket",
		socket + lmtp + "[[listen]]\n" + socket + lmtp:              "is listened on already",
		socket + lmtp + "proxy_from = [\"10.0.0.0/8\"]":             "no load balancer",
	} {
		c, err := Parse("/etc/waxwing/w.toml", []byte("hostname = \"mx.example.org\"\n[[listen]]\n"+text+"\n"))
		switch {
		case want == "" && err == nil:
			if l := c.Listen[0]; l.Socket != "/etc/waxwing/s" || l.Where() != l.Socket || !slices.Contains(c.Sockets(), l.Socket) {
				t.Errorf("%+v", l)
			}
		case want == "" || err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
