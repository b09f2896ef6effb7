package dnscheck_test

import (
	"net/netip"
	"testing"

	"waxwing/internal/dnsfinding"
)

// TestClean: a domain that publishes what package dnsrecords says, as it is printed, has
// no finding (DNS-C), and what is well is told of each record.
func TestClean(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.checker.Check(t.Context(), w.wanted)
	n := 0
	for _, f := range all {
		if f.Level != dnsfinding.OK {
			t.Errorf("%+v", f)
		}
		n++
	}
	if n < 15 {
		t.Errorf("only %d things were looked at: %+v", n, all)
	}
}

// TestPrivate (DST-4): an MX record that leads into this network has no connection made
// there, unless mail goes there too; the host itself is looked at wherever it is.
func TestPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inner := netip.MustParseAddr("10.0.0.7")
	w.serveMX(inner, hostSpec{Cert: w.cert})
	w.put("example.org. 300 IN MX 20 inner.example.org.", "inner.example.org. 300 IN A 10.0.0.7", "mx.example.org. 300 IN A 10.0.0.7")
	for _, inside := range []bool{false, true} {
		w.wanted.Inside = inside
		seen := 0
		for _, h := range w.checker.Look(t.Context(), w.wanted).Hosts {
			for _, c := range h.Contacts {
				if c.Addr != inner {
					continue
				}
				seen++
				if want := inside || h.Ours; (c.Name != "") != want {
					t.Errorf("inside %v: %s at %s: greeting %q", inside, h.Name, c.Addr, c.Name)
				}
			}
		}
		if seen != 2 {
			t.Errorf("%d contacts", seen)
		}
	}
}
