package renewal_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"waxwing/internal/keystage"
	"waxwing/internal/renewal"
)

// env is how many schedules TestYears draws; without it a few.
const env = "WAXWING_ROLLOVERS"

const (
	tick  = 30 * time.Minute
	years = 2 * 365 * 24 * time.Hour
	lag   = 10 * time.Hour // until a change of the zone is at every server
	day   = 24 * time.Hour
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// set is TLSA records by the number of their key; wrong is one of no key.
type set uint64

const wrong set = 1 << 63

func of(key int) set { return 1 << key }

// certificate is one for one key.
type certificate struct {
	renewal.Cert
	tries renewal.Tries
}

// machine is one of two of the host.
type machine struct {
	down    time.Time // until then
	since   time.Time // and since then
	has     set       // keys in its directory
	serving int       // as it knows it; -1: nothing
}

// world is a host's two years: a zone whose servers lag, caches that keep what they may,
// an operator who errs, an authority that is away at times, and what decides.
type world struct {
	*rand.Rand
	now time.Time

	ttl     time.Duration
	zone    set
	servers []set
	sync    []time.Time // when each server takes over what the zone has; zero: it has
	caches  []cache

	keys     []keystage.Pair
	current  int
	next     int // -1: none
	old      []int
	wanted   bool
	machines [2]machine
	looked   bool

	life     time.Duration
	certs    []*certificate // by key
	away     time.Time      // the authority is, until then
	gone     time.Time      // and since then
	longest  time.Duration  // it was ever away, of late
	alerted  time.Time      // about the certificate in use; zero: not
	rolled   int
	renewals int
	expired  int
}

type cache struct {
	has   set
	until time.Time
}

// TestYears draws schedules of two years each. At no moment does a sender see only TLSA
// records that do not match what a machine serves, whatever the cache it asks; and no
// certificate runs out unless the authority was away for two thirds of its life, of
// which the operator heard in time (CRT-3, CRT-6). What no program can make good the
// operator does not do: remove the record of a key in use, or of one that is about to be.
func TestYears(t *testing.T) {
	t.Parallel()
	schedules := 60
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		schedules = n
	}
	if testing.Short() {
		schedules = 9
	}
	var rolled, renewals, expired int
	for seed := range schedules {
		w := newWorld(uint64(seed))
		for w.now.Before(start.Add(years)) {
			if bad := w.step(); bad != "" {
				t.Fatalf("schedule %d, certificates of %s, %s: %s", seed, w.life, w.now, bad)
			}
		}
		rolled, renewals, expired = rolled+w.rolled, renewals+w.renewals, expired+w.expired
	}
	t.Logf("%d schedules of two years: %d roll-overs, %d certificates, %d ran out with the authority away", schedules, rolled, renewals, expired)
	if rolled < 3*schedules || renewals < 30*schedules {
		t.Errorf("%d roll-overs and %d certificates in %d schedules: that shows little", rolled, renewals, schedules)
	}
	if schedules >= 60 && expired == 0 {
		t.Error("the authority was never away for long: that shows little")
	}
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 11)), now: start, next: -1, zone: of(0)}
	w.life = []time.Duration{6 * day, 45 * day, 90 * day}[seed%3]
	w.ttl = time.Duration(5+w.IntN(48*60)) * time.Minute
	w.servers = make([]set, 1+w.IntN(4))
	w.sync = make([]time.Time, len(w.servers))
	for i := range w.servers {
		w.servers[i] = w.zone
	}
	w.make()
	w.keys[0].Key.Promoted = start
	w.machines[0].has, w.machines[1].has = of(0), of(0)
	w.issue(0)
	return w
}

// make makes a key on the first machine.
func (w *world) make() int {
	n := len(w.keys)
	w.keys = append(w.keys, keystage.Pair{Key: keystage.Key{ID: strconv.Itoa(n), Made: w.now, Announced: w.now}})
	w.certs = append(w.certs, &certificate{})
	w.machines[0].has |= of(n)
	return n
}

func (w *world) chance(perDay float64) bool { return w.Float64() < perDay*tick.Hours()/24 }

func (w *world) step() string {
	w.now = w.now.Add(tick)
	w.operate()
	w.transfer()
	w.fail()
	w.looked = false
	if w.Float64() < 0.8 {
		w.look()
	}
	w.renew()
	w.act()
	for i := range w.machines {
		m := &w.machines[i]
		if m.down.After(w.now) {
			continue // serves nothing, and learns of nothing
		}
		if m.has&of(w.current) != 0 {
			m.serving = w.current
		} else {
			m.serving = -1 // senders wait
		}
		if bad := w.seen(m.serving); bad != "" {
			return fmt.Sprintf("machine %d: %s", i, bad)
		}
	}
	return w.certified()
}

// seen holds every cache against the key that is served.
func (w *world) seen(serving int) string {
	keep := w.caches[:0]
	bad := ""
	for _, c := range w.caches {
		if c.until.Before(w.now) {
			continue
		}
		keep = append(keep, c)
		if serving >= 0 && c.has&of(serving) == 0 {
			bad = fmt.Sprintf("a cache holds the keys %b, served is %d", c.has, serving)
		}
	}
	w.caches = keep
	return bad
}

// certified looks at the certificate that is shown.
func (w *world) certified() string {
	c := w.certs[w.current]
	d := renewal.Decide(&c.Cert, c.tries, w.now)
	switch {
	case d.Alert == "":
		w.alerted = time.Time{}
	case w.alerted.IsZero():
		w.alerted = w.now
	}
	if w.now.Before(c.NotAfter) {
		return ""
	}
	if w.longest < w.life*2/3 {
		return fmt.Sprintf("the certificate has run out, and the authority was never away for longer than %s", w.longest)
	}
	if told := c.NotAfter.Sub(w.alerted); w.alerted.IsZero() || told < w.life/3 {
		return fmt.Sprintf("the certificate has run out, and the operator heard of it %s before", told)
	}
	if w.now.Sub(c.NotAfter) < tick {
		w.expired++
	}
	return ""
}

// fail has machines end and the authority go away.
func (w *world) fail() {
	if w.chance(0.02) { // one at a time, sometimes for longer than it counts
		i := w.IntN(2)
		if !w.machines[1-i].down.After(w.now) {
			w.machines[i].since = w.now
			w.machines[i].down = w.now.Add(time.Duration(w.IntN(12*24)) * time.Hour)
		}
	}
	if !w.away.After(w.now) {
		if !w.gone.IsZero() && w.now.Sub(w.away) > w.life { // nothing is left of it
			w.gone, w.longest = time.Time{}, 0
		}
		if w.chance(0.01) {
			w.gone = w.now
			long := 20 * 24
			if w.IntN(20) == 0 {
				long = 80 * 24
			}
			w.away = w.now.Add(time.Duration(w.IntN(long)) * time.Hour)
			w.longest = max(w.longest, w.away.Sub(w.now))
		}
	}
}

// operate is the operator's hand: slow, forgetful, sometimes wrong.
func (w *world) operate() {
	if w.chance(0.05) {
		w.ttl = time.Duration(5+w.IntN(72*60)) * time.Minute
	}
	if w.chance(0.3) && !w.machines[1].down.After(w.now) { // copies the keys
		w.machines[1].has = w.machines[0].has
	}
	if w.chance(0.02) {
		w.wanted = w.next >= 0 && !w.wanted // asks, or thinks better of it
	}
	if w.next < 0 {
		if w.chance(0.5) {
			w.zone &= of(w.current) // tidies up, also what should stay for now
		}
		return
	}
	has := w.zone&of(w.next) != 0
	switch {
	case !has && w.chance(0.2):
		if w.zone&wrong == 0 && w.IntN(4) == 0 {
			w.zone |= wrong
			return
		}
		w.zone = w.zone&^wrong | of(w.next)
	case has && w.chance(0.1) && w.early():
		w.zone &^= of(w.next)
	case w.chance(0.5):
		w.zone &= of(w.current) | of(w.next)
	}
}

// early: the next key cannot take over before a change has reached every server.
func (w *world) early() bool {
	s := w.keys[w.next].Sight
	if s.Since.IsZero() {
		for _, has := range w.servers {
			if has&of(w.next) == 0 {
				return true
			}
		}
		return false
	}
	return w.now.Add(lag + 2*tick).Before(s.Since.Add(max(2*s.TTL, day)))
}

// transfer brings the zone to its servers. What a server has, some cache takes.
func (w *world) transfer() {
	for i, has := range w.servers {
		if has != w.zone && w.sync[i].IsZero() {
			w.sync[i] = w.now.Add(time.Duration(w.Int64N(int64(lag))))
		}
		if !w.sync[i].IsZero() && !w.sync[i].After(w.now) {
			w.servers[i], w.sync[i] = w.zone, time.Time{}
		}
		w.keep(w.servers[i])
	}
}

func (w *world) keep(has set) {
	until := w.now.Add(w.ttl)
	for i := range w.caches {
		if c := &w.caches[i]; c.has == has {
			if until.After(c.until) {
				c.until = until
			}
			return
		}
	}
	w.caches = append(w.caches, cache{has, until})
}

// look asks every server.
func (w *world) look() {
	w.looked = true
	fold := func(n int) {
		l := keystage.Look{At: w.now, All: true, Set: true, TTL: w.ttl}
		for _, has := range w.servers {
			in := has&of(n) != 0
			l.All, l.Any = l.All && in, l.Any || in
		}
		w.keys[n].Sight = w.keys[n].Sight.Fold(l)
	}
	fold(w.current)
	if w.next >= 0 {
		fold(w.next)
	}
	for _, n := range w.old {
		fold(n)
	}
}

func (w *world) roll() keystage.Roll {
	r := keystage.Roll{Current: w.keys[w.current], Wanted: w.wanted || w.now.Sub(w.keys[w.current].Key.Promoted) > 60*day}
	if w.next >= 0 {
		r.Next = &w.keys[w.next]
		for _, m := range w.machines {
			gone := m.down.After(w.now) && w.now.Sub(m.since) > 7*day // is not waited for
			if m.has&of(w.next) == 0 && !gone {
				r.Lack++
			}
		}
	}
	for _, n := range w.old {
		r.Old = append(r.Old, w.keys[n])
	}
	return r
}

// renew asks the authority for what is wanted and due. One of the machines is there.
func (w *world) renew() {
	r := w.roll()
	for _, want := range keystage.Wants("mx", nil, []keystage.Roll{r}, keystage.HostKeys(), w.now) {
		n, err := strconv.Atoi(want.Key)
		if err != nil {
			panic(err)
		}
		c := w.certs[n]
		have := &c.Cert
		if c.NotAfter.IsZero() {
			have = nil
		}
		if !renewal.Decide(have, c.tries, w.now).Renew {
			continue
		}
		if w.away.After(w.now) || w.IntN(20) == 0 {
			if c.tries.Failures++; c.tries.Failures == 1 {
				c.tries.Since = w.now
			}
			c.tries.Last = w.now
			continue
		}
		w.issue(n)
	}
}

func (w *world) issue(n int) {
	c := &certificate{Cert: renewal.Cert{NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.Add(w.life - time.Hour), Spread: w.Float64()}}
	if w.IntN(3) > 0 { // with ARI, mostly in good time
		c.Window.Start = w.now.Add(time.Duration(w.Float64() * float64(w.life)))
		c.Window.End = c.Window.Start.Add(day)
	}
	w.certs[n] = c
	w.renewals++
}

// act is what the service does: one roll-over at a time, right after a look.
func (w *world) act() {
	if w.next < 0 {
		w.next = w.make()
	}
	d := keystage.Decide(w.roll(), keystage.HostKeys(), w.now)
	for _, id := range d.Drop {
		for i, n := range w.old {
			if w.keys[n].Key.ID == id {
				w.old = append(w.old[:i], w.old[i+1:]...)
				break
			}
		}
	}
	c := w.certs[w.next]
	good := !c.NotAfter.IsZero() && renewal.Good(&c.Cert, w.now)
	if !w.looked || !keystage.Takes(d, true, good) {
		return
	}
	w.keys[w.current].Key.Retired, w.keys[w.next].Key.Promoted = w.now, w.now
	w.old = append(w.old, w.current)
	w.current, w.next, w.wanted = w.next, -1, false
	w.alerted = time.Time{}
	w.rolled++
}
