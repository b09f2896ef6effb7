package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/dnstest"
)

func serve(t *testing.T) *dnstest.Server {
	t.Helper()
	var big []string
	for i := range 120 {
		big = append(big, fmt.Sprintf("big IN A 127.1.0.%d", i+1))
	}
	return dnstest.Serve(t,
		dnstest.Zone{Name: "secure.test", Security: dns.Secure, Records: append(big,
			"@ 60 IN MX 10 mx", "@ IN MX 20 mx2.insecure.test.", "mx IN A 127.0.0.2", "mx IN AAAA ::2",
			"alias 30 IN CNAME mx", "out IN CNAME mx2.insecure.test.", "tobogus IN CNAME a.bogus.test.",
			"loop IN CNAME loop2", "loop2 IN CNAME loop", "null IN MX 0 .", "odd IN MX 5 1.2.3.4.",
			`txt IN TXT "v=STSv1; " "id=1;" `, `quoted IN TXT "a\"b\\c\200"`,
			"_25._tcp.mx IN TLSA 3 1 1 000102", "_x._tcp IN SRV 1 2 25 mx", "@ IN NS ns.secure.test.",
			`@ IN CAA 0 IssueWild ";"`, `@ IN CAA 128 tbs "a\"b"`,
			"under.deep IN A 127.0.0.9"), PerName: map[string]dns.Security{"half.secure.test/TLSA": dns.Bogus}},
		dnstest.Zone{Name: "insecure.test", Security: dns.Insecure, Records: []string{"@ IN MX 10 mx", "mx IN A 127.0.0.3", "mx2 IN A 127.0.0.4"}},
		dnstest.Zone{Name: "bogus.test", Security: dns.Bogus, Records: []string{"a IN A 127.0.0.5"}},
		dnstest.Zone{Name: "mute.test", Security: dns.Bogus, NoEDE: true, Records: []string{"a IN A 127.0.0.5"}},
		dnstest.Zone{Name: "127.in-addr.arpa", Security: dns.Insecure, Records: []string{"2.0.0 IN PTR mx.secure.test."}},
	)
}

func names(ss ...string) []dns.Name {
	var out []dns.Name
	for _, s := range ss {
		out = append(out, dns.MustParse(s))
	}
	return out
}

// TestAnswers covers DNS-2 and DNS-3.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := dnstest.Client(t, s)
	for _, tt := range []struct {
		name     string
		records  string
		chain    []dns.Name
		nxdomain bool
		security dns.Security
		ttl      time.Duration
	}{
		{"mx.secure.test", "[127.0.0.2]", nil, false, dns.Secure, 300 * time.Second},
		{"mx.insecure.test", "[127.0.0.3]", nil, false, dns.Insecure, 300 * time.Second},
		{"alias.secure.test", "[127.0.0.2]", names("mx.secure.test"), false, dns.Secure, 30 * time.Second},
		{"out.secure.test", "[127.0.0.4]", names("mx2.insecure.test"), false, dns.Insecure, 300 * time.Second},
		{"none.secure.test", "[]", nil, true, dns.Secure, 300 * time.Second},
		{"secure.test", "[]", nil, false, dns.Secure, 300 * time.Second},
		{"deep.secure.test", "[]", nil, false, dns.Secure, 300 * time.Second},
		{"none.insecure.test", "[]", nil, true, dns.Insecure, 300 * time.Second},
		{"elsewhere.example", "[]", nil, true, dns.Insecure, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, err := c.LookupA(t.Context(), dns.MustParse(tt.name))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(a.Records); got != tt.records || a.NXDomain != tt.nxdomain || a.Security != tt.security || a.TTL != tt.ttl ||
				fmt.Sprint(a.Chain) != fmt.Sprint(tt.chain) {
				t.Errorf("got %+v, want %+v", a, tt)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	c := dnstest.Client(t, serve(t))
	ctx := t.Context()
	check := func(got any, err error, want string) {
		t.Helper()
		if s := fmt.Sprint(got); err != nil || s != want {
			t.Errorf("got %s, %v; want %s", s, err, want)
		}
	}
	aaaa, err := c.LookupAAAA(ctx, dns.MustParse("mx.secure.test"))
	check(aaaa.Records, err, "[::2]")
	mx, err := c.LookupMX(ctx, dns.MustParse("secure.test"))
	check(mx.Records, err, "[{10 mx.secure.test false} {20 mx2.insecure.test false}]")
	mx, err = c.LookupMX(ctx, dns.MustParse("null.secure.test"))
	check(mx.Records, err, "[{0  true}]")
	// DST-1: that the record exists must be seen even if its host is no name.
	mx, err = c.LookupMX(ctx, dns.MustParse("odd.secure.test"))
	check(mx.Records, err, "[{5  false}]")
	txt, err := c.LookupTXT(ctx, dns.MustParse("txt.secure.test"))
	check(txt.Records, err, "[v=STSv1; id=1;]")
	txt, err = c.LookupTXT(ctx, dns.MustParse("quoted.secure.test"))
	check(txt.Records, err, "[a\"b\\c\xc8]")
	cname, err := c.LookupCNAME(ctx, dns.MustParse("out.secure.test"))
	check(fmt.Sprint(cname.Records, cname.Security, cname.Chain), err, "[mx2.insecure.test] secure []")
	tlsa, err := c.LookupTLSA(ctx, dns.MustParse("_25._tcp.mx.secure.test"))
	check(tlsa.Records, err, "[3 1 1 000102]")
	srv, err := c.LookupSRV(ctx, dns.MustParse("_x._tcp.secure.test"))
	check(srv.Records, err, "[{1 2 25 mx.secure.test}]")
	caa, err := c.LookupCAA(ctx, dns.MustParse("secure.test"))
	check(caa.Records, err, `[0 issuewild ";" 128 tbs "a\"b"]`)
	ns, err := c.LookupNS(ctx, dns.MustParse("secure.test"))
	check(ns.Records, err, "[ns.secure.test]")
	ptr, err := c.LookupPTR(ctx, netip.MustParseAddr("::ffff:127.0.0.2"))
	check(ptr.Records, err, "[mx.secure.test]")
	if _, err := c.LookupPTR(ctx, netip.Addr{}); err == nil {
		t.Error("PTR of no address: no error")
	}
	if _, err := c.LookupA(ctx, dns.Name{}); err == nil {
		t.Error("A of no name: no error")
	}
}

// TestErrors covers DNS-4.
func TestErrors(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Fail(dnstest.Failure{Name: "ede23.secure.test", EDE: 23})
	s.Fail(dnstest.Failure{Name: "plain.secure.test"})
	s.Fail(dnstest.Failure{Name: "refused.secure.test", RCode: "REFUSED"})
	s.Fail(dnstest.Failure{Name: "drop.secure.test", Drop: true})
	s.Fail(dnstest.Failure{Name: "mx.insecure.test", Type: "AAAA", EDE: 9})
	c := dnstest.Client(t, s)
	c.Timeout = 100 * time.Millisecond
	for _, tt := range []struct {
		name, word string
	}{
		{"a.bogus.test", "dns-bogus"},
		{"none.bogus.test", "dns-bogus"},
		{"a.mute.test", "dns-bogus"}, // no extended error, but data with CD
		{"tobogus.secure.test", "dns-bogus"},
		{"ede23.secure.test", "dns-servfail"},
		{"plain.secure.test", "dns-servfail"}, // SERVFAIL even with CD
		{"refused.secure.test", "dns-refused"},
		{"drop.secure.test", "dns-timeout"},
		{"loop.secure.test", "dns-servfail"},
	} {
		a, err := c.LookupA(t.Context(), dns.MustParse(tt.name))
		e, ok := errors.AsType[*dns.Error](err)
		if !ok || string(e.Word()) != tt.word || len(a.Records) > 0 || a.Security == dns.Secure {
			t.Errorf("%s: got %v, %v, want %s", tt.name, a, err, tt.word)
		}
	}
	_, err := c.LookupAAAA(t.Context(), dns.MustParse("mx.insecure.test"))
	if e, ok := errors.AsType[*dns.Error](err); !ok || e.Security != dns.Bogus || len(e.EDE) != 1 || e.EDE[0].Code != 9 {
		t.Errorf("extended error 9: got %v", err)
	}
	if _, err := c.LookupA(t.Context(), dns.MustParse("mx.insecure.test")); err != nil {
		t.Errorf("a failure of one type alone: %v", err)
	}
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a, err := dnstest.Client(t, s).LookupA(t.Context(), dns.MustParse("big.secure.test"))
	if err != nil || len(a.Records) != 120 || a.Security != dns.Secure {
		t.Fatalf("got %d records, %v, %v", len(a.Records), a.Security, err)
	}
	q := s.Questions()
	if len(q) != 2 || q[0].TCP || !q[1].TCP {
		t.Errorf("asked %+v, want UDP, then TCP", q)
	}
}

// TestTrust covers DNS-3: the AD bit of a resolver that is not trusted is nothing.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := dnstest.Client(t, s)
	c.Servers[0].Trusted = false
	a, err := c.LookupA(t.Context(), dns.MustParse("mx.secure.test"))
	if err != nil || a.Security != dns.Indeterminate {
		t.Errorf("got %v, %v, want indeterminate", a, err)
	}
	if _, err = c.LookupA(t.Context(), dns.MustParse("a.bogus.test")); err == nil {
		t.Error("a bogus name of an untrusted resolver gave an answer")
	}
}

// TestServers: the next server is asked where one is silent, but never an
// untrusted one beside a trusted one.
func TestServers(t *testing.T) {
	t.Parallel()
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	s := serve(t)
	c := &dns.Client{Timeout: 50 * time.Millisecond, Attempts: 1, Servers: []dns.Server{
		{Addr: dead.LocalAddr().String(), Trusted: true}, {Addr: s.Addr(), Trusted: true}}}
	a, err := c.LookupA(t.Context(), dns.MustParse("mx.secure.test"))
	if err != nil || a.Security != dns.Secure {
		t.Errorf("got %v, %v", a, err)
	}
	begin := time.Now()
	c.Timeout = 5 * time.Second
	if _, err = c.LookupA(t.Context(), dns.MustParse("mx.secure.test")); err != nil || time.Since(begin) > 4*time.Second {
		t.Errorf("the silent server was asked first again: %v", err)
	}
	c = &dns.Client{Timeout: 50 * time.Millisecond, Attempts: 1, Servers: []dns.Server{
		{Addr: dead.LocalAddr().String(), Trusted: true}, {Addr: s.Addr()}}}
	if a, err = c.LookupA(t.Context(), dns.MustParse("mx.secure.test")); err == nil {
		t.Errorf("an untrusted server answered in place of a trusted one: %v", a)
	}
	if _, err = new(dns.Client).LookupA(t.Context(), dns.MustParse("mx.secure.test")); err == nil {
		t.Error("no server: no error")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Fail(dnstest.Failure{Name: "drop.secure.test", Drop: true})
	c := dnstest.Client(t, s)
	c.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := c.LookupA(ctx, dns.MustParse("drop.secure.test"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.Total = 50 * time.Millisecond
	_, err = c.LookupA(t.Context(), dns.MustParse("drop.secure.test"))
	if e, ok := errors.AsType[*dns.Error](err); !ok || !e.Timeout {
		t.Errorf("got %v, want a timeout", err)
	}
}

// TestCache covers DNS-5.
func TestCache(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := dnstest.Client(t, s)
	c.Cache = dns.NewCache(3)
	now := time.Unix(1_800_000_000, 0)
	c.Now = func() time.Time { return now }
	ask := func(name string, questions int) dns.Answer[netip.Addr] {
		t.Helper()
		s.ResetQuestions()
		a, err := c.LookupA(t.Context(), dns.MustParse(name))
		if err != nil || len(s.Questions()) != questions {
			t.Errorf("%s: asked %v, %v, want %d questions", name, s.Questions(), err, questions)
		}
		return a
	}
	ask("alias.secure.test", 1)
	now = now.Add(20 * time.Second)
	a := ask("alias.secure.test", 0)
	if a.Security != dns.Secure || a.TTL != 10*time.Second || len(a.Chain) != 1 {
		t.Errorf("cached: %+v", a)
	}
	a.Records[0] = netip.Addr{}
	if b := ask("alias.secure.test", 0); !b.Records[0].IsValid() {
		t.Error("the caller's records are the cache's")
	}
	now = now.Add(10 * time.Second)
	ask("alias.secure.test", 1)
	ask("none.secure.test", 1) // RFC 2308: kept with its SOA
	if a = ask("none.secure.test", 0); !a.NXDomain {
		t.Errorf("cached NXDOMAIN: %+v", a)
	}
	ask("elsewhere.example", 1)
	ask("elsewhere.example", 1) // no SOA: not kept
	ask("mx.insecure.test", 1)
	s.SetSecurity("mx.insecure.test", "", dns.Secure)
	if a = ask("mx.insecure.test", 0); a.Security != dns.Insecure {
		t.Error("the cache turned Insecure into Secure")
	}
	ask("mx.secure.test", 1)
	ask("big.secure.test", 2)
	if c.Cache.Len() > 3 {
		t.Errorf("the cache holds %d answers", c.Cache.Len())
	}
	ask("alias.secure.test", 1)
	c.Cache.Flush()
	ask("alias.secure.test", 1)
}

// TestSelfTest covers DNS-6.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if err := s.Add("secure.test", "@ IN DNSKEY 257 3 8 AwEAAag="); err != nil {
		t.Fatal(err)
	}
	n := dns.SelfTestNames{Signed: dns.MustParse("mx.secure.test"), Bogus: dns.MustParse("a.bogus.test"), Large: dns.MustParse("secure.test")}
	c := dnstest.Client(t, s)
	c.Cache = dns.NewCache(0)
	security := func() dns.Security {
		t.Helper()
		a, err := c.LookupA(t.Context(), dns.MustParse("mx.secure.test"))
		if err != nil {
			t.Fatal(err)
		}
		return a.Security
	}
	if r := c.SelfTest(t.Context(), n); !r.DANE() {
		t.Fatalf("good resolver: %v", r)
	}
	if security() != dns.Secure {
		t.Error("good resolver: not secure")
	}
	// Without validation, data comes for the bogus name: trust is lost, also
	// in what the cache holds.
	s.Validate(false)
	if r := c.SelfTest(t.Context(), n); r.DANE() || !r.Servers[0].Distrusted {
		t.Errorf("resolver without validation: %v", r)
	}
	s.Validate(true)
	if got := security(); got != dns.Indeterminate {
		t.Errorf("distrusted resolver: %v", got)
	}
	if r := c.SelfTest(t.Context(), n); !r.DANE() {
		t.Errorf("mended resolver: %v", r)
	}
	c.Cache.Flush()
	// DNS-9: only the TXT record of a name is bogus, its address is served.
	byType := n
	byType.Bogus = dns.MustParse("txtonly.secure.test")
	if err := s.Add("secure.test", "txtonly IN A 192.0.2.1", "txtonly IN TXT bad"); err != nil {
		t.Fatal(err)
	}
	s.Fail(dnstest.Failure{Name: "txtonly.secure.test", Type: "TXT", RCode: "SERVFAIL"})
	if r := c.SelfTest(t.Context(), byType); !r.DANE() {
		t.Errorf("bogus by its TXT record alone: %v", r)
	}
	// A type that is not answered takes nothing from what another proves.
	s.Fail(dnstest.Failure{Name: "txtonly.secure.test", Type: "MX", Drop: true})
	c.Cache.Flush()
	if r := c.SelfTest(t.Context(), byType); !r.DANE() {
		t.Errorf("bogus by its TXT record, and MX is not answered: %v", r)
	}
	// Blocking the names changes nothing but the words.
	s.Fail(dnstest.Failure{Name: "a.bogus.test", RCode: "NXDOMAIN"})
	s.Fail(dnstest.Failure{Name: "mx.secure.test", Type: "TXT", RCode: "NXDOMAIN"})
	r := c.SelfTest(t.Context(), n)
	if r.DANE() || r.Servers[0].Distrusted || !strings.Contains(r.Servers[0].String(), "blocked") {
		t.Errorf("blocked name: %v", r)
	}
	if security() != dns.Secure {
		t.Error("a blocked test name switched DANE off")
	}
}

// TestIncompleteAlias: a server gives the alias alone (RFC 7672 §2.1.3).
func TestIncompleteAlias(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Intercept(func(_, r *wire.Msg) *wire.Msg {
		if len(r.Answer) > 1 {
			r.Answer = r.Answer[:1]
			r.AuthenticatedData = true
		}
		return r
	})
	c := dnstest.Client(t, s)
	a, err := c.LookupA(t.Context(), dns.MustParse("alias.secure.test"))
	if err != nil || len(a.Records) != 1 || a.Security != dns.Secure || a.TTL != 30*time.Second || len(a.Chain) != 1 {
		t.Errorf("secure alias: %+v, %v", a, err)
	}
	a, err = c.LookupA(t.Context(), dns.MustParse("out.secure.test"))
	if err != nil || len(a.Records) != 1 || a.Security != dns.Insecure {
		t.Errorf("secure alias to an insecure name: %+v, %v", a, err)
	}
}

// TestPipe: the same client over net.Pipe.
func TestPipe(t *testing.T) {
	t.Parallel()
	var big []string
	for i := range 120 {
		big = append(big, fmt.Sprintf("@ IN A 127.1.0.%d", i+1))
	}
	s, err := dnstest.New(dnstest.Zone{Name: "big.test", Security: dns.Secure, Records: big})
	if err != nil {
		t.Fatal(err)
	}
	a, err := dnstest.Client(t, s).LookupA(t.Context(), dns.MustParse("big.test"))
	if err != nil || len(a.Records) != 120 {
		t.Errorf("got %d records, %v", len(a.Records), err)
	}
}

// TestForgery: replies to other questions are passed over (RFC 5452 §9.1).
func TestForgery(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		b := make([]byte, 4096)
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(wire.Msg)
		if q.Unpack(b[:n]) != nil {
			return
		}
		for _, change := range []func(*wire.Msg){
			func(m *wire.Msg) { m.Id++ },
			func(m *wire.Msg) { m.Question[0].Name = "other.test." },
			func(m *wire.Msg) { m.Response = false },
			func(m *wire.Msg) { m.Question = nil },
			func(m *wire.Msg) {
				rr, _ := wire.NewRR("a.test. 5 IN A 127.0.0.1")
				m.Answer = []wire.RR{rr}
			},
		} {
			r := new(wire.Msg).SetReply(q)
			change(r)
			if p, err := r.Pack(); err == nil {
				_, _ = pc.WriteTo(p, from)
			}
		}
	}()
	c := &dns.Client{Servers: []dns.Server{{Addr: pc.LocalAddr().String()}}, Timeout: 5 * time.Second, Attempts: 1}
	a, err := c.LookupA(t.Context(), dns.MustParse("a.test"))
	if err != nil || len(a.Records) != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
}

// TestOneSERVFAIL: a server that has answered is not asked again in the same
// lookup (RFC 2308 §7.1); the one question more is that with CD (DNS-4).
func TestOneSERVFAIL(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Fail(dnstest.Failure{Name: "plain.secure.test"})
	c := dnstest.Client(t, s)
	c.Attempts = 3
	if _, err := c.LookupA(t.Context(), dns.MustParse("plain.secure.test")); err == nil {
		t.Fatal("no error")
	}
	q := s.Questions()
	if len(q) != 2 || q[0].CD || !q[1].CD {
		t.Errorf("asked %+v", q)
	}
}

// TestDebris: arbitrary bytes from a server give an error, at once.
func TestDebris(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			reply := append([]byte{b[0], b[1], 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0}, b[12:n]...)
			_, _ = pc.WriteTo(reply, from)
		}
	}()
	c := &dns.Client{Servers: []dns.Server{{Addr: pc.LocalAddr().String()}}, Timeout: time.Minute, Attempts: 2}
	_, err = c.LookupA(t.Context(), dns.MustParse("a.test"))
	if e, ok := errors.AsType[*dns.Error](err); !ok || e.Word() != "dns-error" {
		t.Errorf("got %v", err)
	}
}

func BenchmarkCached(b *testing.B) {
	s, err := dnstest.New(dnstest.Zone{Name: "a.test", Security: dns.Secure, Records: []string{"@ MX 10 mx", "@ MX 20 mx2"}})
	if err != nil {
		b.Fatal(err)
	}
	c := dnstest.Client(nil, s)
	c.Cache = dns.NewCache(0)
	name := dns.MustParse("a.test")
	for b.Loop() {
		if _, err := c.LookupMX(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}
