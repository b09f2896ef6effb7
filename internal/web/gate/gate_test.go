package gate

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"waxwing/peers"
)

// counts is what a gate told.
type counts struct {
	mu      sync.Mutex
	refused []string
	ended   int
	crowd   []bool
}

func (c *counts) gate(l net.Listener, limits peers.Limits, withTLS bool) *Listener {
	return &Listener{Listener: l, Limits: limits, Gate: peers.Gate{TLS: withTLS},
		Count: func(refused string) { c.note(func() { c.refused = append(c.refused, refused) }) },
		Ended: func() { c.note(func() { c.ended++ }) },
		Crowd: func(is bool) { c.note(func() { c.crowd = append(c.crowd, is) }) },
	}
}

func (c *counts) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// await waits until what was told is as it should be.
func (c *counts) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		done := false
		if c.note(func() { done = ok() }); done {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: refused %q, %d ended, crowd %v", what, c.refused, c.ended, c.crowd)
}

func dialFrom(t *testing.T, own string, to net.Addr) net.Conn {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}}).Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return nc
}

// One client, and one network, has only so many HTTPS connections at a time; what
// is closed makes room again, and everything is counted.
func TestListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	var c counts
	l := c.gate(inner, peers.Limits{Connections: 10, PerClient: 2, PerNetwork: 3}, false)
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- nc
		}
	}()
	dialFrom(t, "127.0.1.1", inner.Addr())
	first := <-accepted
	dialFrom(t, "127.0.1.1", inner.Addr())
	<-accepted
	third := dialFrom(t, "127.0.1.1", inner.Addr())
	if _, err := third.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("one connection too many: %v", err)
	}
	dialFrom(t, "127.0.1.2", inner.Addr()) // another client
	<-accepted
	dialFrom(t, "127.0.1.3", inner.Addr())
	dialFrom(t, "127.0.2.1", inner.Addr()) // another network
	<-accepted
	first.Close()
	first.Close() // counts once
	dialFrom(t, "127.0.1.1", inner.Addr())
	<-accepted
	want := []string{"", "", "limit-address", "", "limit-network", "", ""}
	c.await(t, "counted", func() bool { return slices.Equal(c.refused, want) && c.ended == 1 })
	if l.Gate.Open() != 4 {
		t.Errorf("%d connections are open", l.Gate.Open())
	}
}

// Nearly full, a listener says so, and again when it no longer is.
func TestCrowded(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	var c counts
	l := c.gate(inner, peers.Limits{Connections: 4}, false)
	var open []net.Conn
	for range 4 {
		dialFrom(t, "127.0.1.1", inner.Addr())
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, nc)
	}
	c.await(t, "crowded", func() bool { return slices.Equal(c.crowd, []bool{true}) })
	open[0].Close()
	open[1].Close()
	c.await(t, "no longer crowded", func() bool { return slices.Equal(c.crowd, []bool{true, false}) })
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
