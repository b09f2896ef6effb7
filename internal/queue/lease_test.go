package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtpclient"
)

// crash takes everything that is due and forgets it, as a machine does that loses power.
func (w *world) crash() []*job {
	w.t.Helper()
	jobs, _, err := w.claim(context.Background(), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return jobs
}

// QUE-2: another machine takes over when the lease ends, and not before; what
// the first one then brings is refused.
func TestLeaseOfACrashedOwnerRunsOut(t *testing.T) {
	each(t, func(t *testing.T, one *world) {
		two := newWorld(t, one.Store, "two")
		two.clock = one.clock
		two.Now = one.clock.now
		one.put("ok.a@b.test")
		lost := one.crash()
		one.clock.add(one.Lease - time.Second)
		if n := two.step(); n != 0 {
			t.Fatal("taken over before the lease ended")
		}
		one.clock.add(time.Second)
		if n := two.step(); n != 1 {
			t.Fatal("not taken over")
		}
		it := one.item("ok.a@b.test")
		if it.State != spool.Delivered || it.Recipient.Attempts != 2 {
			t.Errorf("%+v", it)
		}
		if err := lost[0].Lease.Extend(context.Background(), time.Hour); !errors.Is(err, spool.ErrLeaseLost) {
			t.Errorf("a lost lease was extended: %v", err)
		}
		settled := 0
		one.Settled = func(*store.Tx, delivery.Envelope, delivery.RecipientResult) error { settled++; return nil }
		one.tr.outcome = func(delivery.Recipient) delivery.Outcome { return delivery.Failed }
		one.step()
		one.perform(lost[0]) // the body is gone, and the settling is refused
		if it := one.item("ok.a@b.test"); it.State != spool.Delivered || settled != 0 || !strings.Contains(one.log.String(), "lease lost") {
			t.Errorf("settled twice: %+v\n%s", it, one.log)
		}
	})
}

func TestOwnLeasesAreReleasedAtRestart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other := newWorld(t, w.Store, "two")
		w.put("ok.a@b.test")
		w.crash()
		w.put("ok.c@b.test")
		other.crash()
		again := newWorld(t, w.Store, "one")
		again.run()
		eventually(t, "own message", func() bool { return again.item("ok.a@b.test").State == spool.Delivered })
		if it := again.item("ok.c@b.test"); it.State != spool.Leased || it.Owner != "two" {
			t.Errorf("another owner's lease: %+v", it)
		}
	})
}

// A lease is written only when it would end too soon, and then for long.
func TestExtend(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.put("ok.a@b.test")
		j := w.crash()[0]
		if err := j.Lease.Extend(ctx, 10*time.Minute); err != nil || !w.item("ok.a@b.test").Due.Equal(noon.Add(w.Lease)) {
			t.Errorf("a fresh lease was written: %v", err)
		}
		w.clock.add(15 * time.Minute)
		if err := j.Lease.Extend(ctx, 10*time.Minute); err != nil || !w.item("ok.a@b.test").Due.Equal(noon.Add(15*time.Minute+w.Lease)) {
			t.Errorf("not extended: %v", err)
		}
		w.board.Open()
		w.board.Add([]*job{j}, false)
		w.clock.add(w.Lease - time.Minute)
		w.renew(ctx)
		if !w.item("ok.a@b.test").Due.Equal(w.clock.now().Add(w.Lease)) {
			t.Error("not renewed")
		}
	})
}

// A graceful stop gives back what was not begun and what was cut short, and
// these attempts do not count.
func TestGracefulStop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.resize(dispatch.Bounds{Concurrency: 1, PerContact: 20})
		w.Grace = 20 * time.Millisecond
		begun := make(chan struct{}, 9)
		w.tr.during = func(ctx context.Context, _ *delivery.Job) { begun <- struct{}{}; <-ctx.Done() }
		stop := w.run()
		w.put("later.a@b.test")
		<-begun
		w.put("later.b@c.test") // waits on the board
		if it := w.item("later.b@c.test"); it.State != spool.Leased {
			t.Errorf("%+v", it)
		}
		stop()
		for _, a := range []string{"later.a@b.test", "later.b@c.test"} {
			if it := w.item(a); it.State != spool.Waiting || it.Owner != "" || it.Recipient.Attempts != 0 || !it.Due.Equal(noon) {
				t.Errorf("%s: %+v", a, it)
			}
		}
		w.put("later.c@c.test") // without a runner it waits
		if it := w.item("later.c@c.test"); it.State != spool.Waiting {
			t.Errorf("%+v", it)
		}
		if s := w.board.State(); s.Jobs != 0 || s.Running != 0 || s.Memory != 0 || s.Contacts != 0 || len(w.board.Jobs()) != 0 {
			t.Errorf("the board is not empty: %+v", s)
		}
	})
}

// The runner obeys its bounds with far more mail than it may hold, and loses none.
func TestBacklogLargerThanTheBoard(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.resize(dispatch.Bounds{Concurrency: 3, PerContact: 2})
		var now, most, mostA atomic.Int64
		var nowA atomic.Int64
		w.tr.during = func(_ context.Context, job *delivery.Job) {
			raise(&most, now.Add(1))
			if job.Domain.String() == "a.test" {
				raise(&mostA, nowA.Add(1))
				defer nowA.Add(-1)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
		}
		const each = 40
		put := func(from int) {
			for i := range each {
				w.put(fmt.Sprintf("ok.%d@a.test", from+i), fmt.Sprintf("ok.%d@%d.test", from+i, i%7))
			}
		}
		put(0)
		w.run()
		put(each)
		eventually(t, "all", func() bool {
			w.clock.add(time.Second) // what was parked becomes due
			w.Wake()
			c, err := w.Count(context.Background())
			return err == nil && c[spool.Delivered] == 4*each
		})
		if most.Load() > 3 || mostA.Load() > 2 {
			t.Errorf("%d at once, %d of them to one destination", most.Load(), mostA.Load())
		}
		if n := len(w.tr.seen()); n != 4*each {
			t.Errorf("%d attempts at %d recipients", n, 4*each)
		}
	})
}

func raise(m *atomic.Int64, v int64) {
	for old := m.Load(); v > old && !m.CompareAndSwap(old, v); old = m.Load() {
	}
}

// The runner sleeps until the next row is due and needs no poll.
func TestRunnerWakesForARetry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Now = time.Now
		w.clock.t = time.Now()
		failed := false
		var mu sync.Mutex
		w.tr.outcome = func(delivery.Recipient) delivery.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if !failed {
				failed = true
				return delivery.Deferred
			}
			return delivery.Delivered
		}
		w.Schedule = nil
		w.run()
		w.put("x@b.test")
		eventually(t, "first attempt", func() bool { return w.item("x@b.test").State == spool.Waiting })
		soon := store.Time(time.Now().Add(300 * time.Millisecond))
		w.exec(`UPDATE recipients SET due = ?`, soon)
		w.exec(`UPDATE lanes SET next = ?`, soon)
		w.Wake()
		eventually(t, "second attempt", func() bool { return w.item("x@b.test").State == spool.Delivered })
	})
}

// Several machines on one database deliver each message once.
func TestSeveralMachines(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	const machines, messages = 3, 60
	var mu sync.Mutex
	got := map[string]int{}
	worlds := make([]*world, machines)
	for i := range worlds {
		s := openPostgres(t, url)
		w := newWorld(t, s, fmt.Sprintf("machine-%d", i))
		w.tr.during = func(_ context.Context, job *delivery.Job) {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range job.Recipients {
				got[r.Address]++
			}
		}
		worlds[i] = w
	}
	for i := range messages { // a backlog for all
		worlds[0].put(fmt.Sprintf("ok.%d@a.test", i), fmt.Sprintf("ok.%d@b.test", i))
	}
	for _, w := range worlds {
		w.run()
	}
	for i := range messages { // and fresh mail at each
		worlds[i%machines].put(fmt.Sprintf("ok.%d@c.test", i))
	}
	eventually(t, "all", func() bool {
		for _, w := range worlds {
			w.clock.add(time.Second)
			w.Wake()
		}
		c, err := worlds[0].Count(context.Background())
		return err == nil && c[spool.Delivered] == 3*messages
	})
	for a, n := range got {
		if n != 1 {
			t.Errorf("%s was delivered %d times", a, n)
		}
	}
	if len(got) != 3*messages {
		t.Errorf("%d recipients of %d", len(got), 3*messages)
	}
	if worlds[0].rows("bodies") != 0 {
		t.Error("bodies are left")
	}
}

// QUE-2: a fresh lease outlasts what a host may take from the end of a message to
// its answer, so that nothing has to be written before each final dot.
func TestLeaseOutlastsTheAnswer(t *testing.T) {
	t.Parallel()
	if wait := (smtpclient.Timeouts{}).Settle() + time.Minute; defaultLease < wait+defaultLease/4 {
		t.Errorf("a lease of %v, renewed every quarter of it, is too short for %v", defaultLease, wait)
	}
}
