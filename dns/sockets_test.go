package dns

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// portNoter is a DNS server on loopback that notes where questions come from, and
// keeps its answer to some names to itself until it is asked for another one.
type portNoter struct {
	net.PacketConn
	mu    sync.Mutex
	ports []string
}

func notePorts(t *testing.T) *portNoter {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	n := &portNoter{PacketConn: pc}
	go n.serve()
	return n
}

func (n *portNoter) serve() {
	b := make([]byte, 4096)
	type late struct {
		text []byte
		to   net.Addr
	}
	var held []late
	for {
		size, from, err := n.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(wire.Msg)
		if q.Unpack(b[:size]) != nil {
			return
		}
		n.mu.Lock()
		n.ports = append(n.ports, from.String())
		n.mu.Unlock()
		r := new(wire.Msg)
		r.SetReply(q)
		rr, _ := wire.NewRR(q.Question[0].Name + " 60 IN A 127.0.0.9")
		r.Answer = []wire.RR{rr}
		text, _ := r.Pack()
		if q.Question[0].Name == "slow.test." {
			held = append(held, late{text, from})
			continue
		}
		for _, l := range held {
			n.WriteTo(l.text, l.to)
		}
		held = nil
		n.WriteTo(text, from)
	}
}

func (n *portNoter) seen() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.ports...)
}

// A resolver beside us is asked over one socket again and again; one whose question
// was given up is not used any more, so that its late reply meets nobody.
func TestSocketsAreKept(t *testing.T) {
	t.Parallel()
	n := notePorts(t)
	c := &Client{Servers: []Server{{Addr: n.LocalAddr().String()}}, Timeout: time.Second, Attempts: 1}
	for _, name := range []string{"a.test", "b.test", "slow.test", "c.test", "d.test"} {
		a, err := c.LookupA(t.Context(), MustParse(name))
		if (err != nil) != (name == "slow.test") {
			t.Fatalf("%s: %v", name, err)
		}
		if err == nil && len(a.Records) != 1 {
			t.Errorf("%s: %v", name, a.Records)
		}
	}
	p := n.seen()
	if len(p) != 5 || p[0] != p[1] || p[1] != p[2] || p[3] == p[2] || p[4] != p[3] {
		t.Errorf("questions came from %v", p)
	}
}

// Many questions at once have a socket each, and none is kept beyond the bound.
func TestSocketsAreBounded(t *testing.T) {
	t.Parallel()
	n := notePorts(t)
	c := &Client{Servers: []Server{{Addr: n.LocalAddr().String()}}}
	var wg sync.WaitGroup
	for range 3 * maxIdleSockets {
		wg.Go(func() {
			if _, err := c.LookupA(context.Background(), MustParse("a.test")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c.sockets.mu.Lock()
	defer c.sockets.mu.Unlock()
	if got := len(c.sockets.idle[n.LocalAddr().String()]); got == 0 || got > maxIdleSockets {
		t.Errorf("%d sockets are kept", got)
	}
}

// RFC 5452 §4.5: the port of a question to a resolver elsewhere must not be known.
func TestSocketsElsewhereAreNotKept(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:53": true, "127.0.0.53:53": true, "[::1]:53": true, "[::ffff:127.0.0.1]:53": true,
		"192.0.2.1:53": false, "10.0.0.1:53": false, "[2001:db8::1]:53": false, "[fe80::1%lo]:53": false, "resolver.test:53": false, "": false,
	} {
		if got := new(sockets).keeps(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}

func TestIdleSocketsAreClosed(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer far.Close()
	s := &sockets{idle: map[string][]idleSocket{"x": {{near, time.Now().Add(-socketIdle)}}}}
	s.sweep(nil)
	if _, err := near.Write([]byte{0}); err == nil || len(s.idle) > 0 || s.sweeping {
		t.Errorf("an idle socket is kept: %v, %v", err, s.idle)
	}
}
