package destination

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
)

const digest = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// internet is the DNS of these tests.
func internet(t *testing.T) *dnstest.Server {
	t.Helper()
	s := dnstest.Serve(t,
		dnstest.Zone{Name: "secure.test", Security: dns.Secure, Records: []string{
			"@ MX 20 mx2", "@ MX 10 mx1", "mx1 A 127.0.0.2", "mx1 AAAA ::1", "mx2 A 127.0.0.3",
			"_25._tcp.mx1 TLSA 3 1 1 " + digest, "_25._tcp.mx2 TLSA 1 1 1 " + digest,
			"nomx A 127.0.0.4", "_25._tcp.nomx TLSA 2 0 1 " + digest,
			// Aliases of hosts (DANE-3).
			"viaalias MX 10 good", "viaalias MX 20 orig", "viaalias MX 30 out",
			"good CNAME mx1", "orig CNAME plain", "plain A 127.0.0.5", "_25._tcp.orig TLSA 3 1 1 " + digest,
			"out CNAME a.insecure.test.", "_25._tcp.out TLSA 3 1 1 " + digest,
			"tlsaalias MX 1 ta", "ta A 127.0.0.6", "_25._tcp.ta CNAME _dane", "_dane TLSA 3 1 1 " + digest,
			"tlsaout MX 1 to", "to A 127.0.0.6", "_25._tcp.to CNAME _dane.insecure.test.",
			"failing MX 1 f1", "failing MX 2 f2", "f1 A 127.0.0.7", "f2 A 127.0.0.8",
			"domainalias CNAME insecure.test.", "signedalias CNAME secure.test.",
			"nomxalias CNAME nomx", "nomxout CNAME a.insecure.test.", "_25._tcp.nomxout TLSA 3 1 1 " + digest,
			"tobogus MX 1 a.bogus.test.",
		}},
		dnstest.Zone{Name: "insecure.test", Security: dns.Insecure, Records: []string{
			"@ MX 10 mx", "mx A 127.0.0.9", "a A 127.0.0.10", "_dane TLSA 3 1 1 " + digest,
			"null MX 0 .", "nullplus MX 0 .", "nullplus MX 10 mx", "odd MX 1 10.0.0.1.", "part MX 1 10.0.0.1.", "part MX 10 mx",
			"noaddr MX 1 gone", "noaddr MX 2 empty", "empty TXT x", "onemissing MX 1 gone", "onemissing MX 2 mx",
			"tempaddr MX 1 gone", "tempaddr MX 2 sick", "sick A 127.0.0.1", "none TXT x",
			"loop CNAME loop2", "loop2 CNAME loop", "secured MX 1 mx1.secure.test.", "gone2 CNAME nowhere",
			"double MX 10 mx", "double MX 20 mx", "private MX 1 priv", "priv A 10.0.0.1",
		}},
		dnstest.Zone{Name: "bogus.test", Security: dns.Bogus, Records: []string{"@ MX 1 a", "a A 127.0.0.1"}},
	)
	s.Fail(dnstest.Failure{Name: "_25._tcp.f1.secure.test", EDE: 23})
	s.Fail(dnstest.Failure{Name: "sick.insecure.test"})
	return s
}

func finder(t *testing.T, s *dnstest.Server) *Finder {
	return &Finder{DNS: dnstest.Client(t, s), AllowPrivate: true, Shuffle: func(int, func(i, j int)) {}}
}

func domain(t testing.TB, s string) delivery.RecipientDomain {
	t.Helper()
	d, err := delivery.ParseRecipientDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// show is a destination in one line.
func show(d delivery.Destination) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mx=%v", d.MXSecure)
	if d.Fail != nil {
		fmt.Fprintf(&b, " FAIL %s %s %v", d.Fail.Word, d.Fail.Enhanced, d.Fail.Permanent)
	}
	for _, h := range d.Hosts {
		fmt.Fprintf(&b, " | %d %s", h.Preference, h.Name)
		for _, a := range h.Addrs {
			fmt.Fprintf(&b, " %s", a)
		}
		if h.Fail != nil {
			fmt.Fprintf(&b, " (%s)", h.Fail.Word)
		}
		if h.DANE.State != delivery.DANENone {
			fmt.Fprintf(&b, " %s:%s refs=%v", h.DANE.State, h.DANE.Base, h.DANE.References)
		}
		if h.DANE.Fail != nil {
			fmt.Fprintf(&b, " (%s)", h.DANE.Fail.Word)
		}
	}
	return b.String()
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := internet(t)
	f := finder(t, s)
	for _, tt := range []struct{ rule, domain, want string }{
		{"DANE-3, DANE-4, DANE-5", "secure.test", "mx=true" +
			" | 10 mx1.secure.test ::1 127.0.0.2 usable:mx1.secure.test refs=[mx1.secure.test secure.test]" +
			" | 20 mx2.secure.test 127.0.0.3 unusable:mx2.secure.test refs=[mx2.secure.test secure.test] (tlsa-unusable)"},
		{"DST-1 no MX", "nomx.secure.test", "mx=true | 0 nomx.secure.test 127.0.0.4 usable:nomx.secure.test refs=[nomx.secure.test]"},
		{"DANE-3 no MX, alias", "nomxalias.secure.test", "mx=true | 0 nomxalias.secure.test 127.0.0.4 usable:nomx.secure.test refs=[nomx.secure.test nomxalias.secure.test]"},
		{"DANE-3 no MX, insecure alias", "nomxout.secure.test", "mx=true | 0 nomxout.secure.test 127.0.0.10 usable:nomxout.secure.test refs=[nomxout.secure.test]"},
		{"DANE-3 aliases", "viaalias.secure.test", "mx=true" +
			" | 10 good.secure.test ::1 127.0.0.2 usable:mx1.secure.test refs=[mx1.secure.test viaalias.secure.test]" +
			" | 20 orig.secure.test 127.0.0.5 usable:orig.secure.test refs=[orig.secure.test viaalias.secure.test]" +
			" | 30 out.secure.test 127.0.0.10 usable:out.secure.test refs=[out.secure.test viaalias.secure.test]"},
		{"DANE-3 alias of TLSA", "tlsaalias.secure.test", "mx=true | 1 ta.secure.test 127.0.0.6 usable:ta.secure.test refs=[ta.secure.test tlsaalias.secure.test]"},
		{"DANE-4 insecure TLSA", "tlsaout.secure.test", "mx=true | 1 to.secure.test 127.0.0.6"},
		{"DANE-4 lookup error", "failing.secure.test", "mx=true" +
			" | 1 f1.secure.test 127.0.0.7 failed:f1.secure.test refs=[f1.secure.test failing.secure.test] (dns-servfail) | 2 f2.secure.test 127.0.0.8"},
		{"DANE-6", "secured.insecure.test", "mx=false | 1 mx1.secure.test ::1 127.0.0.2"},
		{"DANE-6 alias", "domainalias.secure.test", "mx=false | 10 mx.insecure.test 127.0.0.9"},
		{"DANE-5 expansion", "signedalias.secure.test", "mx=true" +
			" | 10 mx1.secure.test ::1 127.0.0.2 usable:mx1.secure.test refs=[mx1.secure.test signedalias.secure.test secure.test]" +
			" | 20 mx2.secure.test 127.0.0.3 unusable:mx2.secure.test refs=[mx2.secure.test signedalias.secure.test secure.test] (tlsa-unusable)"},
		{"DST-1 null", "null.insecure.test", "mx=false FAIL null-mx 5.1.10 true"},
		{"RFC 7505 §3", "nullplus.insecure.test", "mx=false | 10 mx.insecure.test 127.0.0.9"},
		{"DST-1 NXDOMAIN", "nowhere.secure.test", "mx=false FAIL no-such-domain 5.1.2 true"},
		{"DST-1 alias to nothing", "gone2.insecure.test", "mx=false FAIL no-such-domain 5.1.2 true"},
		{"DST-1 all broken", "odd.insecure.test", "mx=false FAIL mx-unusable 5.4.4 true"},
		{"DST-1 partly broken", "part.insecure.test", "mx=false | 10 mx.insecure.test 127.0.0.9"},
		{"DST-1 SERVFAIL", "sick.insecure.test", "mx=false FAIL dns-servfail 4.4.3 false"},
		{"DST-1 loop", "loop.insecure.test", "mx=false FAIL dns-servfail 4.4.3 false"},
		{"DST-1 bogus", "bogus.test", "mx=false FAIL dns-bogus 4.4.3 false"},
		{"RFC 7672 §2.1.2", "tobogus.secure.test", "mx=true FAIL dns-bogus 4.4.3 false"},
		{"DST-4 no address", "noaddr.insecure.test", "mx=false FAIL no-address 5.4.4 true"},
		{"DST-4 no MX, no address", "none.insecure.test", "mx=false FAIL no-address 5.4.4 true"},
		{"DST-4 temporary", "tempaddr.insecure.test", "mx=false FAIL dns-servfail 4.4.3 false"},
		{"DST-1 one missing", "onemissing.insecure.test", "mx=false | 1 gone.insecure.test (no-such-host) | 2 mx.insecure.test 127.0.0.9"},
		{"a host named twice", "double.insecure.test", "mx=false | 10 mx.insecure.test 127.0.0.9"},
		{"DST-1 literal", "[127.0.0.1]", "mx=false | 0  127.0.0.1"},
	} {
		t.Run(tt.domain, func(t *testing.T) {
			t.Parallel()
			got := f.Find(t.Context(), domain(t, tt.domain))
			if show(got) != tt.want {
				t.Errorf("%s\n got %s\nwant %s\n%v", tt.rule, show(got), tt.want, got.Lookups)
			}
			if (got.Fail == nil) != (len(got.Hosts) > 0) {
				t.Errorf("%d hosts with failure %v", len(got.Hosts), got.Fail)
			}
		})
	}
}

// TestPort: the TLSA name is that of the port mail goes to (RFC 7672 §2.2.3).
func TestPort(t *testing.T) {
	t.Parallel()
	s := internet(t)
	f := finder(t, s)
	f.Port = 587
	f.Find(t.Context(), domain(t, "secure.test"))
	var asked []string
	for _, q := range s.Questions() {
		asked = append(asked, q.String())
	}
	if !slices.Contains(asked, "TLSA _587._tcp.mx1.secure.test") || slices.Contains(asked, "TLSA _25._tcp.mx1.secure.test") {
		t.Errorf("asked %v", asked)
	}
}

// TestInsecureAsksNoTLSA: servers of unsigned zones often fail TLSA questions
// (RFC 7672 §2.2.2).
func TestInsecureAsksNoTLSA(t *testing.T) {
	t.Parallel()
	s := internet(t)
	for _, d := range []string{"insecure.test", "secured.insecure.test", "domainalias.secure.test"} {
		finder(t, s).Find(t.Context(), domain(t, d))
	}
	for _, q := range s.Questions() {
		if q.Type == "TLSA" {
			t.Errorf("asked %v", q)
		}
	}
}

// TestUntrusted: with a resolver that is not trusted nothing is Secure, and
// mail goes without DANE.
func TestUntrusted(t *testing.T) {
	t.Parallel()
	f := finder(t, internet(t))
	c := f.DNS.(*dns.Client)
	c.Servers[0].Trusted = false
	got := show(f.Find(t.Context(), domain(t, "secure.test")))
	if got != "mx=false | 10 mx1.secure.test ::1 127.0.0.2 | 20 mx2.secure.test 127.0.0.3" {
		t.Error(got)
	}
}

// TestIndeterminate: a Secure MX whose host's state is not known is not used (DANE-4).
func TestIndeterminate(t *testing.T) {
	t.Parallel()
	mx := dns.Answer[dns.MX]{Security: dns.Secure, Records: []dns.MX{{Pref: 1, Host: dns.MustParse("mx.test")}}}
	a := dns.Answer[netip.Addr]{Security: dns.Secure, Records: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	replies := map[string]any{"MX a.test": mx, "A mx.test": a, "AAAA mx.test": dns.Answer[netip.Addr]{Security: dns.Secure}}
	find := func() delivery.DANE {
		f := &Finder{DNS: &dnstest.Resolver{T: t, Replies: replies}, AllowPrivate: true}
		return f.Find(t.Context(), domain(t, "a.test")).Hosts[0].DANE
	}
	replies["TLSA _25._tcp.mx.test"] = dns.Answer[dns.TLSA]{Security: dns.Indeterminate}
	if d := find(); d.State != delivery.DANEFailed || d.Fail.Word != "dns-indeterminate" {
		t.Errorf("TLSA: %+v", d)
	}
	a.Security = dns.Indeterminate
	replies["A mx.test"] = a
	delete(replies, "TLSA _25._tcp.mx.test")
	if d := find(); d.State != delivery.DANEFailed || d.Fail.Word != "dns-indeterminate" {
		t.Errorf("address: %+v", d)
	}
	// The alias of an insecure host cannot be looked up.
	a.Security, a.Chain = dns.Insecure, []dns.Name{dns.MustParse("other.test")}
	replies["A mx.test"] = a
	replies["CNAME mx.test"] = &dns.Error{RCode: "SERVFAIL"}
	if d := find(); d.State != delivery.DANEFailed || d.Fail.Word != "dns-servfail" {
		t.Errorf("alias: %+v", d)
	}
	replies["CNAME mx.test"] = dns.Answer[dns.Name]{Security: dns.Insecure, Records: a.Chain}
	if d := find(); d.State != delivery.DANENone {
		t.Errorf("insecure alias: %+v", d)
	}
}

// TestOneFamilyFails: the other family's addresses count.
func TestOneFamilyFails(t *testing.T) {
	t.Parallel()
	s := internet(t)
	s.Fail(dnstest.Failure{Name: "mx1.secure.test", Type: "AAAA"})
	got := show(finder(t, s).Find(t.Context(), domain(t, "secure.test")))
	if !strings.Contains(got, "| 10 mx1.secure.test 127.0.0.2 usable:mx1.secure.test") {
		t.Error(got)
	}
}

// TestSelf covers DST-4.
func TestSelf(t *testing.T) {
	t.Parallel()
	s := internet(t)
	for _, tt := range []struct {
		name, self, domain, want string
	}{
		{"by name", "mx2.secure.test", "secure.test", " | 10 mx1.secure.test"},
		{"by address", "127.0.0.3", "secure.test", " | 10 mx1.secure.test"},
		{"the best", "127.0.0.2", "secure.test", " FAIL mx-self 5.4.6 true"},
		{"the best by name", "mx1.secure.test", "secure.test", " FAIL mx-self 5.4.6 true"},
		{"without MX", "127.0.0.4", "nomx.secure.test", " FAIL mx-self 5.4.6 true"},
		{"literal", "127.0.0.4", "[127.0.0.4]", " FAIL mx-self 5.4.6 true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := finder(t, s)
			f.Self = func(name dns.Name, addrs []netip.Addr) bool {
				if addrs == nil {
					return name.ASCII() == tt.self
				}
				return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.String() == tt.self })
			}
			got := f.Find(t.Context(), domain(t, tt.domain))
			if s := show(got); !strings.Contains(s, tt.want) || len(got.Hosts) > 1 {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

// TestPrivate covers the address rule of DST-4.
func TestPrivate(t *testing.T) {
	t.Parallel()
	f := finder(t, internet(t))
	f.AllowPrivate = false
	for _, d := range []string{"private.insecure.test", "insecure.test", "[127.0.0.1]", "[IPv6:::1]", "[IPv6:::ffff:10.0.0.1]"} {
		got := f.Find(t.Context(), domain(t, d))
		if got.Fail == nil || got.Fail.Word != "address-refused" || !got.Fail.Permanent {
			t.Errorf("%s: %s", d, show(got))
		}
	}
}

// TestOrder covers DST-2 and the order of DST-4, whatever the set of hosts.
func TestOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var cs []candidate
		for range rapid.IntRange(1, 30).Draw(t, "n") {
			cs = append(cs, candidate{
				dns.MustParse(fmt.Sprintf("h%d.test", rapid.IntRange(0, 20).Draw(t, "host"))),
				uint16(rapid.IntRange(0, 5).Draw(t, "pref")),
			})
		}
		us := dns.MustParse(fmt.Sprintf("h%d.test", rapid.IntRange(0, 25).Draw(t, "us")))
		self := func(n dns.Name, _ []netip.Addr) bool { return n == us }
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		out, fail := order(cs, limit, self, func(n int, swap func(i, j int)) {
			for i := n - 1; i > 0; i-- {
				swap(i, rapid.IntRange(0, i).Draw(t, "swap"))
			}
		})
		ours := 1 << 16
		for _, c := range cs {
			if c.name == us {
				ours = min(ours, int(c.pref))
			}
		}
		best := map[dns.Name]int{}
		for _, c := range cs {
			if p, ok := best[c.name]; !ok || int(c.pref) < p {
				best[c.name] = int(c.pref)
			}
		}
		want := 0
		for _, p := range best {
			if p < ours {
				want++
			}
		}
		if len(out) != min(want, limit) || (fail != nil) != (want == 0) {
			t.Fatalf("%d hosts, %v; want %d", len(out), fail, min(want, limit))
		}
		for i, c := range out {
			if int(c.pref) != best[c.name] || int(c.pref) >= ours || i > 0 && c.pref < out[i-1].pref {
				t.Fatalf("order %v of %v, we are %s", out, cs, us)
			}
		}
	})
}

// TestShuffle: equal preference is shuffled (RFC 5321 §5.1).
func TestShuffle(t *testing.T) {
	t.Parallel()
	cs := []candidate{{dns.MustParse("a.test"), 1}, {dns.MustParse("b.test"), 1}}
	f := new(Finder)
	first := map[dns.Name]bool{}
	for range 200 {
		out, _ := order(cs, 10, f.isSelf, f.shuffle)
		first[out[0].name] = true
	}
	if len(first) != 2 {
		t.Errorf("only %v came first in 200 times", first)
	}
}
