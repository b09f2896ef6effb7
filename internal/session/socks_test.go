package session

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// proxy is a SOCKS5 server for tests.
type proxy struct {
	user, password string
	to             map[string]string // where the addresses it is asked for lead
	code           byte              // answered instead
	silent         bool
	garbage        bool
	drop, hang     bool // after it was asked to connect

	mu    sync.Mutex
	asked []string
}

func (p *proxy) start(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(nc)
		}
	}()
	return l.Addr().String()
}

func (p *proxy) serve(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	if p.garbage {
		io.WriteString(nc, "220 mail.test ESMTP\r\n")
		io.Copy(io.Discard, nc)
		return
	}
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(nc, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	method := read(int(read(2)[1]))[0]
	if p.silent {
		io.Copy(io.Discard, nc)
		return
	}
	if want := map[bool]byte{true: 2, false: 0}[p.user != ""]; method != want {
		nc.Write([]byte{5, 0xff})
		return
	}
	nc.Write([]byte{5, method})
	if method == 2 {
		user := read(int(read(2)[1]))
		password := read(int(read(1)[0]))
		if string(user) != p.user || string(password) != p.password {
			nc.Write([]byte{1, 1})
			return
		}
		nc.Write([]byte{1, 0})
	}
	kind := read(4)[3]
	ip, _ := netip.AddrFromSlice(read(map[byte]int{1: 4, 4: 16}[kind]))
	port := read(2)
	asked := netip.AddrPortFrom(ip, uint16(port[0])<<8|uint16(port[1])).String()
	p.mu.Lock()
	p.asked = append(p.asked, asked)
	p.mu.Unlock()
	if p.drop {
		return
	}
	if p.hang {
		io.Copy(io.Discard, nc)
		return
	}
	if p.code != 0 {
		nc.Write([]byte{5, p.code, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	up, err := net.Dial("tcp", p.to[asked])
	if err != nil {
		nc.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer up.Close()
	nc.Write([]byte{5, 0, 0, 1, 203, 0, 113, 9, 0x12, 0x34})
	go io.Copy(up, nc)
	io.Copy(nc, up)
}

// SES-1: direct delivery through a proxy, verified end to end.
func TestSOCKS(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, ext: []string{"PIPELINING"}}
	r := newRig(t, network{addr1: mx, addr6: mx})
	px := &proxy{user: "joe", password: "secret", to: r.client.Dialer.(mapDialer).to}
	r.client.Dialer = SOCKS{Proxy: px.start(t), User: "joe", Password: "secret"}
	r.enforcePKIX()
	r.pooled()
	for _, addr := range []string{addr1, addr6, addr1} {
		r.addrs(addr)
		rep := r.carry()
		// What the report says is the proxy's side of the connection.
		if !delivered(rep) || rep.Recipients[0].TLS != "pkix" || last(rep).Local.String() != "203.0.113.9" {
			t.Errorf("%+v over %+v", rep.Recipients[0], last(rep))
		}
	}
	px.mu.Lock()
	defer px.mu.Unlock()
	if got := strings.Join(px.asked, " "); got != addr1+":25 ["+addr6+"]:25" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

func TestSOCKSFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		proxy *proxy
		user  string
		word  reason.Word
		text  string
	}{
		"refused":         {&proxy{code: 5}, "", reason.ConnectRefused, "connection refused"},
		"host":            {&proxy{code: 4}, "", reason.ConnectUnreachable, "host unreachable"},
		"network":         {&proxy{code: 3}, "", reason.ConnectUnreachable, "network unreachable"},
		"TTL":             {&proxy{code: 6}, "", reason.ConnectTimeout, "TTL expired"},
		"rules":           {&proxy{code: 2}, "", reason.ConnectFailed, "rules"},
		"unknown":         {&proxy{code: 99}, "", reason.ConnectFailed, "code 99"},
		"wrong password":  {&proxy{user: "joe", password: "other"}, "joe", reason.ProxyFailed, "refused the user name"},
		"password wanted": {&proxy{user: "joe"}, "", reason.ProxyFailed, "wants authentication"},
		"no password":     {&proxy{}, "joe", reason.ProxyFailed, "does not take user name"},
		"no SOCKS":        {&proxy{garbage: true}, "", reason.ProxyFailed, "does not speak SOCKS5"},
		"silent":          {&proxy{silent: true}, "", reason.ProxyFailed, "did not answer in time"},
		"unknown command": {&proxy{code: 7}, "", reason.ProxyFailed, "does not know the command"},
		// Once it was ready, silence and a closed connection may be the host's.
		"closed later": {&proxy{drop: true}, "", reason.ConnectFailed, "ended in the negotiation"},
		"silent later": {&proxy{hang: true}, "", reason.ConnectTimeout, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, network{})
			r.client.Dialer = SOCKS{Proxy: tt.proxy.start(t), User: tt.user, Password: "secret"}
			r.client.Timeouts.Connect = time.Second
			res := r.carry().Recipients[0]
			if res.Outcome != delivery.Pending || res.Word != tt.word || !strings.Contains(res.Text, tt.text) || strings.Contains(res.Text, "secret") {
				t.Errorf("%v %s %s", res.Outcome, res.Word, res.Text)
			}
		})
	}
	// A proxy that is not there is asked once, not for every address of the host.
	r := newRig(t, network{})
	r.addrs(addr1, addr2, addr6)
	r.client.Dialer = SOCKS{Proxy: "127.0.0.1:1"}
	if rep := r.carry(); rep.Recipients[0].Word != reason.ProxyFailed || rep.Recipients[0].Outcome != delivery.Pending || len(rep.Visit.Sessions) != 1 {
		t.Errorf("%+v over %d sessions", rep.Recipients[0], len(rep.Visit.Sessions))
	}
	// Names are never given to the proxy, and it may not be there at all.
	if _, err := (SOCKS{Proxy: "127.0.0.1:1"}).DialContext(context.Background(), "tcp", "mx.test:25"); err == nil {
		t.Error("a name was given to the proxy")
	}
	var se *SOCKSError
	if _, err := (SOCKS{Proxy: "127.0.0.1:1"}).DialContext(context.Background(), "tcp", "192.0.2.1:25"); !errors.As(err, &se) {
		t.Errorf("no proxy: %v", err)
	}
}
