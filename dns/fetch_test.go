package dns_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// counted is a server over UDP that counts its questions and answers each as reply says, or not at all.
type counted struct {
	addr      string
	questions atomic.Int32
}

func count(t *testing.T, reply func(q *wire.Msg) []*wire.Msg) *counted {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	s := &counted{addr: pc.LocalAddr().String()}
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			q := new(wire.Msg)
			if q.Unpack(b[:n]) != nil {
				continue
			}
			s.questions.Add(1)
			for _, r := range reply(q) {
				if p, err := r.Pack(); err == nil {
					_, _ = pc.WriteTo(p, from)
				}
			}
		}
	}()
	return s
}

// VAL-12: for own validation too, a server that does not answer is asked last for 30 seconds, and answers to other
// questions are dropped; what is asked has DO and CD and room for 1232 octets.
func TestFetch(t *testing.T) {
	t.Parallel()
	silent := count(t, func(*wire.Msg) []*wire.Msg { return nil })
	var asked atomic.Pointer[wire.Msg]
	lively := count(t, func(q *wire.Msg) []*wire.Msg {
		asked.Store(q)
		other := new(wire.Msg).SetReply(q)
		other.Question[0].Name = "other.test."
		forged := new(wire.Msg).SetReply(q)
		forged.Id++
		right := new(wire.Msg).SetReply(q)
		right.Rcode = wire.RcodeNameError
		return []*wire.Msg{other, forged, right}
	})
	now := time.Now()
	c := &dns.Client{Servers: []dns.Server{{Addr: silent.addr}, {Addr: lively.addr}}, Timeout: 100 * time.Millisecond, Now: func() time.Time { return now }}
	fetch := func(silentAsked int32) {
		t.Helper()
		before := silent.questions.Load()
		m, err := c.Fetch(t.Context(), "a.test.", wire.TypeTLSA, 0)
		if err != nil || m.Rcode != wire.RcodeNameError || m.Question[0].Name != "a.test." {
			t.Fatalf("%v, %v", m, err)
		}
		if n := silent.questions.Load() - before; n != silentAsked {
			t.Errorf("the silent server was asked %d times, want %d", n, silentAsked)
		}
	}
	fetch(1)
	fetch(0)
	now = now.Add(29 * time.Second)
	fetch(0)
	now = now.Add(2 * time.Second)
	fetch(1)
	if opt := asked.Load().IsEdns0(); opt == nil || !opt.Do() || opt.UDPSize() != 1232 || !asked.Load().CheckingDisabled {
		t.Errorf("asked %v", asked.Load())
	}
	// One that rests is better than none.
	c.Servers = c.Servers[:1]
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if m, err := c.Fetch(ctx, "a.test.", wire.TypeTLSA, 0); err == nil {
		t.Errorf("an answer of a silent server: %v", m)
	}
	if n := silent.questions.Load(); n != 3 {
		t.Errorf("the silent server was asked %d times", n)
	}
}

// FuzzParseServer: no text makes the reader panic, and what is read is an address that can be dialled, read again as
// the same (VAL-12).
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "[::1]:53", "fe80::1%eth0", "tls://9.9.9.9#dns.quad9.net", "tls://192.0.2.1:8853#sha256/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,sha256/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "[[::1]]", "1.2.3.4:0", "tls://#x", "::%]0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := dns.ParseServer(s)
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(got.Addr)
		if err != nil || net.ParseIP(hostOf(host)) == nil || port == "" {
			t.Fatalf("%q is %q", s, got.Addr)
		}
		if again, err := dns.ParseServer(got.Addr); err != nil || again.Addr != got.Addr || again.TLS != nil {
			t.Fatalf("%q is %q, and that %q, %v", s, got.Addr, again.Addr, err)
		}
		if got.TLS == nil {
			return
		}
		if len(got.TLS.Pins) > 0 && got.TLS.Name != "" {
			t.Fatalf("%q has a name and pins", s)
		}
		for _, pin := range got.TLS.Pins {
			if len(pin) != 32 {
				t.Fatalf("%q has a pin of %d octets", s, len(pin))
			}
		}
	})
}

// hostOf is an address without its zone.
func hostOf(s string) string {
	for i := range s {
		if s[i] == '%' {
			return s[:i]
		}
	}
	return s
}
