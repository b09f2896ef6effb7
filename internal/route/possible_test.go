package route

import (
	"slices"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// Which transports mail of a domain may take: those of every rule that could match, and
// the direct one unless a rule takes all that is left (DNS-C2).
func TestPossible(t *testing.T) {
	t.Parallel()
	need := delivery.RequireTLS
	org, net := dns.MustParse("example.org"), dns.MustParse("example.net")
	of := func(scope Scope, owner, transport string, position int64) Rule {
		return Rule{Scope: scope, Owner: owner, Transport: transport, Position: position}
	}
	with := func(r Rule, f func(*Rule)) Rule { f(&r); return r }
	for name, tt := range map[string]struct {
		rules []Rule
		want  []string
	}{
		"no rule":                  {nil, []string{DirectName}},
		"another domain's rule":    {[]Rule{of(OfDomain, "example.net", "a", 0)}, []string{DirectName}},
		"the domain's rule":        {[]Rule{of(OfDomain, "example.org", "a", 0)}, []string{"a"}},
		"an account's rule":        {[]Rule{of(OfAccount, "joe", "a", 0)}, []string{"a", DirectName}},
		"all mail":                 {[]Rule{of(OfServer, "", "b", 1), of(OfServer, "", "a", 0)}, []string{"a"}},
		"some recipients":          {[]Rule{with(of(OfServer, "", "a", 0), func(r *Rule) { r.Recipient.Domain = net })}, []string{"a", DirectName}},
		"some senders":             {[]Rule{with(of(OfServer, "", "a", 0), func(r *Rule) { r.Sender.Domain = net })}, []string{DirectName}},
		"these senders":            {[]Rule{with(of(OfServer, "", "a", 0), func(r *Rule) { r.Sender.Domain = org })}, []string{"a"}},
		"after failures":           {[]Rule{with(of(OfServer, "", "a", 0), func(r *Rule) { r.MinAttempts = 1 })}, []string{"a", DirectName}},
		"with a need":              {[]Rule{with(of(OfServer, "", "a", 0), func(r *Rule) { r.Need = &need })}, []string{"a", DirectName}},
		"the same transport twice": {[]Rule{of(OfAccount, "joe", "a", 0), of(OfAccount, "jim", "a", 0)}, []string{"a", DirectName}},
	} {
		w := Ways{Rules: tt.rules}
		if got := w.Possible(org); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
