package freeport

import (
	"net"
	"testing"
)

// A port is one test's at a time, stays so while nothing listens there, is none of those
// that the kernel chooses, and is given back.
func TestPort(t *testing.T) {
	seen := map[int]bool{}
	t.Run("held", func(t *testing.T) {
		for range 200 {
			p := Port(t)
			if seen[p] || p < first || p >= kernelsFirst() {
				t.Fatalf("%d is given out twice, or is the kernel's", p)
			}
			seen[p] = true
			if f, err := lock(p); err != nil || f != nil {
				t.Fatalf("%d can be taken by another: %v", p, err)
			}
		}
	})
	for p := range seen {
		f, err := lock(p)
		if err != nil || f == nil {
			t.Fatalf("%d was not given back: %v", p, err)
		}
		f.Close()
	}
}

func TestUnused(t *testing.T) {
	t.Parallel()
	addr := Addr(t)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if unused(l.Addr().(*net.TCPAddr).Port) {
		t.Error("a port with a listener passes for unused")
	}
}
