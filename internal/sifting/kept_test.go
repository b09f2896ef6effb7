package sifting

import (
	"testing"

	"waxwing/internal/delivery"
)

// What is kept is bounded, and given once.
func TestKeptBounds(t *testing.T) {
	t.Parallel()
	var s kept
	key := func(n int) asked { return asked{int64(n), 1, "joe"} }
	for i := range 3 * maxKept {
		s.put(key(i), answer{script: "x"})
	}
	if len(s.answers) != maxKept || len(s.order) != maxKept {
		t.Errorf("%d, %d", len(s.answers), len(s.order))
	}
	if _, ok := s.take(key(0)); ok {
		t.Error("the oldest one is there")
	}
	last := key(3*maxKept - 1)
	if a, ok := s.take(last); !ok || a.script != "x" {
		t.Error("the newest one is not")
	}
	if _, ok := s.take(last); ok {
		t.Error("it is there again")
	}
	large := answer{decision: decision{copies: []delivery.Copy{{Header: make([]byte, 3<<20)}}}}
	for i := range 10 {
		s.put(key(i), large)
		s.put(key(i), large)
	}
	if n := len(s.answers); n != 2 || s.octets > maxOctets {
		t.Errorf("%d large ones, %d octets", n, s.octets)
	}
	for i := range 10 {
		s.take(key(i))
	}
	if s.octets != 0 || len(s.answers) != 0 {
		t.Errorf("%d octets, %d", s.octets, len(s.answers))
	}
}
