package keystage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestStages walks one key from made to gone (CRT-6).
func TestStages(t *testing.T) {
	t.Parallel()
	r := HostKeys()
	ttl := 36 * time.Hour
	k, s := Key{ID: "next", Made: start}, Sight{}
	check := func(at time.Duration, want Stage) {
		t.Helper()
		if got := Of(k, s, r, start.Add(at)); got != want {
			t.Errorf("after %s: %s, want %s", at, got, want)
		}
	}
	check(1000*time.Hour, Made)
	k.Announced = start
	check(1000*time.Hour, Announced)
	s = s.Fold(Look{At: start, Any: true, Set: true, TTL: ttl})
	if !s.Some || !s.Set {
		t.Errorf("a server had the record: %+v", s)
	}
	check(1000*time.Hour, Announced) // not at every server
	s = s.Fold(Look{At: start.Add(time.Hour), All: true, Any: true, TTL: ttl})
	check(2*time.Hour, Seen)
	check(time.Hour+2*ttl-1, Seen)
	check(time.Hour+2*ttl, Ripe)
	s = s.Fold(Look{At: start.Add(2 * time.Hour), Any: true, TTL: time.Minute})
	check(time.Hour+2*ttl, Announced) // it vanished from a server
	s = s.Fold(Look{At: start.Add(3 * time.Hour), All: true, Any: true, TTL: time.Minute})
	check(3*time.Hour+2*ttl-1, Seen) // the old TTL still counts
	check(3*time.Hour+2*ttl, Ripe)
	k.Promoted = start.Add(100 * time.Hour)
	check(200*time.Hour, Current)
	k.Retired = start.Add(300 * time.Hour)
	check(300*time.Hour+2*ttl-1, Old)
	check(300*time.Hour+2*ttl, Gone)
}

// TestDecide is the whole of what a roll-over may wait for.
func TestDecide(t *testing.T) {
	t.Parallel()
	r, now := HostKeys(), start.Add(1000*time.Hour)
	seen := func(ago, last time.Duration) Sight {
		return Sight{Since: now.Add(-ago), Last: now.Add(-last), TTL: time.Hour, Some: true}
	}
	current := Pair{Key{ID: "c", Promoted: start}, seen(500*time.Hour, 0)}
	old := Pair{Key{ID: "o", Promoted: start, Retired: now.Add(-time.Hour)}, seen(500*time.Hour, 0)}
	gone := Pair{Key{ID: "g", Promoted: start, Retired: now.Add(-100 * time.Hour)}, seen(500*time.Hour, 0)}
	for name, tt := range map[string]struct {
		roll Roll
		want string
	}{
		"no next":            {Roll{Current: current, Wanted: true}, "no-next-key false []"},
		"nowhere":            {Roll{Current: current, Next: &Pair{Key{ID: "n"}, Sight{Last: now}}, Wanted: true}, "await-publish false []"},
		"somewhere":          {Roll{Current: current, Next: &Pair{Key{ID: "n"}, Sight{Last: now, Some: true}}, Wanted: true}, "await-servers false []"},
		"everywhere":         {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(time.Hour, 0)}, Wanted: true}, "await-caches false []"},
		"ripe":               {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, 0)}, Wanted: true}, "promote true []"},
		"not wanted":         {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, 0)}}, "await-use false []"},
		"stale":              {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, 2*time.Hour)}, Wanted: true}, "await-look false []"},
		"just not stale":     {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, time.Hour)}, Wanted: true}, "promote true []"},
		"old one stays":      {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, 0)}, Old: []Pair{old, gone}, Wanted: true}, "await-old false [g]"},
		"current is unseen":  {Roll{Current: Pair{Key{ID: "c", Promoted: start}, Sight{Last: now, Set: true}}, Wanted: true}, "no-next-key false [] current-unseen"},
		"no records at all":  {Roll{Current: Pair{Key{ID: "c", Promoted: start}, Sight{Last: now}}, Wanted: true}, "no-next-key false []"},
		"never looked":       {Roll{Current: Pair{Key{ID: "c", Promoted: start}, Sight{Set: true}}, Wanted: true}, "no-next-key false []"},
		"a machine lacks it": {Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(25*time.Hour, 0)}, Wanted: true, Lack: 1}, "await-machines false []"},
	} {
		d := Decide(tt.roll, r, now)
		got := fmt.Sprint(d.Word, " ", d.Promote, " ", d.Drop)
		if d.Alert != "" {
			got += " " + string(d.Alert)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if d := Decide(Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(2*time.Hour, time.Hour)}, Wanted: true}, DKIMKeys(), now); !d.Promote {
		t.Errorf("a DKIM key that is seen does not sign: %+v", d)
	}
	if d := Decide(Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(2*time.Hour-time.Second, time.Hour)}, Wanted: true}, DKIMKeys(), now); d.Promote || d.Word != AwaitCaches {
		t.Errorf("a DKIM key signs while caches may say that there is no record: %+v", d)
	}
	retired := Pair{Key: Key{ID: "o", Promoted: now.Add(-time.Hour), Retired: now.Add(-time.Minute)}}
	if d := Decide(Roll{Current: current, Next: &Pair{Key{ID: "n"}, seen(2*time.Hour, time.Hour)}, Old: []Pair{retired}, Wanted: true}, DKIMKeys(), now); !d.Promote {
		t.Errorf("a DKIM key waits for the record of an older one: %+v", d)
	}
}

// version is one state of the record set at one server, with the time until which
// a cache may hold it.
type version struct {
	keys  []string
	until time.Time
}

// world is a zone with servers that lag, an operator who errs, caches that keep all
// they may, and this program, which looks and decides.
type world struct {
	r        *rand.Rand
	now      time.Time
	zone     []string // what the operator has published
	servers  []server
	cached   []version
	ttl      time.Duration
	roll     Roll
	serving  string
	promoted int
	made     int
	wrong    bool // the operator has published a wrong record for the next key
}

type server struct {
	keys []string
	sync time.Time // when it takes over what the zone has
}

const step = 30 * time.Minute

// TestRollOver simulates two years of schedules: at no instant does a sender with
// any cache see only records that do not match the key that is served (CRT-3).
// The operator is slow, forgets, publishes wrong, takes the next key's record back,
// and removes the old one as soon as the new one serves. What no program can make
// good, he does not do: remove the record of the key in use, or that of the next
// key when it is about to be (a removal on its way to the servers cannot be seen).
func TestRollOver(t *testing.T) {
	t.Parallel()
	schedules := 100 // renewal.TestYears draws more of the same, with certificates and machines
	if n, err := strconv.Atoi(os.Getenv("WAXWING_ROLLOVERS")); err == nil {
		schedules = n
	}
	if testing.Short() {
		schedules = 60
	}
	total := 0
	for seed := range schedules {
		w := newWorld(uint64(seed))
		for w.now.Before(start.Add(2 * 365 * 24 * time.Hour)) {
			if bad := w.step(); bad != "" {
				t.Fatalf("seed %d, %s: %s", seed, w.now, bad)
			}
		}
		total += w.promoted
	}
	if total < schedules {
		t.Errorf("only %d roll-overs in %d schedules: the simulation shows little", total, schedules)
	}
}

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 7)), now: start, serving: "k0", zone: []string{"k0"}}
	w.ttl = time.Duration(5+w.r.IntN(48*60)) * time.Minute
	for range 1 + w.r.IntN(4) {
		w.servers = append(w.servers, server{keys: []string{"k0"}})
	}
	w.roll.Current = Pair{Key: Key{ID: "k0", Promoted: start}}
	return w
}

func (w *world) chance(perDay float64) bool { return w.r.Float64() < perDay*step.Hours()/24 }

func (w *world) step() string {
	w.now = w.now.Add(step)
	w.operate()
	w.transfer()
	if w.chance(12) { // looks come late, and at times not for days
		w.look()
	}
	w.act()
	w.cached = slices.DeleteFunc(w.cached, func(v version) bool { return v.until.Before(w.now) })
	for _, v := range w.cached {
		if !slices.Contains(v.keys, w.serving) {
			return fmt.Sprintf("a cache holds %v, served is %s", v.keys, w.serving)
		}
	}
	return ""
}

// operate is the operator's hand.
func (w *world) operate() {
	if w.chance(0.05) {
		w.ttl = time.Duration(5+w.r.IntN(72*60)) * time.Minute
	}
	next := ""
	if w.roll.Next != nil {
		next = w.roll.Next.Key.ID
	}
	has := slices.Contains(w.zone, next)
	switch {
	case next != "" && !has && w.chance(0.2):
		if !w.wrong && w.r.IntN(4) == 0 {
			w.zone, w.wrong = append(slices.Clone(w.zone), "wrong"), true
			return
		}
		w.zone, w.wrong = append(slices.DeleteFunc(slices.Clone(w.zone), func(k string) bool { return k == "wrong" }), next), false
	case next != "" && has && w.chance(0.1) && w.early(): // taken back
		w.zone = slices.DeleteFunc(slices.Clone(w.zone), func(k string) bool { return k == next })
	case w.chance(0.5): // tidied up, at once after a roll-over
		w.zone = slices.DeleteFunc(slices.Clone(w.zone), func(k string) bool { return k != w.serving && k != next })
	}
}

const lag = 10 * time.Hour

// early: the next key is not ripe, and will not be before a change reaches every server.
func (w *world) early() bool {
	s := w.roll.Next.Sight
	return s.Since.IsZero() && !w.everywhere() || !s.Since.IsZero() && w.now.Add(lag+step).Before(s.Since.Add(HostKeys().wait(s.TTL)))
}

func (w *world) everywhere() bool {
	return !slices.ContainsFunc(w.servers, func(s server) bool { return !slices.Contains(s.keys, w.roll.Next.Key.ID) })
}

// transfer brings the zone to its servers, each with a lag of its own. What a
// server has, some cache holds for the TTL.
func (w *world) transfer() {
	for i := range w.servers {
		s := &w.servers[i]
		if !slices.Equal(s.keys, w.zone) && s.sync.IsZero() {
			s.sync = w.now.Add(time.Duration(w.r.Int64N(int64(lag))))
		}
		if !s.sync.IsZero() && !s.sync.After(w.now) {
			s.keys, s.sync = slices.Clone(w.zone), time.Time{}
		}
		at := slices.IndexFunc(w.cached, func(v version) bool { return slices.Equal(v.keys, s.keys) })
		if at < 0 {
			w.cached = append(w.cached, version{keys: s.keys})
			at = len(w.cached) - 1
		}
		if until := w.now.Add(w.ttl); until.After(w.cached[at].until) {
			w.cached[at].until = until
		}
	}
}

// look asks every server; now and then one does not answer, and it is no look.
func (w *world) look() {
	if w.r.IntN(5) == 0 {
		return
	}
	fold := func(p *Pair) {
		l := Look{At: w.now, All: true, TTL: w.ttl}
		for _, s := range w.servers {
			has := slices.Contains(s.keys, p.Key.ID)
			l.All, l.Any = l.All && has, l.Any || has
		}
		p.Sight = p.Sight.Fold(l)
	}
	fold(&w.roll.Current)
	if w.roll.Next != nil {
		fold(w.roll.Next)
	}
	for i := range w.roll.Old {
		fold(&w.roll.Old[i])
	}
}

// act is what this program does.
func (w *world) act() {
	if w.roll.Next == nil {
		w.made++
		w.roll.Next = &Pair{Key: Key{ID: fmt.Sprint("k", w.made), Made: w.now, Announced: w.now}}
	}
	w.roll.Wanted = w.now.Sub(w.roll.Current.Key.Promoted) > 30*24*time.Hour
	d := Decide(w.roll, HostKeys(), w.now)
	w.roll.Old = slices.DeleteFunc(w.roll.Old, func(p Pair) bool { return slices.Contains(d.Drop, p.Key.ID) })
	if !d.Promote {
		return
	}
	w.promoted++
	w.roll.Current.Key.Retired = w.now
	w.roll.Old = append(w.roll.Old, w.roll.Current)
	w.roll.Next.Key.Promoted = w.now
	w.roll.Current, w.roll.Next = *w.roll.Next, nil
	w.serving = w.roll.Current.Key.ID
}
