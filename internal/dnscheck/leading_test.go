package dnscheck_test

import (
	"fmt"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/dnscheck"
)

// TestLeading (CLI-1): a certificate is asked for the names that lead to the host, and for no
// others; what was found stays while DNS does not answer, and is looked at again after a while.
func TestLeading(t *testing.T) {
	t.Parallel()
	now := time.Now()
	server := dnstest.Serve(t, dnstest.Zone{Name: "example.org", Security: dns.Secure, Records: []string{
		"mx 300 IN A 192.0.2.25", "mx 300 IN AAAA 2001:db8::25", "autoconfig 300 IN CNAME mx", "autodiscover 300 IN A 192.0.2.99", "six 300 IN AAAA 2001:db8::25"}})
	client := dnstest.Client(t, server)
	client.Cache = nil
	l := &dnscheck.Leading{DNS: client, Host: dns.MustParse("mx.example.org"), Now: func() time.Time { return now }}
	names := []dns.Name{dns.MustParse("autoconfig.example.org"), dns.MustParse("autodiscover.example.org"), dns.MustParse("six.example.org"), dns.MustParse("none.example.org")}
	check := func(what, want string) {
		t.Helper()
		if got := fmt.Sprint(l.Of(t.Context(), names)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("at first", "[autoconfig.example.org six.example.org]")
	server.Remove("six.example.org.", "AAAA")
	if err := server.Add("example.org", "none 300 IN A 192.0.2.25"); err != nil {
		t.Fatal(err)
	}
	check("soon after", "[autoconfig.example.org six.example.org]")
	now = now.Add(11 * time.Second)
	check("later", "[autoconfig.example.org none.example.org]")
	server.Fail(dnstest.Failure{Name: "autoconfig.example.org", Type: "A"})
	server.Fail(dnstest.Failure{Name: "autoconfig.example.org", Type: "AAAA"})
	now = now.Add(11 * time.Minute)
	check("where a name is not answered for", "[autoconfig.example.org none.example.org]")
	for _, q := range []string{"A", "AAAA"} {
		server.Fail(dnstest.Failure{Name: "mx.example.org", Type: q})
	}
	now = now.Add(11 * time.Minute)
	names = names[1:]
	check("where the host is not", "[none.example.org]")
}
