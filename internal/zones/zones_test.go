package zones

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/dnstest"
)

// farm is a resolver and the servers of a zone by address.
type farm struct {
	resolver *dnstest.Server
	servers  map[string]*dnstest.Server // "192.0.2.1:53"
	noSix    bool
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	start := func(records ...string) *dnstest.Server {
		s, err := dnstest.New(dnstest.Zone{Name: "example.test", Records: records})
		if err != nil {
			t.Fatal(err)
		}
		s.Intercept(func(_, r *wire.Msg) *wire.Msg { r.Authoritative = true; return r })
		t.Cleanup(s.Close)
		return s
	}
	return &farm{resolver: start("example.test. 300 IN NS ns1.example.test.", "example.test. 300 IN NS ns2.example.test.",
		"ns1.example.test. 300 IN A 192.0.2.1", "ns1.example.test. 300 IN AAAA 2001:db8::1", "ns2.example.test. 300 IN A 192.0.2.2"),
		servers: map[string]*dnstest.Server{"192.0.2.1:53": start(), "[2001:db8::1]:53": start(), "192.0.2.2:53": start()}}
}

func (f *farm) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f.noSix && strings.HasPrefix(addr, "[") {
		return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
	}
	s := f.servers[addr]
	if s == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return s.Dial(ctx, network, addr)
}

func (f *farm) add(t *testing.T, records ...string) {
	t.Helper()
	for _, s := range f.servers {
		if err := s.Add("example.test", records...); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *farm) ask(t *testing.T, name, kind string) View {
	t.Helper()
	a := &Asker{DNS: &dns.Client{Servers: []dns.Server{{Addr: "192.0.2.53:53"}}, Dial: f.resolver.Dial}, Dial: f.dial}
	if _, err := a.Ask(t.Context(), dns.MustParse("x.test").Parent(), kind); err == nil {
		t.Fatal("a name without a zone was found")
	}
	n, err := dns.ParseLax(name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := a.Ask(t.Context(), n, kind)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func values(v View) string {
	var all []string
	for _, r := range v {
		all = append(all, r.Addr.String()+"="+strings.Join(r.Values, "|"))
	}
	return strings.Join(all, " ")
}

// Every address of every server is asked, and the longest TTL is kept (CRT-6).
func TestAsk(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.add(t, "_25._tcp.mx.example.test. 600 IN TLSA 3 1 1 ABCD")
	if err := f.servers["192.0.2.2:53"].Add("example.test", "_25._tcp.mx.example.test. 900 IN TLSA 3 1 1 EF01"); err != nil {
		t.Fatal(err)
	}
	v := f.ask(t, "_25._tcp.mx.example.test", "TLSA")
	if got := values(v); got != "192.0.2.1=3 1 1 abcd 2001:db8::1=3 1 1 abcd 192.0.2.2=3 1 1 abcd|3 1 1 ef01" {
		t.Errorf("seen: %s", got)
	}
	if v.Missing() != nil || v.TTL() != 900*time.Second {
		t.Errorf("missing %v, TTL %s", v.Missing(), v.TTL())
	}
	if v := f.ask(t, "_25._tcp.other.example.test", "TLSA"); v.Missing() != nil || v.TTL() == 0 {
		t.Errorf("of what is not there: missing %v, TTL %s", v.Missing(), v.TTL())
	}
	f.add(t, `txt.example.test. 60 IN TXT "one " "two"`)
	if got := values(f.ask(t, "txt.example.test", "TXT")[:1]); got != "192.0.2.1=one two" {
		t.Errorf("a text in two strings: %s", got)
	}
}

// A server that does not answer is missed; an address of a family that this machine
// has no way to is stood for by another address of the same server.
func TestMissing(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.add(t, "_25._tcp.mx.example.test. 600 IN TLSA 3 1 1 ABCD")
	const name = "_25._tcp.mx.example.test"
	f.noSix = true
	if v := f.ask(t, name, "TLSA"); v.Missing() != nil || len(v) != 2 {
		t.Errorf("without IPv6: %v, %v", values(v), v.Missing())
	}
	delete(f.servers, "192.0.2.1:53")
	if v := f.ask(t, name, "TLSA"); v.Missing() == nil || !strings.Contains(v.Missing().Error(), "ns1.example.test (192.0.2.1)") {
		t.Errorf("without the first server: %v, %v", values(v), v.Missing())
	}
	f = newFarm(t)
	for word, answer := range map[string]func(*wire.Msg){
		"REFUSED":          func(m *wire.Msg) { m.Rcode = wire.RcodeRefused },
		"not in charge":    func(m *wire.Msg) { m.Authoritative = false },
		"another question": func(m *wire.Msg) { m.Question[0].Name = "other.test." },
	} {
		f.servers["192.0.2.2:53"].Intercept(func(_, r *wire.Msg) *wire.Msg { r.Authoritative = true; answer(r); return r })
		if v := f.ask(t, name, "TLSA"); v.Missing() == nil || !strings.Contains(v.Missing().Error(), word) {
			t.Errorf("a server that answers %s: %v", word, v.Missing())
		}
	}
	if (View{}).Missing() == nil {
		t.Error("no servers at all is no whole view")
	}
}

// An alias that every server has is followed.
func TestAlias(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.add(t, "_25._tcp.mx.example.test. 600 IN CNAME tlsa.example.test.", "tlsa.example.test. 60 IN TLSA 3 1 1 ABCD")
	for _, s := range f.servers { // as servers do that have only the alias's zone
		s.Intercept(func(q, r *wire.Msg) *wire.Msg {
			r.Authoritative = true
			if strings.HasPrefix(q.Question[0].Name, "_25") {
				r.Answer = slices.DeleteFunc(r.Answer, func(rr wire.RR) bool { return rr.Header().Rrtype != wire.TypeCNAME })
			}
			return r
		})
	}
	v := f.ask(t, "_25._tcp.mx.example.test", "TLSA")
	if got := values(v[:1]); got != "192.0.2.1=3 1 1 abcd" || v.TTL() != 600*time.Second {
		t.Errorf("through an alias: %s, TTL %s", got, v.TTL())
	}
	f.add(t, "loop.example.test. 60 IN CNAME loop.example.test.")
	a := &Asker{DNS: &dns.Client{Servers: []dns.Server{{Addr: "192.0.2.53:53"}}, Dial: f.resolver.Dial}, Dial: f.dial}
	for _, s := range f.servers {
		s.Intercept(func(_, r *wire.Msg) *wire.Msg {
			r.Authoritative, r.Rcode = true, 0
			rr, _ := wire.NewRR("loop.example.test. 60 IN CNAME loop.example.test.")
			r.Answer = []wire.RR{rr}
			return r
		})
	}
	if _, err := a.Ask(t.Context(), dns.MustParse("loop.example.test"), "TLSA"); err == nil || !strings.Contains(err.Error(), "too many aliases") {
		t.Errorf("a loop of aliases: %v", err)
	}
	if _, err := a.Ask(t.Context(), dns.MustParse("loop.example.test"), "NOTHING"); err == nil {
		t.Error("a type that does not exist was asked for")
	}
}

// TestManyServers: a zone with more servers than are asked is refused before the addresses
// of any are looked up, one after another.
func TestManyServers(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	for i := range maxServers {
		if err := f.resolver.Add("example.test", fmt.Sprintf("example.test. 300 IN NS more%d.example.test.", i)); err != nil {
			t.Fatal(err)
		}
	}
	var looked atomic.Int64
	f.resolver.Intercept(func(q, r *wire.Msg) *wire.Msg {
		if q.Question[0].Qtype == wire.TypeA {
			looked.Add(1)
		}
		return r
	})
	a := &Asker{DNS: &dns.Client{Servers: []dns.Server{{Addr: "192.0.2.53:53"}}, Dial: f.resolver.Dial}, Dial: f.dial}
	if _, err := a.Ask(t.Context(), dns.MustParse("mx.example.test"), "TXT"); err == nil || !strings.Contains(err.Error(), "42 servers") || looked.Load() > 0 {
		t.Errorf("%v; %d addresses were looked up", err, looked.Load())
	}
}

// TestOverTCP (CRT-3): no datagram counts, which somebody else could have sent: only TCP is
// spoken with the servers of a zone.
func TestOverTCP(t *testing.T) {
	t.Parallel()
	s, err := dnstest.Start(dnstest.Zone{Name: "test", Security: dns.Insecure, Records: []string{"test. 300 IN NS ns.test.", "ns.test. 300 IN A 127.0.0.1", "x.test. 60 IN TXT \"here\""}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Intercept(func(_, r *wire.Msg) *wire.Msg { r.Authoritative = true; return r })
	at := netip.MustParseAddrPort(s.Addr())
	var mu sync.Mutex
	var spoken []string
	a := &Asker{DNS: &dns.Client{Servers: []dns.Server{{Addr: s.Addr(), Trusted: true}}}, Port: at.Port(),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			spoken = append(spoken, network)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
	v, err := a.Ask(t.Context(), dns.MustParse("x.test"), "TXT")
	if err != nil || v.Missing() != nil || len(v) != 1 || !slices.Equal(v[0].Values, []string{"here"}) {
		t.Fatalf("%+v, %v", v, err)
	}
	if !slices.Equal(spoken, []string{"tcp"}) {
		t.Errorf("spoken: %v", spoken)
	}
}
