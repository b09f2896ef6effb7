package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/spool"
)

// gated is a network whose attempts wait for a gate.
type gated struct {
	*network
	mu    sync.Mutex
	began int
	gate  chan struct{}
}

func (g *gated) Deliver(ctx context.Context, j *delivery.Job, c delivery.Content) delivery.Result {
	g.mu.Lock()
	g.began++
	g.mu.Unlock()
	select {
	case <-g.gate:
	case <-ctx.Done():
	}
	return g.network.Deliver(ctx, j, c)
}

func (g *gated) started() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.began
}

// TRA-4: once the routes have changed, no attempt begins by those of before, whatever was
// claimed by then: those that were under way end as they began.
func TestRoutesChangeForLeasedMail(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		g := &gated{network: newNetwork(w, officeOfA), gate: make(chan struct{})}
		w.Direct = g
		w.run()
		for i := range 20 {
			env := mail(t, fmt.Sprintf("ok.%d@d%d.test", i, i))
			env.Account = "a"
			w.enqueue(env)
		}
		under := w.board.State().Running
		eventually(t, "some are under way", func() bool { return g.started() == under })
		g.follow(route.Rule{Scope: route.OfServer, Transport: "spare"})
		close(g.gate)
		eventually(t, "all delivered", func() bool { w.Wake(); time.Sleep(10 * time.Millisecond); return w.left() == 0 })
		if old, now := g.attempts("via:office"), g.attempts("via:spare"); old != under || now != 20-under {
			t.Errorf("%d attempts by the old routes, %d by the new ones", old, now)
		}
	})
}

// The same of each job by itself: one that the routes lead elsewhere by the time it
// starts goes back, and waits for whom they say.
func TestRoutesChangeBeforeTheStart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, officeOfA)
		w.backlogOfA(20)
		w.board.Open()
		jobs, _, err := w.claim(t.Context(), 20)
		if err != nil || len(jobs) == 0 {
			t.Fatal(len(jobs), err)
		}
		n.follow(route.Rule{Scope: route.OfServer, Transport: "spare"})
		for _, j := range jobs {
			w.perform(j)
		}
		if w.turn(); w.left() != 0 || n.attempts("via:spare") != 16 || n.attempts("via:office") != 4 { // four ask for it themselves
			t.Errorf("%d left; attempts %v", w.left(), n.at)
		}
		if items, err := w.List(t.Context(), spool.Filter{States: []spool.State{spool.Delivered}, Limit: 100}); err != nil || slices.ContainsFunc(items, func(it spool.Item) bool { return it.Recipient.Attempts != 1 }) {
			t.Errorf("going back counted as an attempt: %v", err)
		}
	})
}

// TRA-4: what was claimed while the routes could not be read goes by them once they can; while
// they cannot, nothing is tried, and that is no attempt: the mail has its turn again
// within a minute.
func TestUnreadableRoutesCostNoAttempt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, officeOfA)
		lose := func(err error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.lost = err
		}
		put := func(address string) {
			env := mail(t, address)
			env.Account = "a"
			w.enqueue(env)
		}
		put("ok.known@b.test")
		lose(errors.New("the disk is away"))
		put("ok.unknown@b.test")
		w.board.Open()
		jobs, _, err := w.claim(t.Context(), 10)
		if err != nil || len(jobs) != 2 {
			t.Fatal(len(jobs), err)
		}
		lose(nil)
		for _, j := range jobs { // one of them waited for the domain: it goes back to the lane of its way
			w.perform(j)
		}
		w.turn()
		if k := n.attempts("via:office"); k != 2 || w.left() != 0 {
			t.Errorf("%d attempts, %d left", k, w.left())
		}

		lose(errors.New("the disk is away"))
		put("ok.later@b.test")
		eventually(t, "a first look", func() bool { return w.board.State().Jobs == 0 })
		for range 20 {
			w.turn()
			w.clock.add(time.Minute)
		}
		it := w.item("ok.later@b.test")
		if it.State != spool.Waiting || it.Recipient.Attempts != 0 || it.Word != "routes-unreadable" || it.Due.After(w.clock.now()) {
			t.Errorf("%+v", it)
		}
		lose(nil)
		w.turn()
		if it := w.item("ok.later@b.test"); it.State != spool.Delivered || it.Recipient.Attempts != 1 {
			t.Errorf("%+v", it)
		}
	})
}
