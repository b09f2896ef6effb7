package route

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// good is one transport of each kind, with everything that the kind can have.
func good() map[string]Transport {
	host, _ := ParseHost("smtp.isp.test")
	addr, _ := ParseHost("192.0.2.25")
	return map[string]Transport{
		"direct":          {Name: "v4", Kind: Direct, Family: OnlyIPv4, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, EHLO: name("out.test")},
		"direct-both":     {Name: "src", Kind: Direct, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
		"smarthost":       {Name: "isp", Kind: Smarthost, Host: host},
		"smarthost-plain": {Name: "inside", Kind: Smarthost, Host: addr, Security: SecurityAny},
		"submission":      {Name: "sub", Kind: Submission, Host: host, User: "u", Password: "p", Mechanisms: []string{"PLAIN"}},
		"submission-465":  {Name: "sub-tls", Kind: Submission, Host: host, Port: 465, Security: SecurityDANE, User: "u", Password: "p"},
		"submission-tls":  {Name: "sub-odd", Kind: Submission, Host: host, Port: 4650, Implicit: true, Security: SecurityTLS, User: "u", Password: "p"},
		"socks5":          {Name: "proxy", Kind: SOCKS5, Proxy: "[2001:db8::9]:1080", ProxyUser: "u", ProxyPassword: "p", EHLO: name("exit.test"), Public: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
		"fail":            {Name: "no", Kind: Fail, Code: 550, Enhanced: smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, Text: "not from here"},
		"lmtp":            {Name: "boxes-there", Kind: LMTP, Host: addr, Port: 24, Security: SecurityAny},
		"lmtp-socket":     {Name: "dovecot", Kind: LMTP, Host: Host{Socket: "/run/dovecot/lmtp"}},
		"local":           {Name: "boxes", Kind: Local},
	}
}

func TestGoodTransports(t *testing.T) {
	t.Parallel()
	for what, tr := range good() {
		if err := tr.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		b, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		var back Transport
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		back.Password, back.ProxyPassword = tr.Password, tr.ProxyPassword
		if !back.Equal(&tr) {
			t.Errorf("%s: %+v came back as %+v", what, tr, back)
		}
	}
}

// What does not belong to a kind, or makes a transport unsafe, is refused.
func TestBadTransports(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, of, text string
		spoil          func(*Transport)
	}{
		{"name", "direct", "1 to 64", func(t *Transport) { t.Name = "A b" }},
		{"long name", "direct", "1 to 64", func(t *Transport) { t.Name = strings.Repeat("x", 65) }},
		{"kind", "direct", "unknown kind", func(t *Transport) { t.Kind = "carrier-pigeon" }},
		{"family", "direct", "unknown address family", func(t *Transport) { t.Family = "ipx" }},
		{"source of another family", "direct", "not of the family", func(t *Transport) { t.Sources = []netip.Addr{netip.MustParseAddr("2001:db8::1")} }},
		{"two sources of one family", "direct", "at most one IPv4", func(t *Transport) { t.Sources = append(t.Sources, netip.MustParseAddr("192.0.2.2")) }},
		{"unspecified source", "direct", "no address to connect from", func(t *Transport) { t.Sources = []netip.Addr{netip.IPv4Unspecified()} }},
		{"direct with a host", "direct", "belong to the kinds smarthost", func(t *Transport) { t.Host.Name = name("x.test") }},
		{"direct with a proxy", "direct", "belong to the kind socks5", func(t *Transport) { t.Proxy = "x:1" }},
		{"direct with a code", "direct", "belong to the kind fail", func(t *Transport) { t.Code = 550 }},
		{"smarthost without host", "smarthost", "needs a host", func(t *Transport) { t.Host = Host{} }},
		{"implicit TLS on 25", "smarthost", "belongs to the kind submission", func(t *Transport) { t.Implicit = true }},
		{"security", "smarthost", "unknown security", func(t *Transport) { t.Security = "some" }},
		{"TRA-3: an address cannot be verified", "smarthost-plain", "no name that its certificate", func(t *Transport) { t.Security = "" }},
		{"submission in plaintext", "submission", "always uses TLS", func(t *Transport) { t.Security, t.Mechanisms = SecurityAny, nil }},
		{"user without password", "submission", "belong together", func(t *Transport) { t.Password = "" }},
		{"password without user", "submission", "belong together", func(t *Transport) { t.User, t.Mechanisms = "", nil }},
		{"mechanisms without user", "submission", "need a user", func(t *Transport) { t.User, t.Password = "", "" }},
		{"unknown mechanism", "submission", "unknown mechanism", func(t *Transport) { t.Mechanisms = []string{"GUESS"} }},
		{"TRA-2: PLAIN to an unverified host", "submission", "needs a verified host", func(t *Transport) { t.Security = SecurityTLS }},
		{"control character in password", "submission", "no control characters", func(t *Transport) { t.Password = "a\r\nb" }},
		{"socks5 without EHLO", "socks5", "EHLO name of its own", func(t *Transport) { t.EHLO = name("") }},
		{"socks5 with source", "socks5", "neither address family nor source", func(t *Transport) { t.Sources = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }},
		{"proxy without port", "socks5", "host:port", func(t *Transport) { t.Proxy = "proxy.test" }},
		{"proxy port too large", "socks5", "host:port", func(t *Transport) { t.Proxy = "proxy.test:65536" }},
		{"proxy with an empty host", "socks5", "host:port", func(t *Transport) { t.Proxy = ":1080" }},
		{"fail with 250", "fail", "must be 400", func(t *Transport) { t.Code, t.Enhanced = 250, smtp.Enhanced{} }},
		{"fail with a wrong class", "fail", "does not go with", func(t *Transport) { t.Code = 450 }},
		{"fail without text", "fail", "needs a text", func(t *Transport) { t.Text = "" }},
		{"fail with two lines", "fail", "needs a text", func(t *Transport) { t.Text = "a\nb" }},
		{"fail with EHLO", "fail", "greets nobody", func(t *Transport) { t.EHLO = name("x.test") }},
	} {
		tr := good()[c.of]
		c.spoil(&tr)
		if err := tr.Check(); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want something of %q", c.what, err, c.text)
		}
	}
}

// What belongs to other kinds is refused one by one.
func TestFieldsOfOtherKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of, text string
		spoil    []func(*Transport)
	}{
		{"direct", "belong to the kinds smarthost", []func(*Transport){
			func(t *Transport) { t.Host.Addr = netip.MustParseAddr("192.0.2.1") }, func(t *Transport) { t.Port = 25 }, func(t *Transport) { t.Implicit = true },
			func(t *Transport) { t.Security = SecurityTLS }, func(t *Transport) { t.User = "u" }, func(t *Transport) { t.Password = "p" },
			func(t *Transport) { t.Mechanisms = []string{"PLAIN"} }}},
		{"smarthost", "belong to the kind socks5", []func(*Transport){
			func(t *Transport) { t.ProxyUser = "u" }, func(t *Transport) { t.ProxyPassword = "p" },
			func(t *Transport) { t.Public = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }}},
		{"smarthost", "belong to the kind fail", []func(*Transport){
			func(t *Transport) { t.Text = "x" }, func(t *Transport) { t.Enhanced = smtp.Enhanced{Class: 5} }}},
		{"socks5", "neither address family nor source", []func(*Transport){func(t *Transport) { t.Family = OnlyIPv4 }}},
		{"local", "greets nobody", []func(*Transport){func(t *Transport) { t.EHLO = name("x.test") }}},
	} {
		for i, spoil := range c.spoil {
			tr := good()[c.of]
			spoil(&tr)
			if err := tr.Check(); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s, %d: %v, want something of %q", c.of, i, err, c.text)
			}
		}
	}
}

// Where what a transport may hold begins and ends; text "" is what passes.
func TestBorders(t *testing.T) {
	t.Parallel()
	v6, _ := ParseHost("2001:db8::25")
	for _, c := range []struct {
		what, of, text string
		change         func(*Transport)
	}{
		{"no source at all", "direct", "no address to connect from", func(t *Transport) { t.Family, t.Sources = "", []netip.Addr{{}} }},
		{"multicast source", "direct", "no address to connect from", func(t *Transport) { t.Sources = []netip.Addr{netip.MustParseAddr("224.0.0.1")} }},
		{"two IPv6 sources", "direct-both", "at most one IPv4", func(t *Transport) { t.Sources[0] = netip.MustParseAddr("2001:db8::2") }},
		{"LMTP on 25", "lmtp", "not spoken on port 25", func(t *Transport) { t.Port = 25 }},
		{"LMTP on 26", "lmtp", "", func(t *Transport) { t.Port = 26 }},
		{"SMTP on 25", "smarthost", "", func(t *Transport) { t.Port = 25 }},
		{"LMTP with a user", "lmtp", "nobody logs in by LMTP", func(t *Transport) { t.User, t.Password = "u", "p" }},
		{"SMTP to a socket", "smarthost", "belongs to the kind lmtp", func(t *Transport) { t.Host = Host{Socket: "/run/x"} }},
		{"a socket with the longest path", "lmtp-socket", "", func(t *Transport) { t.Host.Socket = "/" + strings.Repeat("x", maxSocket-1) }},
		{"a socket with a longer path", "lmtp-socket", "the path of a socket", func(t *Transport) { t.Host.Socket = "/" + strings.Repeat("x", maxSocket) }},
		{"a socket with a line end", "lmtp-socket", "the path of a socket", func(t *Transport) { t.Host.Socket = "/run/\n" }},
		{"a socket with a port", "lmtp-socket", "a socket of this machine has neither", func(t *Transport) { t.Port = 24 }},
		{"a socket with security", "lmtp-socket", "a socket of this machine has neither", func(t *Transport) { t.Security = SecurityAny }},
		{"a socket with a family", "lmtp-socket", "a socket of this machine has neither", func(t *Transport) { t.Family = OnlyIPv4 }},
		{"a socket with a source", "lmtp-socket", "a socket of this machine has neither", func(t *Transport) { t.Sources = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }},
		{"smarthost on 26", "smarthost", "", func(t *Transport) { t.Port = 26 }},
		{"smarthost on 465", "smarthost", "belongs to the kind submission", func(t *Transport) { t.Port = 465 }},
		{"IPv4 host over IPv4", "smarthost-plain", "", func(t *Transport) { t.Family = OnlyIPv4 }},
		{"IPv4 host over IPv6", "smarthost-plain", "not of the family", func(t *Transport) { t.Family = OnlyIPv6 }},
		{"IPv6 host over IPv6", "smarthost-plain", "", func(t *Transport) { t.Host, t.Family = v6, OnlyIPv6 }},
		{"IPv6 host over IPv4", "smarthost-plain", "not of the family", func(t *Transport) { t.Host, t.Family = v6, OnlyIPv4 }},
		{"IPv6 host over both", "smarthost-plain", "", func(t *Transport) { t.Host = v6 }},
		{"named host over IPv4", "smarthost", "", func(t *Transport) { t.Family = OnlyIPv4 }},
		{"named host over IPv6", "smarthost", "", func(t *Transport) { t.Family = OnlyIPv6 }},
		{"submission to an address", "submission-tls", "", func(t *Transport) { t.Host = v6 }},
		{"submission to an address with DANE", "submission-465", "no name that its certificate", func(t *Transport) { t.Host = v6 }},
		{"smarthost that may be in plaintext", "smarthost", "", func(t *Transport) { t.Security = SecurityAny }},
		{"TRA-2: LOGIN to a verified host", "submission", "", func(t *Transport) { t.Mechanisms = []string{"LOGIN"} }},
		{"TRA-2: LOGIN to an unverified host", "submission-tls", "needs a verified host", func(t *Transport) { t.Mechanisms = []string{"LOGIN"} }},
		{"TRA-2: SCRAM to an unverified host", "submission-tls", "", func(t *Transport) { t.Mechanisms = []string{"SCRAM-SHA-256"} }},
		{"user of 500 octets", "submission", "", func(t *Transport) { t.User = strings.Repeat("u", 500) }},
		{"user of 501 octets", "submission", "at most 500 octets", func(t *Transport) { t.User = strings.Repeat("u", 501) }},
		{"password of 501 octets", "submission", "at most 500 octets", func(t *Transport) { t.Password = Secret(strings.Repeat("p", 501)) }},
		{"blank in a password", "submission", "", func(t *Transport) { t.Password = "a b~" }},
		{"US in a password", "submission", "no control characters", func(t *Transport) { t.Password = "a\x1f" }},
		{"DEL in a user", "submission", "no control characters", func(t *Transport) { t.User = "a\x7f" }},
		{"proxy's user without password", "socks5", "proxy's user and password belong together", func(t *Transport) { t.ProxyPassword = "" }},
		{"proxy's password without user", "socks5", "proxy's user and password belong together", func(t *Transport) { t.ProxyUser = "" }},
		{"proxy without user", "socks5", "", func(t *Transport) { t.ProxyUser, t.ProxyPassword = "", "" }},
		// RFC 1929 §2: one octet says how long each is.
		{"proxy's user of 255 octets", "socks5", "", func(t *Transport) { t.ProxyUser = strings.Repeat("u", 255) }},
		{"proxy's user of 256 octets", "socks5", "at most 255 octets", func(t *Transport) { t.ProxyUser = strings.Repeat("u", 256) }},
		{"proxy's password of 255 octets", "socks5", "", func(t *Transport) { t.ProxyPassword = Secret(strings.Repeat("p", 255)) }},
		{"proxy's password of 256 octets", "socks5", "at most 255 octets", func(t *Transport) { t.ProxyPassword = Secret(strings.Repeat("p", 256)) }},
		{"fail with 399", "fail", "must be 400", func(t *Transport) { t.Code, t.Enhanced = 399, smtp.Enhanced{} }},
		{"fail with 400", "fail", "", func(t *Transport) { t.Code, t.Enhanced = 400, smtp.Enhanced{} }},
		{"fail with 599", "fail", "", func(t *Transport) { t.Code, t.Enhanced = 599, smtp.Enhanced{} }},
		{"fail with 600", "fail", "must be 400", func(t *Transport) { t.Code, t.Enhanced = 600, smtp.Enhanced{} }},
		{"fail with 500 octets", "fail", "", func(t *Transport) { t.Text = strings.Repeat("x", 500) }},
		{"fail with 501 octets", "fail", "needs a text", func(t *Transport) { t.Text = strings.Repeat("x", 501) }},
	} {
		tr := good()[c.of]
		c.change(&tr)
		err := tr.Check()
		if c.text == "" && err != nil || c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v, want something of %q", c.what, err, c.text)
		}
	}
}

func TestProxyAddress(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"p:1": true, "proxy.test:1080": true, "proxy.test:65535": true, "192.0.2.1:1080": true, "[::1]:1080": true, strings.Repeat("x", 255) + ":1": true,
		"": false, ":": false, ":1080": false, "1080": false, "proxy.test": false, "proxy.test:": false, "proxy.test:0": false, "proxy.test:65536": false,
		"proxy.test:99999999999999999999": false, "proxy.test:+1": false, "proxy.test:1x": false, "::1:1080": false, "[::1:1080": false, "[]:1080": false,
		"socks5://proxy.test:1080": false, "a b:1080": false, strings.Repeat("x", 256) + ":1": false,
	} {
		if got := hostAndPort(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Smtp.Isp.test": "smtp.isp.test", "192.0.2.1": "192.0.2.1", "[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1",
		"fe80::1%eth0": "", "": "", "a b": "",
	} {
		h, err := ParseHost(s)
		if (err == nil) != (want != "") || h.String() != want || h.IsZero() != (want == "") || h.Addr.IsValid() && !h.Name.IsZero() {
			t.Errorf("%q: %+v, %v, want %q", s, h, err, want)
		}
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	for s, four := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8::1": false} {
		a := netip.MustParseAddr(s)
		if !BothFamilies.Allows(a) || OnlyIPv4.Allows(a) != four || OnlyIPv6.Allows(a) == four {
			t.Errorf("%s: %v %v %v", a, BothFamilies.Allows(a), OnlyIPv4.Allows(a), OnlyIPv6.Allows(a))
		}
	}
}

// A secret shows in no way that logs or listings use.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	tr := good()["submission"]
	tr.Password, tr.ProxyPassword = "hunter2", "hunter2"
	b, _ := json.Marshal(tr)
	c, _ := json.Marshal(map[string]Secret{"x": tr.Password})
	for _, s := range []string{fmt.Sprint(tr), fmt.Sprintf("%v %+v %#v %s %q", tr, tr, tr, tr.Password, tr.Password), string(b), string(c)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("the password shows in %s", s)
		}
	}
	if Secret("").String() != "" {
		t.Error("no secret looks like one")
	}
}

func TestPortsAndMinimums(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]struct {
		port     uint16
		implicit bool
		minimum  delivery.Minimum
	}{
		"smarthost": {25, false, delivery.MinVerified}, "smarthost-plain": {25, false, delivery.MinAny}, "submission": {587, false, delivery.MinVerified},
		"submission-465": {465, true, delivery.MinDANE}, "submission-tls": {4650, true, delivery.MinTLS},
	} {
		tr := good()[what]
		if tr.PortNumber() != want.port || tr.ImplicitTLS() != want.implicit || tr.Security.Minimum() != want.minimum || !tr.Relays() {
			t.Errorf("%s: %d %v %v", what, tr.PortNumber(), tr.ImplicitTLS(), tr.Security.Minimum())
		}
	}
	// RFC 8314 §7.3: 465 is the port of TLS from the start, of submission alone.
	implicit := Transport{Kind: Submission, Implicit: true}
	if implicit.PortNumber() != 465 || !implicit.ImplicitTLS() {
		t.Errorf("%d, %v", implicit.PortNumber(), implicit.ImplicitTLS())
	}
	for _, tr := range []Transport{{Kind: Smarthost, Port: 465}, {Kind: Direct, Implicit: true}} {
		if tr.ImplicitTLS() {
			t.Errorf("%+v", tr)
		}
	}
	if direct := (&Transport{Kind: Direct, Implicit: true}); direct.PortNumber() != 25 || direct.Relays() {
		t.Errorf("direct delivery: %d, %v", direct.PortNumber(), direct.Relays())
	}
}

// Equal sees every field: each change of one makes two transports differ.
func TestEqual(t *testing.T) {
	t.Parallel()
	for i, change := range []func(*Transport){
		func(t *Transport) { t.Name = "z" }, func(t *Transport) { t.Kind = Local }, func(t *Transport) { t.EHLO = name("z.test") },
		func(t *Transport) { t.Family = OnlyIPv6 }, func(t *Transport) { t.Sources = []netip.Addr{{}} }, func(t *Transport) { t.Host.Name = name("z.test") },
		func(t *Transport) { t.Port = 1 }, func(t *Transport) { t.Implicit = true }, func(t *Transport) { t.Security = SecurityAny },
		func(t *Transport) { t.User = "z" }, func(t *Transport) { t.Password = "z" }, func(t *Transport) { t.Mechanisms = []string{"z"} },
		func(t *Transport) { t.Proxy = "z" }, func(t *Transport) { t.ProxyUser = "z" }, func(t *Transport) { t.ProxyPassword = "z" },
		func(t *Transport) { t.Public = []netip.Addr{{}} }, func(t *Transport) { t.Code = 1 }, func(t *Transport) { t.Enhanced.Class = 1 },
		func(t *Transport) { t.Text = "z" },
	} {
		a := good()["smarthost"]
		b := a
		if !a.Equal(&b) {
			t.Fatal("a transport does not equal itself")
		}
		change(&b)
		if a.Equal(&b) {
			t.Errorf("change %d is not seen", i)
		}
	}
}

// RFC 8314 §3: a submission service is never used without TLS, whatever its security.
func TestFloor(t *testing.T) {
	t.Parallel()
	for _, sec := range []Security{SecurityVerified, SecurityDANE, SecurityTLS, SecurityAny} {
		for _, k := range []Kind{Smarthost, Submission} {
			want := sec.Minimum()
			if k == Submission && sec == SecurityAny {
				want = delivery.MinTLS
			}
			if got := (&Transport{Kind: k, Security: sec}).Floor(); got != want {
				t.Errorf("%s, %s: %s", k, sec, got)
			}
		}
	}
}
