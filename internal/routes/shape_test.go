package routes

import (
	"reflect"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
)

// TestRowOfRule: a rule is the same again when it is made of its row, and what a row has
// wrong is named.
func TestRowOfRule(t *testing.T) {
	t.Parallel()
	need := delivery.RequireTLS
	to, err := route.ParsePattern(".far.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []route.Rule{
		{Scope: route.OfServer, Transport: "isp"},
		{Scope: route.OfAccount, Owner: "joe", Recipient: to, Sender: route.Pattern{Domain: dns.MustParse("near.test")}, MinAttempts: 3, Need: &need, Transport: "isp"},
	} {
		if got, err := RowOf(&want).Rule(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for field, r := range map[string]Row{"scope": {Scope: "world"}, "to": {Scope: "server", To: "*.x"}, "from": {Scope: "server", From: "a b"}, "need": {Scope: "server", Need: "much"}} {
		if _, err := r.Rule(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestTestOfRoutes: what is said of a mail's way ends at the route that it takes; a mail
// with a transport of its own, or for a domain here, asks none.
func TestTestOfRoutes(t *testing.T) {
	t.Parallel()
	pattern, err := route.ParsePattern("far.test")
	if err != nil {
		t.Fatal(err)
	}
	domain, err := delivery.ParseRecipientDomain("other.test")
	if err != nil {
		t.Fatal(err)
	}
	table := &Table{Ways: route.Ways{Rules: []route.Rule{{ID: 1, Scope: route.OfServer, Recipient: pattern, Transport: "a"}, {ID: 2, Scope: route.OfServer, Transport: "b"}, {ID: 3, Scope: route.OfServer, Transport: "c"}},
		Transports: map[string]route.Transport{"b": {Name: "b"}}}}
	for name, tt := range map[string]struct {
		s         route.Subject
		hosted    bool
		transport string
		exists    bool
		lines     int
		last      string
	}{
		"the second":  {route.Subject{Recipient: domain}, false, "b", true, 3, "this one"},
		"hosted here": {route.Subject{Recipient: domain}, true, "local", false, 1, "hosted here"},
		"one's own":   {route.Subject{Recipient: domain, Own: "x"}, false, "x", false, 1, "transport x"},
	} {
		got := table.Test(tt.s, tt.hosted)
		var b strings.Builder
		got.Print(&b)
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if got.Transport != tt.transport || got.Exists != tt.exists || len(got.Routes) != 3 || len(lines) != tt.lines || !strings.Contains(lines[len(lines)-1], tt.last) {
			t.Errorf("%s: %+v\n%s", name, got, b.String())
		}
	}
}
