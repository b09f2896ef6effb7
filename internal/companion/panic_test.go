package companion

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store/storetest"
	"waxwing/socketmap"
)

// OPS-9: a batch over which storing panics is tried three times, and then counted as
// lost; what comes later is stored.
func TestPanicInCollector(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	bad.Store(true)
	watch := guardtest.New()
	c := collect(t, storetest.Open(t), func(c *Collector) {
		c.Guard = &watch.Guard
		c.Now = func() time.Time {
			if bad.Load() {
				panic("clock")
			}
			return noon
		}
	})
	datagram := recorded(t, datagramsFile)[0]
	send(t, c.path, datagram)
	eventually(t, "three panics", func() bool { return len(watch.Seen()) >= maxPanics })
	bad.Store(false)
	send(t, c.path, datagram)
	eventually(t, "the next datagram is stored", func() bool { return c.counted(stored) == 1 })
	c.stop()
	if !watch.Saw(guard.Datagram, maxPanics) || c.counted(lost) != 1 {
		t.Errorf("%d lost, counted: %v", c.counted(lost), watch.Seen())
	}
}

// OPS-9: what panics on the goroutine beside the lookup fails the lookup, and is not a
// domain without a policy.
func TestPanicInLookup(t *testing.T) {
	t.Parallel()
	r := &Resolver{Finder: noHosts{}, STS: brokenSTS{}}
	watch := guardtest.New()
	var reply socketmap.Reply
	watch.Do(guard.Socketmap, func() { reply = r.Lookup(t.Context(), socketmap.Request{Map: TLSRPTMap, Key: "a.test"}) })
	if !watch.Saw(guard.Socketmap, 1) || reply.Status != "" {
		t.Errorf("%v, %v", reply, watch.Seen())
	}
}

type noHosts struct{}

func (noHosts) Find(context.Context, delivery.RecipientDomain) delivery.Destination {
	return delivery.Destination{Domain: delivery.RecipientDomain{Name: dns.MustParse("a.test")}}
}

type brokenSTS struct{}

func (brokenSTS) Find(context.Context, delivery.RecipientDomain) delivery.Finding { panic("sts") }
