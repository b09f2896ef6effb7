package route

import (
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	for s, want := range map[Scope]string{OfAccount: "account", OfDomain: "domain", OfServer: "server", OfServer + 1: "unknown"} {
		if s.String() != want {
			t.Errorf("%d: %s, want %s", s, s, want)
		}
	}
}

// A pattern is stored by its A-labels, so one that cannot be read back from them is refused.
func TestPatternWithoutWayBack(t *testing.T) {
	t.Parallel()
	const s = "aℵ.test"
	n, err := dns.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dns.ParseName(n.ASCII()); err == nil {
		t.Fatalf("%s can be read back, so it shows nothing here", n.ASCII())
	}
	if p, err := ParsePattern(s); err == nil {
		t.Errorf("%+v", p)
	}
}

// What a rule may have at most.
func TestRuleBorders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule Rule
		good bool
	}{
		{Rule{MinAttempts: 0}, true},
		{Rule{MinAttempts: 1000}, true},
		{Rule{MinAttempts: 1001}, false},
		{Rule{Need: needed(delivery.TLSOptional)}, true},
		{Rule{Need: needed(delivery.TLSOptional + 1)}, false},
	} {
		c.rule.Scope, c.rule.Transport = OfServer, "t"
		if err := c.rule.Check(); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.rule, err)
		}
	}
}

// A rule in words says what it asks for, and nothing of what it does not.
func TestRuleInWords(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Rule{
		"mail takes the transport t":                                   {Scope: OfServer},
		"mail of the account ann takes the transport t":                {Scope: OfAccount, Owner: "ann"},
		"mail from a.test takes the transport t":                       {Scope: OfDomain, Owner: "a.test"},
		"mail from a sender at bücher.example takes the transport t":   {Scope: OfServer, Sender: pat("bücher.example")},
		"mail to a.test or below takes the transport t":                {Scope: OfServer, Recipient: pat(".a.test")},
		"mail after 1 failed attempts takes the transport t":           {Scope: OfServer, MinAttempts: 1},
		"mail with the TLS need require-tls takes the transport t":     {Scope: OfServer, Need: needed(delivery.RequireTLS)},
		"mail from a sender at a.test to b.test takes the transport t": {Scope: OfServer, Sender: pat("a.test"), Recipient: pat("b.test")},
		"mail of the account bob after 2 failed attempts with the TLS need tls-optional takes the transport t": {
			Owner: "bob", MinAttempts: 2, Need: needed(delivery.TLSOptional)},
	} {
		r.Transport = "t"
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"az09-_.": true, "a": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "": false,
		"A": false, "Z": false, "a`": false, "a{": false, "a/": false, "a:": false, "a b": false, "ä": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
