package server

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

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

// A handshake that is over, and a connection that ended before it was, make room
// for another.
func TestGateListenerHandshakes(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "https")
	cfg.Limits.TLSHandshakes = 4
	s := run(t, cfg)
	for range 20 { // one has a quarter of them
		for _, talk := range []bool{true, false} {
			nc := dialFrom(t, "127.0.1.1", s.Addr("https"))
			if talk {
				tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
				if _, err := io.WriteString(tc, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if _, err := tc.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			nc.Close()
			time.Sleep(20 * time.Millisecond) // until the server has noticed
		}
	}
}
