package queue

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// turn claims and attempts all that may be attempted now, within the caps, and
// returns how many jobs that were. The board is open.
func (w *world) turn() (n int) {
	w.t.Helper()
	for {
		jobs, more, err := w.claim(context.Background(), 100)
		if err != nil {
			w.t.Fatal(err)
		}
		w.giveBack(context.Background(), w.board.Add(jobs, false), w.clock.now())
		began := n
		for j := w.board.Next(); j != nil; j = w.board.Next() {
			w.perform(j)
			w.board.Done(j)
			n++
		}
		if n == began && !(more && len(jobs) == 0) {
			return n
		}
	}
}

// network is a transport with routes. Whoever is in down does not answer.
type network struct {
	mu   sync.Mutex
	ways route.Ways
	lost error           // why the routes cannot be read; nil: they can
	down map[string]bool // contacts
	at   map[string]int  // attempts, by contact
}

func newNetwork(w *world, rules ...route.Rule) *network {
	n := &network{down: map[string]bool{}, at: map[string]int{}}
	n.ways = route.Ways{Generation: 1, Rules: rules, Transports: map[string]route.Transport{
		"office": {Name: "office", Kind: route.Smarthost}, "spare": {Name: "spare", Kind: route.Smarthost},
		"tor": {Name: "tor", Kind: route.SOCKS5}}}
	w.Direct, w.Queue.Ways = n, n.Ways
	return n
}

func (n *network) Ways(context.Context) (*route.Ways, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.ways
	return &w, n.lost
}

// follow sets other routes.
func (n *network) follow(rules ...route.Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways.Rules = rules
	n.ways.Generation++
}

func (n *network) Deliver(_ context.Context, j *delivery.Job, _ delivery.Content) delivery.Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, contact := j.Way, j.Way.Contact.String()
	if c.Transport == "" {
		return delivery.Result{Transport: delivery.ByNone, Recipients: []delivery.RecipientResult{
			{ID: j.Recipients[0].ID, Outcome: delivery.Deferred, Word: "routes-unreadable", Text: "its log says why"}}}
	}
	n.at[contact]++
	var res delivery.Result
	if res = unreachable(j.Recipients[0]); !n.down[contact] {
		res = delivery.Result{Recipients: []delivery.RecipientResult{{ID: j.Recipients[0].ID, Outcome: delivery.Delivered}}}
	}
	res.Transport = "direct"
	switch way, shared := j.Way.Contact.Shared(); {
	case shared:
		res.Name = c.Transport
		if n.down[way.String()] {
			n.at[way.String()]++
			res = unreachable(j.Recipients[0])
			res.Visits[0].Sessions[0].Err.Word = reason.ProxyFailed
			res.Transport, res.Name = "direct", c.Transport
		} else if !n.down[contact] {
			res.Visits = []delivery.Visit{{Sessions: []delivery.Session{{Connected: true, Greeted: true}}}}
		}
	case c.Transport != route.DirectName:
		res.Transport, res.Name = "relay", c.Transport
	}
	return res
}

func (n *network) attempts(contact string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at[contact]
}

// left is how many recipients are not delivered.
func (w *world) left() (n int) {
	w.t.Helper()
	for after := int64(0); ; {
		items, err := w.List(context.Background(), spool.Filter{After: after, Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		if n += len(items); len(items) < 1000 {
			return n
		}
		after = items[len(items)-1].Recipient.ID
	}
}

func (w *world) closedOnes() map[string]spool.Closed {
	w.t.Helper()
	all, err := w.Closed(context.Background(), 10)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]spool.Closed{}
	for _, c := range all {
		out[c.Domain+"|"+c.Transport] = c
	}
	return out
}

var officeOfA = route.Rule{Scope: route.OfAccount, Owner: "a", Transport: "office"}

// backlogOfA puts in mail of the account a, to 100 domains.
func (w *world) backlogOfA(n int) {
	w.t.Helper()
	for i := range n {
		env := mail(w.t, fmt.Sprintf("ok.%d@d%d.test", i, i%100))
		env.Account = "a"
		if i%5 == 0 { // by its own transport, of no account
			env.Account, env.Transport = "", "office"
		}
		w.enqueue(env)
	}
}

// QUE-3: a relay that is down is one destination: it gets the probes, and no more,
// for all the mail that routes and messages send there; what goes directly to the
// same domains goes on; when it answers, everything flows. A second machine keeps
// away too.
func TestDeadRelay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const backlog = 500
		n := newNetwork(w, officeOfA)
		n.down["via:office"] = true
		w.backlogOfA(backlog)
		other := newWorld(t, w.Store, "two")
		other.clock, other.Now, other.Direct, other.Ways = w.clock, w.clock.now, n, n.Ways
		w.board.Open()
		other.board.Open()
		if k := w.turn(); k < 3 || k > 12 {
			t.Errorf("%d attempts before it closed", k)
		}
		closed := w.closedOnes()
		office, ok := closed["|office"]
		if len(closed) != 1 || !ok {
			t.Fatalf("closed: %v", closed)
		}
		env := mail(t, "ok.direct@d5.test")
		env.Account = "b"
		w.enqueue(env)
		eventually(t, "direct mail to a domain of the dead relay", func() bool { return w.item("ok.direct@d5.test").State == spool.Delivered })
		if n.attempts("d5.test") != 1 {
			t.Error("it did not go directly")
		}
		if k := w.turn() + other.turn(); k != 0 {
			t.Errorf("%d attempts at the closed relay", k)
		}
		for range 3 {
			w.clock.add(office.Until.Sub(w.clock.now()))
			before := n.attempts("via:office")
			w.turn()
			other.turn()
			if k := n.attempts("via:office") - before; k != 1 {
				t.Errorf("%d probes by two machines", k)
			}
			office = w.closedOnes()["|office"]
		}
		n.mu.Lock()
		n.down = map[string]bool{}
		n.mu.Unlock()
		w.clock.add(office.Until.Sub(w.clock.now()))
		for range 200 {
			w.board.Wanted()
			w.turn()
			w.clock.add(time.Minute)
		}
		if k := w.left(); k != 0 || len(w.closedOnes()) != 0 || n.attempts("via:office") < backlog {
			t.Errorf("after it answered %d are left, closed: %v", k, w.closedOnes())
		}
	})
}

// QUE-3: a proxy that is down is one destination, whatever the domains behind it: it
// gets the probes and no more, from two machines together; what goes without it goes on;
// when it answers, everything flows. A domain behind it closes by itself.
func TestDeadProxy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const backlog = 300
		n := newNetwork(w, route.Rule{Scope: route.OfAccount, Owner: "a", Transport: "tor"})
		n.down["via:tor"] = true
		for i := range backlog {
			env := mail(t, fmt.Sprintf("ok.%d@d%d.test", i, i%100))
			env.Account = "a"
			w.enqueue(env)
		}
		other := newWorld(t, w.Store, "two")
		other.clock, other.Now, other.Direct, other.Ways = w.clock, w.clock.now, n, n.Ways
		w.board.Open()
		other.board.Open()
		if k := w.turn(); k < 3 || k > 12 {
			t.Errorf("%d attempts before it closed", k)
		}
		closed := w.closedOnes()
		tor, ok := closed["|tor"]
		if len(closed) != 1 || !ok {
			t.Fatalf("closed: %v", closed)
		}
		env := mail(t, "ok.direct@d5.test")
		env.Account = "b"
		w.enqueue(env)
		eventually(t, "mail without the proxy", func() bool { return w.item("ok.direct@d5.test").State == spool.Delivered })
		if k := w.turn() + other.turn(); k != 0 {
			t.Errorf("%d attempts at the closed proxy", k)
		}
		for range 3 {
			w.clock.add(tor.Until.Sub(w.clock.now()))
			before := n.attempts("via:tor")
			w.turn()
			other.turn()
			if k := n.attempts("via:tor") - before; k != 1 {
				t.Errorf("%d probes by two machines", k)
			}
			tor = w.closedOnes()["|tor"]
		}
		n.mu.Lock()
		n.down = map[string]bool{"d7.test via:tor": true}
		n.mu.Unlock()
		w.clock.add(tor.Until.Sub(w.clock.now()))
		for range 200 {
			w.board.Wanted()
			w.turn()
			w.clock.add(time.Minute)
		}
		closed = w.closedOnes()
		if k := w.left(); k != 3 || len(closed) != 1 || closed["d7.test|tor"].Failures == 0 {
			t.Errorf("after it answered %d are left, closed: %v", k, closed)
		}
	})
}

// An operator's word opens the proxy with the mail that he wants to see go.
func TestRetryOpensTheProxy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, route.Rule{Scope: route.OfAccount, Owner: "a", Transport: "tor"})
		n.down["via:tor"] = true
		for i := range 5 {
			env := mail(t, fmt.Sprintf("ok.%d@d%d.test", i, i))
			env.Account = "a"
			w.enqueue(env)
		}
		w.board.Open()
		w.turn()
		if len(w.closedOnes()) != 1 {
			t.Fatalf("closed: %v", w.closedOnes())
		}
		n.mu.Lock()
		n.down = map[string]bool{}
		n.mu.Unlock()
		if _, err := w.Retry(t.Context(), spool.Filter{}); err != nil {
			t.Fatal(err)
		}
		w.turn()
		if k := w.left(); k != 0 || len(w.closedOnes()) != 0 {
			t.Errorf("%d are left, closed: %v", k, w.closedOnes())
		}
	})
}

// A domain that is down closes for what goes there directly; a relay takes mail
// for it all the same. An earlier relay closed its domains for everybody.
func TestDeadDomainBehindARelay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, officeOfA)
		n.down["d5.test"] = true
		for i := range 10 {
			env := mail(t, fmt.Sprintf("ok.direct%d@d5.test", i))
			env.Account = "b"
			w.enqueue(env)
		}
		w.board.Open()
		w.turn()
		if c := w.closedOnes(); len(c) != 1 || c["d5.test|"].Failures != 3 {
			t.Fatalf("closed: %v", c)
		}
		env := mail(t, "ok.relayed@d5.test")
		env.Account = "a"
		w.enqueue(env)
		eventually(t, "relayed mail to a domain that is closed", func() bool { return w.item("ok.relayed@d5.test").State == spool.Delivered })
		if c := w.closedOnes(); len(c) != 1 {
			t.Errorf("closed: %v", c)
		}
	})
}

// TRA-4: when the routes change, what waits for a closed relay goes the new way
// without waiting for a probe; a claim corrects what was missed.
func TestRoutesChangeForWaitingMail(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, w *world, n *network){
		"another route": func(t *testing.T, w *world, n *network) {
			n.follow(route.Rule{Scope: route.OfServer, Transport: "spare"})
			w.lookAtRoutes(t.Context())
			if len(w.moved) != 1 {
				t.Error("not noticed")
			}
			if err := w.reroute(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-w.moved
			if w.lookAtRoutes(t.Context()); len(w.moved) != 0 {
				t.Error("noticed twice")
			}
		},
		"an operator's transport": func(t *testing.T, w *world, _ *network) {
			if c, err := w.SetTransport(t.Context(), spool.Filter{}, "spare"); err != nil || c.Done != 40 {
				t.Fatal(c, err)
			}
		},
		"missed": func(t *testing.T, w *world, n *network) {
			n.follow(route.Rule{Scope: route.OfServer, Transport: "spare"})
			w.clock.add(2 * time.Hour) // the lane of the dead relay opens
		},
		"retried by hand": func(t *testing.T, w *world, n *network) {
			n.follow(route.Rule{Scope: route.OfServer, Transport: "spare"})
			if c, err := w.Retry(t.Context(), spool.Filter{}); err != nil || c.Done != 40 {
				t.Fatal(c, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				n := newNetwork(w, officeOfA)
				n.down["via:office"] = true
				for i := range 40 {
					env := mail(t, fmt.Sprintf("ok.%d@d%d.test", i, i))
					env.Account = "a"
					w.enqueue(env)
				}
				w.board.Open()
				w.turn()
				if len(w.closedOnes()) != 1 {
					t.Fatal("not closed")
				}
				before := n.attempts("via:office")
				change(t, w, n)
				w.turn()
				w.clock.add(5 * time.Minute) // those that were tried
				w.turn()
				if k := w.left(); k != 0 || n.attempts("via:office") != before || n.attempts("via:spare") != 40 {
					t.Errorf("%d left; attempts %v", k, maps.Clone(n.at))
				}
			})
		})
	}
}

// Retry opens what is closed, a relay too.
func TestRetryOpensARelay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, officeOfA)
		n.down["via:office"] = true
		w.backlogOfA(20)
		w.board.Open()
		w.turn()
		n.mu.Lock()
		n.down = nil
		n.mu.Unlock()
		if _, err := w.Retry(t.Context(), spool.Filter{Domain: "d6.test"}); err != nil {
			t.Fatal(err)
		}
		w.turn()
		if it := w.item("ok.6@d6.test"); it.State != spool.Delivered || len(w.closedOnes()) != 0 {
			t.Errorf("%+v, closed: %v", it, w.closedOnes())
		}
	})
}

// A route that begins after some attempts: the next one waits for the relay.
func TestRouteAfterAttempts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := newNetwork(w, route.Rule{Scope: route.OfServer, MinAttempts: 1, Transport: "office"})
		n.down["b.test"] = true
		w.put("ok.a@b.test")
		w.step()
		lanes := 0
		for _, k := range w.lanes(t) {
			if lanes++; k.To.String() != "via:office" {
				t.Errorf("waits for %s", k.To.String())
			}
		}
		w.clock.add(2 * time.Minute)
		w.step()
		if it := w.item("ok.a@b.test"); it.State != spool.Delivered || lanes != 1 {
			t.Errorf("%+v", it)
		}
		items, err := w.List(t.Context(), spool.Filter{Domain: "b.test", States: []spool.State{spool.Delivered}})
		if err != nil || len(items) != 1 {
			t.Errorf("%v %v", items, err)
		}
	})
}

func (w *world) lanes(t *testing.T) []delivery.Lane {
	t.Helper()
	out, err := store.Read(t.Context(), w.Store, func(tx *store.Tx) ([]delivery.Lane, error) { return spool.LanesAfter(tx, delivery.Lane{}) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}
