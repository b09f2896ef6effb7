package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

// TestParseName (DNS-1): one form for one name, and what is no name is refused.
func TestParseName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, ascii, unicode string }{
		{"Example.ORG", "example.org", "example.org"},
		{"example.org.", "example.org", "example.org"},
		{"bücher.example", "xn--bcher-kva.example", "bücher.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example", "bücher.example"},
		{"BÜCHER.example", "xn--bcher-kva.example", "bücher.example"},
	} {
		n, err := ParseName(tt.in)
		if err != nil || n.ASCII() != tt.ascii || n.Unicode() != tt.unicode {
			t.Errorf("ParseName(%q) = %q, %q, %v", tt.in, n.ASCII(), n.Unicode(), err)
		}
	}
	for _, in := range []string{
		"", ".", "..", "a..b", ".a", "192.0.2.1", "[192.0.2.1]", "a_b.test", "-a.test", "a-.test", "a b.test", "a\x00.test",
		strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 127) + "test", "xn--a.test", "test.1", "0\xea00.test", "b\xfccher.example",
	} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("ParseName(%q) = %q", in, n)
		}
	}
	if n, err := ParseLax("_25._tcp.MX_1.Example."); err != nil || n.ASCII() != "_25._tcp.mx_1.example" {
		t.Errorf("ParseLax: %q, %v", n, err)
	}
	if !MustParse("a.b.c").Under(MustParse("b.c")) || MustParse("ab.c").Under(MustParse("b.c")) || MustParse("a.b").Parent() != MustParse("b") {
		t.Error("Under or Parent is wrong")
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("bücher.example")
	f.Add("xn--bcher-kva.example.")
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (Name, error){ParseName, ParseLax} {
			n, err := parse(s)
			if err != nil {
				continue
			}
			again, err := ParseLax(n.ASCII())
			if err != nil || again != n || len(n.ASCII()) > 253 || strings.ToLower(n.ASCII()) != n.ASCII() {
				t.Errorf("%q became %q, which becomes %q, %v", s, n, again, err)
			}
			_ = n.Unicode()
		}
	})
}

func TestPrivateAddr(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3",
		"224.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "fec0::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "::127.0.0.1",
	} {
		if !PrivateAddr(netip.MustParseAddr(s)) {
			t.Errorf("%s counts as public", s)
		}
	}
	for _, s := range []string{"1.1.1.1", "192.0.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::", "::ffff:8.8.8.8"} {
		if PrivateAddr(netip.MustParseAddr(s)) {
			t.Errorf("%s counts as private", s)
		}
	}
	if !PrivateAddr(netip.Addr{}) {
		t.Error("no address counts as public")
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []Server
	}{
		{"loopback", "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nsearch example.org\n", []Server{{Addr: "127.0.0.53:53", Trusted: true}}},
		{"remote", "nameserver 9.9.9.9 ; comment\nnameserver ::1", []Server{{Addr: "9.9.9.9:53", Trusted: false}, {Addr: "[::1]:53", Trusted: true}}},
		{"trust-ad", "options ndots:2 trust-ad\nnameserver 9.9.9.9", []Server{{Addr: "9.9.9.9:53", Trusted: true}}},
		{"zone", "nameserver fe80::1%eth0", []Server{{Addr: "[fe80::1%eth0]:53", Trusted: false}}},
		{"empty", "search x\nnameserver", []Server{{Addr: "127.0.0.1:53", Trusted: true}}},
	} {
		got, err := parseResolvConf(strings.NewReader(tt.in))
		if err != nil || len(got) != len(tt.want) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: got %v, want %v", tt.name, got[i], tt.want[i])
			}
		}
	}
	if _, err := parseResolvConf(strings.NewReader("nameserver resolver.example")); err == nil {
		t.Error("a nameserver that is no address: no error")
	}
	if _, err := SystemServers("/nonexistent/resolv.conf"); err == nil {
		t.Error("no file: no error")
	}
}

func TestBogusCode(t *testing.T) {
	t.Parallel()
	for code := range uint16(50) {
		// DNS-4: 1, 2 and 5 to 12.
		want := strings.Contains(" 1 2 5 6 7 8 9 10 11 12 ", fmt.Sprintf(" %d ", code))
		if bogusCode(code) != want {
			t.Errorf("extended error %d: bogus %v", code, !want)
		}
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	if ttlOf(1<<31) != 0 || ttlOf(7).Seconds() != 7 {
		t.Error("RFC 2181 §8 is not kept")
	}
}

// FuzzReply: whatever a server sends gives an error or an answer.
func FuzzReply(f *testing.F) {
	q := question{MustParse("a.test"), wire.TypeA}
	m, err := q.message(flags{edns: true})
	if err != nil {
		f.Fatal(err)
	}
	seed := func(change func(*wire.Msg)) {
		r := new(wire.Msg).SetReply(m)
		change(r)
		b, err := r.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	rr := func(s string) wire.RR {
		r, err := wire.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		return r
	}
	seed(func(r *wire.Msg) {
		r.Answer = []wire.RR{rr("a.test. 5 IN CNAME b.test."), rr("b.test. 5 IN A 1.2.3.4")}
	})
	seed(func(r *wire.Msg) { r.Answer = []wire.RR{rr("a.test. 5 IN CNAME a.test.")} })
	seed(func(r *wire.Msg) { r.Answer = []wire.RR{rr("a.test. 5 IN MX 0 .")}; r.Question[0].Qtype = wire.TypeMX })
	seed(func(r *wire.Msg) {
		r.Answer = []wire.RR{rr(`a.test. 5 IN TXT "\\\"\200"`)}
		r.Question[0].Qtype = wire.TypeTXT
	})
	seed(func(r *wire.Msg) {
		r.Answer = []wire.RR{rr("a.test. 5 IN TLSA 3 1 1 00")}
		r.Question[0].Qtype = wire.TypeTLSA
	})
	seed(func(r *wire.Msg) { r.Rcode = wire.RcodeServerFailure; r.SetEdns0(1232, false) })
	seed(func(r *wire.Msg) { r.Truncated = true })
	types := []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeMX, wire.TypeTXT, wire.TypeCNAME, wire.TypePTR, wire.TypeSRV, wire.TypeTLSA, wire.TypeCAA}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, qtype := range types {
			q := question{q.name, qtype}
			sent, err := q.message(flags{edns: true})
			if err != nil {
				t.Fatal(err)
			}
			c := append([]byte(nil), b...)
			if len(c) > 2 {
				c[0], c[1] = byte(sent.Id>>8), byte(sent.Id)
				c[2] |= 0x80
			}
			got, err := accept(sent, c)
			if err != nil || got == nil {
				continue
			}
			r, fail := interpret(got, q, true)
			if (r == nil) == (fail == nil) {
				t.Fatalf("reply %v and error %v", r, fail)
			}
			if fail != nil {
				_ = fail.Error()
				continue
			}
			if r.security == Secure && !got.AuthenticatedData || r.ttl < 0 || len(r.chain) > maxChain {
				t.Fatalf("reply %+v", r)
			}
			for _, rr := range r.records {
				addrOf(rr)
				mxOf(rr)
				txtOf(rr)
				targetOf(rr)
				srvOf(rr)
				tlsaOf(rr)
			}
		}
	})
}
