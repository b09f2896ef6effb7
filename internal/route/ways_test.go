package route

import (
	"errors"
	"strings"
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
		got := w.Choose(Subject{Own: own, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}).Contact
		if got.String() != want {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
		read := delivery.ParseContact(got.String())
		if read != got || read.Domain != "" && read.Domain != "b.test" || read.Transport != own && (own != DirectName || read.Transport != "") {
			t.Errorf("%q: read as %+v", got, read)
		}
	}
	w.Rules = []Rule{{Scope: OfServer, MinAttempts: 2, Transport: "my-smarthost"}}
	for attempts, want := range map[int]string{0: "b.test", 1: "b.test", 2: "via:my-smarthost"} {
		if got := w.Choose(Subject{Attempts: attempts, Recipient: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}).Contact; got.String() != want {
			t.Errorf("after %d attempts %q, want %q", attempts, got, want)
		}
	}
}

// Which ways several contacts share.
func TestShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contact delivery.Contact
		text    string
		way     string
		shared  bool
	}{
		{delivery.Contact{Domain: "b.test"}, "b.test", "", false},
		{delivery.Contact{Transport: "isp"}, "via:isp", "", false}, // the way is the contact itself
		{delivery.Contact{Domain: "b.test", Transport: "proxy"}, "b.test via:proxy", "via:proxy", true},
		{delivery.Contact{}, "", "", false},
	} {
		if way, ok := c.contact.Shared(); way.String() != c.way || ok != c.shared || c.contact.String() != c.text {
			t.Errorf("%s: %q, %v, want %q, %v", c.contact, way, ok, c.way, c.shared)
		}
	}
}

// TLS reports go to the report relay, if there is one, whatever the rules; nothing else does.
func TestReports(t *testing.T) {
	t.Parallel()
	w := &Ways{Rules: []Rule{{Scope: OfServer, Transport: "isp"}}, Transports: map[string]Transport{"isp": {Kind: Smarthost}}}
	if CheckName(ReportsName) == nil {
		t.Error("an operator's transport could have the name")
	}
	for _, w.Reports = range []bool{false, true} {
		for p := delivery.Mail; p <= delivery.DMARCReport; p++ {
			for _, own := range []string{"", "isp"} {
				want := "isp"
				if w.Reports && p == delivery.TLSReport {
					want = ReportsName
				}
				got := w.Choose(Subject{Purpose: p, Own: own, Recipient: domain("b.test")})
				if got.Transport != want || got.Contact != (delivery.Contact{Transport: want}) || got.Why == "" {
					t.Errorf("%s: %+v, want %s", p, got, want)
				}
			}
		}
	}
}

// While a rule cannot be read nothing goes anywhere, and all stays in its lane.
func TestBadRule(t *testing.T) {
	t.Parallel()
	w := &Ways{Rules: []Rule{{Scope: OfServer, Transport: "isp"}}, Transports: map[string]Transport{"isp": {Kind: Smarthost}}, BadRule: errors.New("garbled")}
	for _, own := range []string{"", DirectName, "isp"} {
		if got := w.Choose(Subject{Own: own, Recipient: domain("b.test")}); got.Transport != "" || got.Contact.String() == "" || !strings.Contains(got.Why, "garbled") {
			t.Errorf("%q: %+v", own, got)
		}
	}
}
