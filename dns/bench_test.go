package dns_test

import (
	"strconv"
	"testing"

	"waxwing/dns"
	"waxwing/dns/dnstest"
)

// BenchmarkLookup asks a resolver on loopback for ever new names: what a lookup costs
// this side, and the server in the same process.
func BenchmarkLookup(b *testing.B) {
	s, err := dnstest.Start(dnstest.Zone{Name: "a.test", Security: dns.Secure, Records: []string{"* MX 10 mx"}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := &dns.Client{Servers: []dns.Server{{Addr: s.Addr(), Trusted: true}}, Cache: dns.NewCache(1000)}
	for i := 0; b.Loop(); i++ {
		a, err := c.LookupMX(b.Context(), dns.MustParse("n"+strconv.Itoa(i)+".a.test"))
		if err != nil {
			b.Fatal(a, err)
		}
	}
}
