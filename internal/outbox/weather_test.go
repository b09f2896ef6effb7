package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
)

// saturday is the day that the tests report on.
var saturday = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// A made-up family of reports: what the weather was at a place.
const (
	place Kind = 70
	coast Kind = 71
)

// weather reports on the places of each day. What a place publishes is in wants:
// addresses, or a word that says why there are none.
type weather struct {
	mu     sync.Mutex
	places map[int64][]Key
	wants  map[string]string
	forgot []string
	made   int
}

func (w *weather) family() Family {
	return Family{Name: "weather report", Noun: "weather", Kinds: []Kind{place, coast}, Purpose: delivery.DMARCReport, Local: "weather", MediaType: "text/weather",
		Area: guard.ReportPost, Address: parse,
		// A coast waits for the places of its day.
		Blocked: `u.kind = 71 AND EXISTS (SELECT 1 FROM outbox_units AS d WHERE d.day = u.day AND d.kind = 70 AND d.state = 'open')`}
}

func parse(uri string) (Address, error) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return Address{}, err
	case u.Scheme == "mailto":
		return Address{Mail: u.Opaque}, nil
	case u.Scheme == "https":
		return Address{HTTPS: uri}, nil
	}
	return Address{}, nil
}

func (w *weather) see(day time.Time, kind Kind, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places[dayOf(day)] = append(w.places[dayOf(day)], Key{dayOf(day), kind, name})
}

func (w *weather) want(name, rua string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wants[name] = rua
}

func (w *weather) Units(_ *store.Tx, day int64) ([]Key, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.places[day], nil
}

func (w *weather) Make(_ context.Context, u *Unit, from dns.Name) (Draft, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	switch v := w.wants[u.Name]; v {
	case "":
		return Draft{State: None}, nil
	case "down":
		return Draft{State: Open, Note: "SERVFAIL"}, nil
	case "panic":
		panic("weather")
	default:
		text := "rain at " + u.Name + " on " + u.Date()
		return Draft{State: Reported, RUA: strings.Fields(v), ID: text + " by " + from.ASCII(), OK: 1, Text: []byte(text), Body: []byte(text),
			Subject: "Weather", Fields: []message.Pair{{Name: "Weather-Place", Value: u.Name}}, Mail: message.Entity{Type: "text/plain", Body: []byte(text + "\r\n")}}, nil
	}
}

func (w *weather) Forget(_ *store.Tx, u *Unit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgot = append(w.forgot, u.Name)
	return nil
}

// rig is a Box of weather reports with everything around it under the test's hand.
type rig struct {
	*Box
	*weather
	clock *outboxtest.Clock
	out   *outboxtest.Queue
}

func newRig(t *testing.T, s *store.Store) *rig {
	r := &rig{weather: &weather{places: map[int64][]Key{}, wants: map[string]string{}}, clock: &outboxtest.Clock{}, out: &outboxtest.Queue{}}
	r.clock.Set(saturday.Add(25 * time.Hour))
	r.Box = &Box{Family: r.family(), Maker: r.weather, Store: s, DNS: &dnstest.Resolver{T: t}, Enqueuer: r.out, Signer: outboxtest.Signer{"sender.example"},
		Hosted:   func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "sender.example", nil },
		Hostname: dns.MustParse("mx.sender.example"), Now: r.clock.Now, Log: slog.New(slog.DiscardHandler)}
	return r
}

// machine is another one with the same store, world and time.
func (r *rig) machine(t *testing.T) *rig {
	m := newRig(t, r.Store)
	m.weather, m.Maker, m.clock, m.Now = r.weather, r.weather, r.clock, r.clock.Now
	return m
}

func (r *rig) step(t *testing.T) {
	t.Helper()
	if _, err := r.Step(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) posts(t *testing.T) {
	t.Helper()
	if _, err := r.StepPosts(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// night moves the clock on through the hours after midnight, in which all is due.
func (r *rig) night(t *testing.T, machines ...*rig) {
	t.Helper()
	for range 5 * 12 {
		for _, m := range append(machines, r) {
			m.step(t)
			m.posts(t)
		}
		r.clock.Set(r.clock.Now().Add(5 * time.Minute))
	}
}

func (r *rig) sent(t *testing.T) []Sent {
	t.Helper()
	out, err := r.Sent(context.Background(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// outcomes are the states of a day's units, as "NAME STATE", by name.
func (r *rig) outcomes(t *testing.T, day time.Time) string {
	t.Helper()
	all, err := r.Outcomes(context.Background(), day, "")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range all {
		out = append(out, o.PolicyDomain+" "+string(o.State))
	}
	return strings.Join(out, ", ")
}

// RPT-5, RPT-11, RPT-12: an outbox serves reports of any family. Those of the weather
// are planned and spread, made by one of three machines each, mailed and posted;
// what cannot be made yet is kept, what panics is given up.
func TestAnyFamily(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		got := web(r)
		states := &outboxtest.Tally{}
		r.Count = states.Count
		for name, wants := range map[string]string{
			"a.test": "mailto:w@a.test https://a.test/w", "b.test": "mailto:w@b.test", "c.test": "", "d.test": "down", "e.test": "panic", "f.test": "gopher://f.test",
		} {
			r.want(name, wants)
			r.see(saturday, place, name)
		}
		r.want("z.test", "mailto:w@z.test")
		r.see(saturday, coast, "z.test")
		r.clock.Set(saturday.Add(24*time.Hour + 3*time.Minute))
		if r.step(t); r.outcomes(t, saturday) != "" {
			t.Fatal("planned before its time")
		}
		r.clock.Set(saturday.Add(24*time.Hour + 6*time.Minute))
		second, third := r.machine(t), r.machine(t)
		for _, m := range []*rig{second, third} {
			m.HTTP, m.Count = r.HTTP, r.Count
		}
		r.step(t)
		if n := strings.Count(r.outcomes(t, saturday), " open"); n < 5 {
			t.Errorf("of 7 units %d are open at first: they are not spread", n)
		}
		r.night(t, second, third)
		if is := r.outcomes(t, saturday); is != "a.test reported, b.test reported, c.test none, d.test open, e.test failed, f.test skipped, z.test open" {
			t.Errorf("after the night: %s", is)
		}
		if fmt.Sprint(r.forgot) != "[c.test]" {
			t.Errorf("forgot %q", r.forgot)
		}
		r.want("d.test", "mailto:w@d.test")
		r.night(t)
		if is := r.outcomes(t, saturday); !strings.Contains(is, "d.test reported") || !strings.Contains(is, "z.test reported") {
			t.Errorf("after the next look: %s", is)
		}
		mails := len(r.out.All()) + len(second.out.All()) + len(third.out.All())
		if all := r.sent(t); len(all) != 4 || mails != 4 || len(got()) != 1 || states.Of("reported") != 4 || states.Of("failed") != 1 {
			t.Errorf("%d reports, %d mails, %d posts, %v", len(all), mails, len(got()), states)
		}
		if id := got()[0]; id != "text/weather rain at a.test on 2026-11-21" {
			t.Errorf("posted %q", id)
		}
		body, err := r.Body(ctx, r.sent(t)[0].ID)
		if err != nil || !strings.HasPrefix(string(body), "rain at ") {
			t.Errorf("%q %v", body, err)
		}
	})
}

// RPT-12: the daily cap of an organisation holds for reports of any family, all
// together; what is beyond it is told.
func TestCapOfAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	other := r.machine(t)
	other.Kinds, other.weather = []Kind{80}, &weather{places: map[int64][]Key{}, wants: map[string]string{}}
	other.Maker = other.weather
	for i, x := range []*rig{r, r, other, other} {
		x.Cap = 3
		name := fmt.Sprintf("c%d.test", i)
		x.want(name, fmt.Sprintf("mailto:w@in%d.victim.co.uk", i))
		x.see(saturday, x.Kinds[0], name)
	}
	for _, x := range []*rig{r, other} {
		if _, err := x.SendDay(t.Context(), SendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := other.Outcomes(t.Context(), saturday, "c3.test")
	if err != nil || len(r.out.All()) != 2 || len(other.out.All()) != 1 || all[0].State != Skipped || !strings.Contains(all[0].Note, "the daily cap of reports to victim.co.uk is reached") {
		t.Errorf("%d and %d mails: %+v %v", len(r.out.All()), len(other.out.All()), all, err)
	}
}

// Two families share a store and nothing else but what is known of addresses: neither
// makes, posts or lists what is the other's.
func TestTwoFamilies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r, other := newRig(t, s), newRig(t, s)
		other.Family.Kinds, other.Family.Name, other.Family.Local, other.Family.Blocked = []Kind{80}, "tide report", "tides", ""
		other.Family.Purpose = delivery.TLSReport
		other.clock, other.Now = r.clock, r.clock.Now
		got, theirs := web(r), web(other)
		for _, x := range []*rig{r, other} {
			x.want("a.test", "mailto:w@a.test https://a.test/w")
			x.see(saturday, x.Kinds[0], "a.test")
		}
		r.night(t)
		if len(r.sent(t)) != 1 || len(got()) != 1 || len(other.sent(t)) != 0 || other.made != 0 {
			t.Fatalf("%+v %d, %+v %d", r.sent(t), len(got()), other.sent(t), other.made)
		}
		env := r.out.All()[0].Env
		if _, ok, err := other.Returned(ctx, env.Sender[:strings.Index(env.Sender, "@")]); ok || err != nil {
			t.Errorf("the other takes our return path: %v %v", ok, err)
		}
		settle := func(x *rig, o delivery.Outcome) {
			t.Helper()
			if err := s.Write(ctx, func(tx *store.Tx) error { return x.Settler(x.Now)(tx, env, delivery.RecipientResult{Outcome: o}) }); err != nil {
				t.Fatal(err)
			}
		}
		settle(other, delivery.Delivered)
		if d := r.sent(t)[0].Deliveries; d[0].State != "queued" && d[1].State != "queued" {
			t.Errorf("settled by the other: %+v", d)
		}
		settle(r, delivery.Failed)
		other.clock.Set(saturday.Add(40 * time.Hour))
		other.night(t)
		if all := other.sent(t); len(all) != 1 || len(all[0].Deliveries) != 1 || len(theirs()) != 1 || len(r.sent(t)) != 1 {
			t.Errorf("to an address that bounced: %+v, %d posts", all, len(theirs()))
		}
		r.Keep = time.Minute
		if err := r.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if len(r.sent(t)) != 0 || len(other.sent(t)) != 1 {
			t.Errorf("after pruning: %d and %d", len(r.sent(t)), len(other.sent(t)))
		}
	})
}

// RPT-11: what could not be queued is not marked as sent; a lease that ended lets
// another machine work, and the first one's result no longer counts.
func TestQueueAndMarkTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.want("a.example", "mailto:r@a.example")
		r.see(saturday, place, "a.example")
		r.out.Err = errors.New("disk full")
		if r.step(t); len(r.sent(t)) != 0 {
			t.Fatal("marked as sent though not queued")
		}
		r.out.Err = nil
		r.clock.Set(r.clock.Now().Add(lease + time.Second))
		slow, err := r.claimUnit(ctx)
		if err != nil || slow == nil {
			t.Fatalf("not claimable again: %v", err)
		}
		r.clock.Set(r.clock.Now().Add(lease + time.Second))
		if r.step(t); len(r.sent(t)) != 1 {
			t.Fatal("not taken over")
		}
		if _, err := r.work(ctx, slow); !errors.Is(err, ErrLost) {
			t.Errorf("the slow machine: %v, want ErrLost", err)
		}
		if n := len(r.sent(t)); n != 1 {
			t.Errorf("%d reports", n)
		}
	})
}
