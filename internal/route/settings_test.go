package route

import (
	"net/netip"
	"testing"

	"waxwing/dns"
	"waxwing/smtp"
)

// TestSettings: what a transport has is said, what it has not is left out, and no secret is.
func TestSettings(t *testing.T) {
	t.Parallel()
	enhanced, err := smtp.ParseEnhanced("5.7.1")
	if err != nil {
		t.Fatal(err)
	}
	host, err := ParseHost("smtp.isp.test")
	if err != nil {
		t.Fatal(err)
	}
	for want, tr := range map[string]Transport{
		"": {Name: "direct", Kind: Direct},
		"smtp.isp.test:587, security verified, as me, by PLAIN,LOGIN": {Kind: Submission, Host: host, User: "me", Password: "secret", Mechanisms: []string{"PLAIN", "LOGIN"}},
		"smtp.isp.test:465, security verified, TLS from the start":    {Kind: Submission, Host: host, Port: 465},
		"through 127.0.0.1:1080, as proxied, EHLO mail.test, only ipv6, from 192.0.2.1 2001:db8::1, public 192.0.2.7": {Kind: SOCKS5, Proxy: "127.0.0.1:1080", ProxyUser: "proxied",
			ProxyPassword: "secret", EHLO: dns.MustParse("mail.test"), Family: OnlyIPv6, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, Public: []netip.Addr{netip.MustParseAddr("192.0.2.7")}},
		"550, 5.7.1, no": {Kind: Fail, Code: 550, Enhanced: enhanced, Text: "no"},
	} {
		if got := tr.Settings(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestParseScope: each word is its scope, and no other word is one.
func TestParseScope(t *testing.T) {
	t.Parallel()
	for _, s := range []Scope{OfAccount, OfDomain, OfServer} {
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	if _, err := ParseScope("world"); err == nil {
		t.Error("world is a scope")
	}
}
