package explain

import (
	"context"
	"net/netip"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/session"
)

type brokenProber struct{}

func (brokenProber) Probe(context.Context, delivery.Plan, netip.Addr) session.Probe { panic("probe") }

// OPS-9: hosts are looked at on goroutines of their own; a panic reaches the command.
func TestPanicInProbeReachesCaller(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	x := &Explainer{Prober: brokenProber{}}
	dec := delivery.Decision{Plans: []delivery.Plan{{Host: delivery.Host{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}}}
	e := &Explanation{Hosts: make([]Host, 1)}
	watch.Do(guard.Control, func() { x.connect(t.Context(), Request{}, dec, e) })
	if !watch.Saw(guard.Control, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
