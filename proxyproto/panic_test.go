package proxyproto

import (
	"io"
	"net/netip"
	"slices"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: a panic over one connection closes that one; the listener goes on.
func TestPanicClosesOneConnection(t *testing.T) {
	t.Parallel()
	f := listen(t, "127.0.0.0/8")
	watch := guardtest.New()
	f.Guard = &watch.Guard
	f.Refused = func(netip.Addr, string) { panic("observer") }
	f.Pending = 1
	bad := dial(t, f, "EHLO x\r\n")
	go func() {
		for {
			nc, err := f.Accept()
			if err != nil {
				return
			}
			io.WriteString(nc, "ok")
		}
	}()
	if b, err := io.ReadAll(bad); len(b) > 0 || err != nil && b == nil {
		t.Errorf("not closed: %q, %v", b, err)
	}
	for { // the room is free a moment after the close
		c := dial(t, f, "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n")
		b := make([]byte, 2)
		if _, err := io.ReadFull(c, b); err == nil && string(b) == "ok" {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("nobody is served any more")
		}
	}
	if seen := watch.Wait(1); len(seen) == 0 || slices.ContainsFunc(seen, func(a guard.Area) bool { return a != guard.Proxy }) {
		t.Errorf("counted: %v", seen)
	}
}
