package transport

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
)

// socksProxy is a SOCKS5 proxy that asks for a user and a password and
// connects to one place, whatever it is asked for.
func socksProxy(t *testing.T, to string) (addr string, asked chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = make(chan string, 10)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go proxyOne(nc, to, asked)
		}
	}()
	return l.Addr().String(), asked
}

func proxyOne(nc net.Conn, to string, asked chan string) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	take := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(br, b)
		return b
	}
	take(int(take(2)[1]))
	nc.Write([]byte{5, 2})
	user := take(int(take(2)[1]))
	password := take(int(take(1)[0]))
	nc.Write([]byte{1, 0})
	head := take(4)
	size := map[byte]int{1: 4, 4: 16}[head[3]]
	at, _ := netip.AddrFromSlice(take(size))
	take(2)
	asked <- string(user) + ":" + string(password) + " " + at.String()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	nc.Write([]byte{5, 0, 0, 1, 198, 51, 100, 7, 0, 25})
	go io.Copy(out, br)
	io.Copy(nc, out)
}

// TRA-1: direct delivery through a proxy, and from an address of one's own, is direct
// delivery: found in DNS and counted for TLS reports, by another way.
func TestDirectKinds(t *testing.T) {
	t.Parallel()
	h := startRelayHost(t, nil)
	resolver := zone(t, dns.Insecure, "mx A 127.0.0.1", "@ MX 1 mx")
	local := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), h.port).String()
	proxy, asked := socksProxy(t, local)
	b := &Builder{Direct: &Direct{Finder: &destination.Finder{DNS: resolver, AllowPrivate: true}}, DNS: resolver,
		Session: func() *session.Client { return &session.Client{HELO: "mail.us.test", Port: int(h.port)} }}
	for _, c := range []struct {
		tr   route.Transport
		helo string
		word reason.Word
	}{
		{route.Transport{Name: "src", Kind: route.Direct, Sources: []netip.Addr{netip.MustParseAddr("127.0.0.77")}}, "mail.us.test", "accepted"},
		{route.Transport{Name: "out", Kind: route.SOCKS5, Proxy: proxy, ProxyUser: "u", ProxyPassword: "hunter3", EHLO: dns.MustParse("exit.test")}, "exit.test", "accepted"},
		{route.Transport{Name: "six", Kind: route.Direct, Family: route.OnlyIPv6}, "", "no-address"},
	} {
		if err := c.tr.Check(); err != nil {
			t.Fatal(err)
		}
		d, err := b.Make(c.tr)
		if err != nil {
			t.Fatal(err)
		}
		j := job("x@isp.test")
		j.Domain = delivery.RecipientDomain{Name: dns.MustParse("isp.test")}
		before := len(h.took())
		res := d.Deliver(t.Context(), j, delivery.Bytes("Subject: x\r\n\r\nhello\r\n"))
		if rr := res.Recipients[0]; rr.Word != c.word || res.Transport != "direct" || res.Name != c.tr.Name {
			t.Errorf("%s: %+v", c.tr.Name, res)
		}
		if c.word != "accepted" {
			continue
		}
		got := h.took()
		if len(got) != before+1 || got[before].helo != c.helo {
			t.Errorf("%s: %+v", c.tr.Name, got)
		}
		if local := res.Visits[0].Sessions[0].Local.String(); c.tr.Kind == route.Direct && local != "127.0.0.77" || c.tr.Kind == route.SOCKS5 && local != "198.51.100.7" {
			t.Errorf("%s: connected from %s", c.tr.Name, local)
		}
		if len(res.Decision.Plans[0].Reports) == 0 {
			t.Errorf("%s: nothing is reported", c.tr.Name)
		}
	}
	if got := <-asked; got != "u:hunter3 127.0.0.1" {
		t.Errorf("the proxy was asked %s", got)
	}
	if _, err := b.Make(route.Transport{Name: "x", Kind: "balloon"}); err == nil || !strings.Contains(err.Error(), "balloon") {
		t.Errorf("%v", err)
	}
}
