package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

func unreachable(r delivery.Recipient) delivery.Result {
	return delivery.Result{
		Visits:     []delivery.Visit{{Sessions: []delivery.Session{{Err: &delivery.Failure{Text: "connection refused"}}}}},
		Recipients: []delivery.RecipientResult{{ID: r.ID, Outcome: delivery.Deferred, Word: "connect-refused", Text: "connection refused"}},
	}
}

// dead is a transport that cannot reach dead.test.
type dead struct {
	*script
	up bool
}

func (d *dead) Deliver(ctx context.Context, j *delivery.Job, c delivery.Content) delivery.Result {
	res := d.script.Deliver(ctx, j, c)
	if j.Domain.String() != "dead.test" || d.up {
		return res
	}
	return unreachable(j.Recipients[0])
}

// QUE-3: a destination that cannot be reached closes for its whole backlog, and
// for no other; delays are told and messages expire on time all the same; after
// its first answer all goes on.
func TestDeadDestination(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := &dead{script: w.tr}
		w.Direct = d
		for i := range 30 {
			w.put(fmt.Sprintf("ok.%d@dead.test", i))
		}
		w.board.Open() // the caps hold; the test starts the jobs
		turn := w.turn
		if n := turn(); n < 3 || n > 12 {
			t.Errorf("%d attempts before it closed", n)
		}
		closed, err := w.Closed(context.Background(), 10)
		if err != nil || len(closed) != 1 || closed[0].Domain != "dead.test" || closed[0].Failures != 3 {
			t.Errorf("closed: %+v, %v", closed, err)
		}
		w.put("ok.other@b.test")
		w.put("ok.new@dead.test")
		eventually(t, "others go on", func() bool { return w.item("ok.other@b.test").State == spool.Delivered })
		if n := turn(); n != 0 {
			t.Errorf("%d attempts at the closed one", n)
		}
		w.clock.add(closed[0].Until.Sub(w.clock.now()))
		before := len(w.tr.seen())
		turn()
		if n := len(w.tr.seen()) - before; n != 1 {
			t.Errorf("%d probes", n)
		}
		w.clock.add(5*time.Hour - w.clock.now().Sub(noon))
		turn()
		if n := len(w.notices()); n < 29 {
			t.Errorf("%d notices of delay", n)
		}
		d.up = true
		for range 40 {
			w.clock.add(10 * time.Minute)
			w.board.Wanted()
			turn()
		}
		left, err := w.List(context.Background(), spool.Filter{Domain: "dead.test", States: []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Failed}})
		if err != nil || len(left) != 0 {
			t.Errorf("after it answered: %v, %v", left, err)
		}
		if closed, _ := w.Closed(context.Background(), 10); len(closed) != 0 {
			t.Errorf("still closed: %+v", closed)
		}
	})
}

// What waits for a closed destination fails when its time is over.
func TestExpiryOfAClosedDestination(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@dead.test")
		w.clock.add(4*time.Hour + time.Second)
		w.shut("dead.test", time.Hour)
		w.step()
		if n := w.notices(); len(n) != 1 || len(w.tr.seen()) > 0 {
			t.Errorf("%d notices", len(n))
		}
		w.clock.add(120 * time.Hour)
		w.shut("dead.test", time.Hour)
		w.step()
		if it := w.item("ok.a@dead.test"); it.State != spool.Failed || it.Word != "expired" || !strings.Contains(it.Text, "in 0 attempts") {
			t.Errorf("%+v", it)
		}
	})
}

// shut closes a destination for some time, as some machine might.
func (w *world) shut(domain string, d time.Duration) {
	w.t.Helper()
	w.exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, 0, ?, 9, 1, 'refused')
		ON CONFLICT (dest, local) DO UPDATE SET blocked = excluded.blocked`, domain, store.Time(w.clock.now().Add(d)))
}

// QUE-3: a destination that is closed for longer than any closing lasts was closed
// by a clock that was wrong. It is open, and no lane waits until then.
func TestClosedByAWrongClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, then := range map[string]func(w *world){
		"mail that is due is tried": func(*world) {},
		"what has to be looked at is tried": func(w *world) {
			w.clock.add(4*time.Hour + time.Second)
		},
		"a lane that waits is found": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			if n := w.step(); n != 0 {
				w.t.Errorf("%d attempts", n)
			}
			w.sweep(context.Background())
		},
		"other mail opens it": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			env := mail(w.t, "ok.other@dead.test")
			env.Account = "other"
			w.enqueue(env)
			if w.step(); w.item("ok.other@dead.test").State != spool.Delivered {
				w.t.Error("mail of another account was not tried")
			}
		},
		"a failed attempt closes it for an hour": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			env := mail(w.t, "later.other@dead.test")
			env.Account = "other"
			w.enqueue(env)
			d := &dead{script: w.tr}
			w.Direct = d
			w.step()
			d.up = true
			w.clock.add(2 * time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.put("ok.a@dead.test")
				w.shut("dead.test", year)
				then(w)
				w.step()
				if it := w.item("ok.a@dead.test"); it.State != spool.Delivered {
					t.Errorf("%+v", it)
				}
			})
		})
	}
}

// A closed destination is forgotten a day after nothing waits for it any more: no
// answer would ever open it, and the list would grow with every dead domain.
func TestClosedDestinationIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.put("later.a@waits.test")
		for _, d := range []string{"waits.test", "gone.test"} {
			w.exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, 0, ?, 3, 1, 'refused')`, d, store.Time(noon))
		}
		w.clock.add(24 * time.Hour) // as long as it is known
		w.sweep(ctx)
		if n := w.rows("destinations"); n != 2 {
			t.Errorf("%d left, one was forgotten too early", n)
		}
		w.clock.add(time.Second)
		w.sweep(ctx)
		closed, err := w.Closed(ctx, 10)
		if err != nil || len(closed) != 1 || closed[0].Domain != "waits.test" {
			t.Errorf("left: %+v, %v", closed, err)
		}
	})
}

// One account's mail to many destinations that nobody knows yet may take its share of the
// board, and the rest of it comes as the first is done: nothing waits for the clock.
func TestManyNewDestinations(t *testing.T) { // QUE-3
	each(t, func(t *testing.T, w *world) {
		const messages = 280 // more than a claim reads of an account
		w.resize(dispatch.Bounds{Concurrency: 10, PerContact: 20})
		for i := range messages {
			w.put(fmt.Sprintf("ok.a@d%d.test", i))
		}
		w.board.Open()
		done := 0
		for again := true; again; {
			jobs, more, err := w.claim(context.Background(), 100)
			if err != nil {
				t.Fatal(err)
			}
			w.giveBack(context.Background(), w.board.Add(jobs, false), w.clock.now())
			again = more && len(jobs) > 0
			for j := w.board.Next(); j != nil; j = w.board.Next() {
				w.perform(j)
				again = w.board.Done(j) || again
				done++
			}
		}
		if done != messages {
			t.Errorf("%d of %d were tried, and nobody was woken for the others", done, messages)
		}
	})
}
