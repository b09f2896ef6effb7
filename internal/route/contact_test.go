package route

import (
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// QUE-3: what is paced and closed is what is connected to.
func TestContact(t *testing.T) {
	t.Parallel()
	w := &Ways{Transports: map[string]Transport{}}
	for _, k := range Kinds() {
		w.Transports["my-"+string(k)] = Transport{Name: "my-" + string(k), Kind: k}
	}
	for own, want := range map[string]string{
		"": "b.test", DirectName: "b.test", LocalName: "b.test via:local",
		"my-direct": "b.test via:my-direct", "my-socks5": "b.test via:my-socks5", "my-local": "b.test via:my-local",
		"my-smarthost": "via:my-smarthost", "my-submission": "via:my-submission", "my-fail": "via:my-fail",
		"missing": "via:missing",
	} {
		got := w.Contact(Subject{Own: own, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}})
		if got != want {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
		domain, transport := ParseContact(got)
		if domain != "" && domain != "b.test" || transport != own && (own != DirectName || transport != "") {
			t.Errorf("%q: read as %q, %q", got, domain, transport)
		}
	}
	w.Rules = []Rule{{Scope: OfServer, MinAttempts: 2, Transport: "my-smarthost"}}
	for attempts, want := range map[int]string{0: "b.test", 1: "b.test", 2: "via:my-smarthost"} {
		if got := w.Contact(Subject{Attempts: attempts, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}); got != want {
			t.Errorf("after %d attempts %q, want %q", attempts, got, want)
		}
	}
}

// Who is contacted where a message was given no transport, and in which ways several
// contacts share.
func TestWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contact, way string
		shared       bool
	}{
		{Contact("b.test", "", ""), "", false},
		{"b.test", "", false},
		{Contact("b.test", "isp", Smarthost), "", false}, // the way is the contact itself
		{Contact("b.test", "proxy", SOCKS5), "via:proxy", true},
		{Contact("b.test", "v4", Direct), "via:v4", true},
	} {
		if way, ok := Way(c.contact); way != c.way || ok != c.shared {
			t.Errorf("%s: %q, %v, want %q, %v", c.contact, way, ok, c.way, c.shared)
		}
	}
	if got := Contact("b.test", "", ""); got != "b.test" {
		t.Errorf("without a transport %q", got)
	}
}
