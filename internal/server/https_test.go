package server

import (
	"io"
	"net"
	"testing"
	"time"
)

// One network has only so many HTTPS connections at a time; what is closed makes
// room again, and what was refused is counted.
func TestFairListener(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	refused := make(chan struct{}, 10)
	l := &fairListener{Listener: inner, most: 2, refused: func() { refused <- struct{}{} }}
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func(from string) net.Conn {
		t.Helper()
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial("127.0.0.1")
	first := <-accepted
	dial("127.0.0.1")
	<-accepted
	third := dial("127.0.0.1")
	<-refused
	third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("one connection too many: %v", err)
	}
	dial("127.0.0.2")
	<-accepted // another network
	first.Close()
	first.Close() // counts once
	dial("127.0.0.1")
	<-accepted
	dial("127.0.0.1")
	<-refused
	if len(l.open) != 2 {
		t.Errorf("%d networks have connections", len(l.open))
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout() && err != io.EOF
}
