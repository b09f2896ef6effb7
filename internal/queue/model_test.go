package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"

	"pgregory.net/rapid"
)

// model drives two machines on one store with random outcomes, crashes, late
// settlements and jumps of the clock. Its invariants: no recipient is lost, and
// none is settled twice.
type model struct {
	rt      *rapid.T
	t       *testing.T
	clock   *clock
	worlds  [2]*world
	held    [2][]*job // claimed and neither settled nor forgotten
	zombies []zombie  // of crashed machines: they may still come back and settle
	final   map[int64]delivery.Outcome
	twice   []int64
	current map[int64]*job             // who holds a recipient's lease by rights
	drawn   map[int64]delivery.Outcome // what the last attempt at it came to
	all     []*delivery.Envelope
}

type zombie struct {
	j *job
	w *world
}

func newModel(rt *rapid.T, t *testing.T, s *store.Store) *model {
	m := &model{rt: rt, t: t, clock: &clock{t: noon}, final: map[int64]delivery.Outcome{},
		current: map[int64]*job{}, drawn: map[int64]delivery.Outcome{}}
	for i := range m.worlds {
		m.worlds[i] = m.machine(s, i)
	}
	return m
}

func (m *model) machine(s *store.Store, i int) *world {
	w := newWorld(m.t, s, fmt.Sprintf("machine-%d", i))
	w.clock, w.Now = m.clock, m.clock.now
	w.History = -1
	w.Settled = func(_ *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
		if _, ok := m.final[rr.ID]; ok {
			m.twice = append(m.twice, rr.ID)
		}
		m.final[rr.ID] = rr.Outcome
		return nil
	}
	w.tr.outcome = func(r delivery.Recipient) delivery.Outcome {
		m.drawn[r.ID] = rapid.SampledFrom([]delivery.Outcome{delivery.Pending, delivery.Delivered, delivery.Deferred, delivery.Failed}).Draw(m.rt, "outcome")
		return m.drawn[r.ID]
	}
	return w
}

func (m *model) pick() (int, *world) {
	i := rapid.IntRange(0, 1).Draw(m.rt, "machine")
	return i, m.worlds[i]
}

// take notes that a machine has leased jobs.
func (m *model) take(i int, jobs []*job) {
	m.held[i] = append(m.held[i], jobs...)
	for _, j := range jobs {
		for _, id := range j.lease.ids {
			m.current[id] = j
		}
	}
}

// free notes that the leases of machine i are no more.
func (m *model) free(i int, of func(*job) bool) {
	for id, j := range m.current {
		if j.lease.q.Owner == m.worlds[i].Owner && of(j) {
			delete(m.current, id)
		}
	}
}

// perform makes an attempt. What came of it under a lease that holds must be
// what the store says, whatever others try.
func (m *model) perform(w *world, j *job) {
	for _, id := range j.lease.ids { // of an earlier attempt, whose lease was lost
		delete(m.drawn, id)
	}
	w.perform(j)
	for _, id := range j.lease.ids {
		if m.current[id] != j {
			continue
		}
		delete(m.current, id)
		want := m.drawn[id]
		if got, ok := m.final[id]; (want == delivery.Delivered || want == delivery.Failed) && (!ok || got != want) {
			m.rt.Fatalf("recipient %d was %v under a good lease, and that was not settled", id, want)
		}
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	ctx := context.Background()
	return map[string]func(*rapid.T){
		"accept": func(rt *rapid.T) {
			_, w := m.pick()
			var to []string
			for i := range rapid.IntRange(1, 4).Draw(rt, "recipients") {
				to = append(to, fmt.Sprintf("r%d@d%d.test", i, rapid.IntRange(0, 1).Draw(rt, "domain")))
			}
			env := mail(m.t, to...)
			env.Sender = "" // no notifications: the model counts recipients
			w.enqueue(env)
			m.all = append(m.all, env)
		},
		"accept leased": func(rt *rapid.T) { // as with a running runner
			i, w := m.pick()
			env := mail(m.t, "fresh@d0.test")
			env.Sender, env.Accepted = "", m.clock.now()
			w.board.Open()
			if !w.board.Reserve([]delivery.Contact{{Domain: "d0.test"}}, "", 0) {
				w.board.Close() // its destination is closed
				return
			}
			w.board.Unreserve(1, "", 0)
			w.board.Await(1) // nothing starts by itself
			w.enqueue(env)
			w.board.Await(-1)
			m.take(i, w.board.Close())
			m.all = append(m.all, env)
		},
		"claim": func(rt *rapid.T) {
			i, w := m.pick()
			jobs, _, err := w.claim(ctx, rapid.IntRange(1, 5).Draw(rt, "limit"))
			if err != nil {
				rt.Fatal(err)
			}
			m.take(i, jobs)
		},
		"attempt": func(rt *rapid.T) {
			i, w := m.pick()
			if len(m.held[i]) > 0 {
				j := m.held[i][0]
				m.held[i] = m.held[i][1:]
				m.perform(w, j)
			}
		},
		"extend": func(*rapid.T) {
			i, _ := m.pick()
			for _, j := range m.held[i] {
				_ = j.Lease.Extend(ctx, time.Hour)
			}
		},
		"give back": func(*rapid.T) {
			i, w := m.pick()
			w.giveBack(ctx, m.held[i], m.clock.now())
			m.free(i, func(j *job) bool { return slices.Contains(m.held[i], j) })
			m.held[i] = nil
		},
		"crash": func(*rapid.T) {
			i, w := m.pick()
			for _, j := range m.held[i] {
				m.zombies = append(m.zombies, zombie{j, w})
			}
			m.held[i] = nil
			m.worlds[i] = m.machine(w.Store, i)
		},
		"restart": func(rt *rapid.T) {
			i, w := m.pick()
			m.free(i, func(*job) bool { return true })
			if err := w.reclaim(ctx); err != nil {
				rt.Fatal(err)
			}
		},
		"zombie": func(*rapid.T) {
			if len(m.zombies) > 0 {
				z := m.zombies[0]
				m.zombies = m.zombies[1:]
				m.perform(z.w, z.j)
			}
		},
		"hold": func(rt *rapid.T) {
			_, w := m.pick()
			m.acted(w.Hold(ctx, m.filter(rt), "model"))
		},
		"unhold": func(rt *rapid.T) {
			_, w := m.pick()
			m.acted(w.Unhold(ctx, m.filter(rt)))
		},
		"retry": func(rt *rapid.T) {
			_, w := m.pick()
			m.acted(w.Retry(ctx, m.filter(rt)))
		},
		"set": func(rt *rapid.T) {
			_, w := m.pick()
			m.acted(w.SetNeed(ctx, m.filter(rt), delivery.TLSNeed(rapid.IntRange(0, 2).Draw(rt, "need"))))
			m.acted(w.SetTransport(ctx, m.filter(rt), rapid.SampledFrom([]string{"", "relay"}).Draw(rt, "transport")))
		},
		"end": func(rt *rapid.T) {
			_, w := m.pick()
			f := m.filter(rt)
			if rapid.Bool().Draw(rt, "drop") {
				m.acted(w.Drop(ctx, f))
			} else {
				m.acted(w.Fail(ctx, f, "model"))
			}
		},
		"close": func(rt *rapid.T) { // a destination cannot be reached
			_, w := m.pick()
			w.exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, 0, ?, 5, 1, '') ON CONFLICT (dest, local) DO NOTHING`,
				m.domain(rt), store.Time(m.clock.now().Add(time.Hour)))
		},
		"clock": func(rt *rapid.T) {
			m.clock.add(time.Duration(rapid.IntRange(-3600, 48*3600).Draw(rt, "seconds")) * time.Second)
		},
		"": func(rt *rapid.T) {
			if len(m.twice) > 0 {
				rt.Fatalf("settled twice: %v", m.twice)
			}
		},
	}
}

func (m *model) domain(rt *rapid.T) string {
	return fmt.Sprintf("d%d.test", rapid.IntRange(0, 1).Draw(rt, "of"))
}

func (m *model) filter(rt *rapid.T) spool.Filter {
	if rapid.Bool().Draw(rt, "all") {
		return spool.Filter{}
	}
	return spool.Filter{Domain: m.domain(rt)}
}

func (m *model) acted(_ Changed, err error) {
	if err != nil {
		m.rt.Fatal(err)
	}
}

// drain lets time pass until everything must have come to its end.
func (m *model) drain() {
	clear(m.current) // steps take all
	for range 40 {
		if m.worlds[0].rows("recipients") == 0 {
			break
		}
		m.acted(m.worlds[0].Unhold(context.Background(), spool.Filter{}))
		m.clock.add(24 * time.Hour)
		m.worlds[0].step()
	}
	for i := range m.held { // late, and refused
		for _, j := range m.held[i] {
			m.perform(m.worlds[i], j)
		}
	}
	for _, env := range m.all {
		for _, r := range env.Recipients {
			if _, ok := m.final[r.ID]; !ok {
				m.rt.Fatalf("lost: %s of message %d", r.Address, env.ID)
			}
			delete(m.final, r.ID)
		}
	}
	if len(m.final) > 0 || len(m.twice) > 0 {
		m.rt.Fatalf("settled twice %v, settled but never accepted: %v", m.twice, m.final)
	}
	m.worlds[0].exec(`DELETE FROM destinations`)
	for _, table := range []string{"messages", "recipients", "bodies"} {
		if n := m.worlds[0].rows(table); n != 0 {
			m.rt.Fatalf("%d rows are left in %s", n, table)
		}
	}
}

// Design: no accepted message is lost; QUE-2: a recipient is never settled twice.
func TestModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		runs, most := 0, 100
		if s.Postgres() || testing.Short() {
			most = 15 // the same statements, over a socket
		}
		rapid.Check(t, func(rt *rapid.T) {
			if runs++; runs > most {
				return
			}
			m := newModel(rt, t, s)
			rt.Repeat(m.actions())
			m.drain()
		})
	})
}
