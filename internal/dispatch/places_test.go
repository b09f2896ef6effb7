package dispatch

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

// sim is a board in a world whose clock stands still between events.
type sim struct {
	t      *testing.T
	b      *Board[*job]
	now    time.Time
	events events
	takes  func(domain string) time.Duration // a delivery to a domain
	waits  map[*job]time.Time                // when each good job came
	late   []time.Duration                   // how long the good ones waited
	store  []*job                            // what the board had no room for, the oldest first
	good   map[string]bool                   // domains that answer
}

type event struct {
	at  time.Time
	run func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newSim(t *testing.T, concurrency int, takes func(string) time.Duration) *sim {
	s := &sim{t: t, now: noon, takes: takes, waits: map[*job]time.Time{}, good: map[string]bool{}}
	s.b = New[*job](Bounds{Concurrency: concurrency, PerContact: 20}, func() time.Time { return s.now })
	s.b.Open()
	return s
}

func (s *sim) at(t time.Time, run func()) { heap.Push(&s.events, event{t, run}) }

func (s *sim) run(until time.Duration) {
	for end := noon.Add(until); len(s.events) > 0 && !s.events[0].at.After(end); {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		e.run()
		s.start()
	}
}

// arrive is a message that is accepted: it goes on the board, or into the store.
func (s *sim) arrive(domain, account string, good bool) {
	j := boardJob(domain, false)
	j.Account = account
	if good {
		s.waits[j], s.good[domain] = s.now, true
	}
	if s.b.Reserve([]delivery.Contact{j.To}, account, 0) {
		s.b.Add([]*job{j}, true)
		return
	}
	s.store = append(s.store, j)
}

// claim takes from the store what the board has room for, accounts in turn as a claim does.
func (s *sim) claim() {
	byAccount := map[string][]*job{}
	var order []string
	for _, j := range s.store {
		if byAccount[j.Account] == nil {
			order = append(order, j.Account)
		}
		byAccount[j.Account] = append(byAccount[j.Account], j)
	}
	s.store = nil
	for len(order) > 0 {
		a := order[0]
		j := byAccount[a][0]
		byAccount[a] = byAccount[a][1:]
		order = order[1:]
		if len(byAccount[a]) > 0 {
			order = append(order, a)
		}
		if s.b.State().Room > 0 && allowed(s.b, j.To, a) > 0 {
			s.b.Add([]*job{j}, false)
			continue
		}
		s.store = append(s.store, j)
	}
}

func (s *sim) start() {
	for j := s.b.Next(); j != nil; j = s.b.Next() {
		if came, ok := s.waits[j]; ok {
			s.late = append(s.late, s.now.Sub(came))
		}
		began := s.now
		s.at(s.now.Add(s.takes(j.To.Domain)), func() {
			l := lesson{j.To, retry.Good, true}
			if !s.good[j.To.Domain] {
				l = lesson{j.To, retry.Unreachable, false}
			}
			s.b.learn(l, began, s.now, 0.5)
			if s.b.Done(j) {
				s.claim()
			}
		})
	}
}

// flow is good mail: a steady stream to domains that answer in half a second, some of
// them never heard of before.
func (s *sim) flow(from, until time.Duration, perSecond int) {
	pause := time.Second / time.Duration(perSecond)
	for i := 0; from+time.Duration(i)*pause < until; i++ {
		domain := fmt.Sprintf("good%d.test", i%20)
		if i%10 == 0 {
			domain = fmt.Sprintf("new%d.test", i)
		}
		s.at(noon.Add(from+time.Duration(i)*pause), func() { s.arrive(domain, fmt.Sprintf("user%d", i%7), true) })
	}
	for d := from; d < until; d += 10 * time.Second { // as the runner looks now and then
		s.at(noon.Add(d), s.claim)
	}
}

func (s *sim) worst() time.Duration {
	if len(s.late) == 0 {
		return -1
	}
	return slices.Max(s.late)
}

func tarpits(domain string) time.Duration {
	if domain[0] == 't' {
		return 20 * time.Minute
	}
	return 500 * time.Millisecond
}

// QUE-3: one account's mail to tarpits, hosts that take a connection and hold it for
// twenty minutes, leaves the mail of others as quick as it was without, whether those
// domains are known or not. Slow name servers, slow policy hosts and hosts that never greet
// look the same from here: a delivery that takes long.
func TestTarpitsOfOneAccount(t *testing.T) {
	t.Parallel()
	sizes := []int{40, 100, 500}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, concurrency := range sizes {
		perSecond := concurrency / 4
		quiet := newSim(t, concurrency, tarpits)
		quiet.flow(0, 10*time.Minute, perSecond)
		quiet.run(10 * time.Minute)
		s := newSim(t, concurrency, tarpits)
		for i := range 5000 {
			s.at(noon.Add(time.Duration(i)*time.Millisecond), func() { s.arrive(fmt.Sprintf("t%d.test", i%1000), "bulk", false) })
		}
		s.flow(0, 10*time.Minute, perSecond)
		s.run(10 * time.Minute)
		if len(s.late) != len(quiet.late) || s.worst() > quiet.worst()+2*time.Second {
			t.Errorf("of %d: %d good deliveries began, the last after %v; without tarpits %d, after %v", concurrency, len(s.late), s.worst(), len(quiet.late), quiet.worst())
		}
		if s.b.tally.silent == 0 || s.b.tally.silentOf["bulk"] > (concurrency+3)/4+1 {
			t.Errorf("of %d: %d places are silent, %d of the account", concurrency, s.b.tally.silent, s.b.tally.silentOf["bulk"])
		}
	}
}

// Domains that answered and all become tarpits at one moment, behind one provider: what
// is under way stays so, and the rest is kept from taking all places.
func TestDestinationsBecomeTarpits(t *testing.T) {
	t.Parallel()
	const concurrency = 100
	turned := false
	s := newSim(t, concurrency, func(domain string) time.Duration {
		if domain[0] == 't' && turned {
			return 20 * time.Minute
		}
		return 500 * time.Millisecond
	})
	for i := range 200 {
		s.good[fmt.Sprintf("t%d.test", i)] = true
	}
	for i := range 40 * 60 * 10 {
		at := noon.Add(time.Duration(i) * 25 * time.Millisecond)
		s.at(at, func() { s.arrive(fmt.Sprintf("t%d.test", i%200), fmt.Sprintf("user%d", i%5), false) })
	}
	s.at(noon.Add(time.Minute), func() { turned = true })
	s.flow(0, 10*time.Minute, 20)
	s.run(10 * time.Minute)
	// Until it shows that they are slow, they may take what they like; from then on, what
	// answers has its reserve.
	late := 0
	for _, w := range s.late {
		if w > 2*time.Second {
			late++
		}
	}
	if share := float64(late) / float64(len(s.late)); share > 0.05 || s.worst() > time.Minute {
		t.Errorf("%d of %d good deliveries were late, one by %v; %d silent", late, len(s.late), s.worst(), s.b.tally.silent)
	}
}

// The counts are kept as deliveries come and go, and are what a new count gives.
func TestTally(t *testing.T) {
	t.Parallel()
	s := newSim(t, 50, tarpits)
	for i := range 200 {
		s.at(noon.Add(time.Duration(i)*100*time.Millisecond), func() {
			s.arrive(fmt.Sprintf("%c%d.test", "tg"[i%2], i%30), fmt.Sprintf("user%d", i%3), i%2 == 1)
		})
	}
	for d := time.Second; d < time.Hour; d += 777 * time.Millisecond {
		s.at(noon.Add(d), func() {
			s.b.count()
			kept, held, heldOf := s.b.tally, s.b.silentJobs, s.b.silentOf
			s.b.tally.stale = true
			s.b.count()
			if fmt.Sprint(kept.account, kept.silent, kept.silentOf) != fmt.Sprint(s.b.tally.account, s.b.tally.silent, s.b.tally.silentOf) {
				t.Fatalf("at %v: kept %v, counted %v", d, kept, s.b.tally)
			}
			if held != s.b.silentJobs || fmt.Sprint(heldOf) != fmt.Sprint(s.b.silentOf) {
				t.Fatalf("at %v: held %d %v, counted %d %v", d, held, heldOf, s.b.silentJobs, s.b.silentOf)
			}
		})
	}
	s.run(24 * time.Hour)
	if s.b.tally.silent != 0 || len(s.b.tally.account) != 0 || len(s.b.working) != 0 || s.b.running != 0 {
		t.Errorf("at the end: %+v, %d at work", s.b.tally, len(s.b.working))
	}
}

// An account whose deliveries have all the places that it may have: when one of them ends,
// its mail to a silent destination begins, though nothing silent has ended and the clock
// stands.
func TestSilentAfterTheAccountsOthers(t *testing.T) {
	t.Parallel()
	b := newBoard(4, 20)
	b.now = func() time.Time { return noon }
	b.Open()
	b.learn(lesson{delivery.Contact{Domain: "good.test"}, retry.Good, true}, noon, noon, 0.5)
	b.Add(someJobs(3, "good.test", false), false)
	var running []*job
	for j := b.Next(); j != nil; j = b.Next() {
		running = append(running, j)
	}
	b.Add(someJobs(1, "silent.test", false), false)
	if len(running) != 3 || b.Next() != nil {
		t.Fatalf("%d began", len(running))
	}
	b.Done(running[0])
	if j := b.Next(); j == nil || j.To.Domain != "silent.test" {
		t.Errorf("%+v began", j)
	}
}
