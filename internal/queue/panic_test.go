package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/panics"
	"waxwing/internal/retry"
	"waxwing/internal/route"
	"waxwing/internal/spool"
)

// OPS-9: a message over which delivering panics is tried again, and returned to
// its sender after three times; the messages beside it are delivered.
func TestPanicsInDeliveryEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("panic.a@b.test")
		w.put("ok.b@b.test")
		for i := 1; i <= panics.Most; i++ {
			w.step()
			want := spool.Waiting
			if i == panics.Most {
				want = spool.Failed
			}
			if it := w.item("panic.a@b.test"); it.State != want || it.Word != "internal-error" {
				t.Fatalf("after %d panics: %+v", i, it)
			}
			w.clock.add(time.Hour)
		}
		if w.item("ok.b@b.test").State != spool.Delivered {
			t.Error("the other message was not delivered")
		}
		if got := fmt.Sprint(w.panicked); got != "[delivery delivery delivery]" {
			t.Errorf("counted: %s", got)
		}
		w.step()
		if jobs := w.tr.seen(); jobs[len(jobs)-1].Purpose != delivery.DSN {
			t.Error("the sender got no notification")
		}
	})
}

// OPS-9: where settling panics, nothing is stored; after three times the message
// is settled as failed, and held where even that panics.
func TestPanicsInSettlingEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@b.test")
		left := panics.Most
		w.Schedule = func(delivery.Purpose) retry.Schedule {
			if left--; left >= 0 {
				panic("schedule")
			}
			return retry.Default()
		}
		for i := 1; i <= panics.Most; i++ {
			w.step()
			want := spool.Leased
			if i == panics.Most {
				want = spool.Failed
			}
			if it := w.item("ok.a@b.test"); it.State != want {
				t.Fatalf("after %d panics: %+v", i, it)
			}
			w.clock.add(w.Lease + time.Minute)
		}
		left = 0
		w.put("ok.b@b.test")
		left = 1 << 30
		for range panics.Most + 1 {
			w.step()
			w.clock.add(w.Lease + time.Minute)
		}
		if it := w.item("ok.b@b.test"); it.State != spool.Held || it.Word != "internal-error" {
			t.Errorf("the message whose settling always panics is not held: %+v", it)
		}
		if w.step() != 0 {
			t.Error("the held message was claimed again")
		}
		left = 0
		if c, err := w.Unhold(t.Context(), spool.Filter{Address: "ok.b@b.test"}); err != nil || c.Done != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		w.step()
		if it := w.item("ok.b@b.test"); it.State != spool.Delivered {
			t.Errorf("let go on after the fault was mended, it is not delivered: %+v", it)
		}
	})
}

// OPS-9: the same where the transaction itself panics, here with the notification
// that is queued in it.
func TestPanicsInTransactionEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Schedule = func(p delivery.Purpose) retry.Schedule {
			if p == delivery.DSN {
				panic("schedule")
			}
			return retry.Default()
		}
		w.put("never.a@b.test")
		for i := 1; i <= panics.Most; i++ {
			if it := w.item("never.a@b.test"); it.State == spool.Held {
				t.Fatalf("held after %d panics", i-1)
			}
			w.step()
			w.clock.add(w.Lease + time.Minute)
		}
		if it := w.item("never.a@b.test"); it.State != spool.Held || it.Word != "internal-error" {
			t.Errorf("not held: %+v", it)
		}
		if n := w.rows("messages"); n != 1 {
			t.Errorf("%d messages, of one that failed and could not be returned", n)
		}
	})
}

// OPS-9: the runner goes on after a panic in its own loop, and ends when it is told.
func TestRunnerSurvivesPanic(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ways := make(chan struct{}, 100)
		w.Guard.Count = func(a guard.Area) {
			if a == guard.Queue {
				ways <- struct{}{}
			}
		}
		w.put("ok.a@b.test")
		w.Ways = panicOnce{new(bool)}.Ways
		stop := w.run()
		<-ways
		eventually(t, "delivery after a panic", func() bool { return w.item("ok.a@b.test").State == spool.Delivered })
		stop()
	})
}

// panicOnce are ways that panic the first time.
type panicOnce struct{ done *bool }

func (p panicOnce) Ways(context.Context) (*route.Ways, error) {
	if !*p.done {
		*p.done = true
		panic("ways")
	}
	return nil, nil
}
