package retry

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var accepted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// walk follows a schedule to its end and returns the offsets of all attempts.
func walk(t *testing.T, s Schedule, jitter func(i int) float64) []time.Duration {
	t.Helper()
	now, out := accepted, []time.Duration{0}
	for n := 1; ; n++ {
		next, expired := Next(s, accepted, n, now, jitter(n))
		if expired {
			if !next.IsZero() {
				t.Fatalf("expired with a next time %v", next)
			}
			return out
		}
		if !next.After(now) {
			t.Fatalf("attempt %d: next %v is not after %v", n, next, now)
		}
		now = next
		out = append(out, now.Sub(accepted))
		if n > 10_000 {
			t.Fatal("the schedule never ends")
		}
	}
}

func middle(int) float64 { return 0.5 }

func TestDefaultSchedule(t *testing.T) { // QUE-4
	t.Parallel()
	got := walk(t, Default(), middle)
	m, h := time.Minute, time.Hour
	want := []time.Duration{0, 1 * m, 6 * m, 21 * m, 51 * m, 111 * m, 231 * m, 471 * m}
	for at := 471*m + 8*h; at < 120*h; at += 8 * h {
		want = append(want, at)
	}
	want = append(want, 120*h)
	if len(got) != len(want) {
		t.Fatalf("got %v\nwant %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("attempt %d at %v, want %v", i+1, got[i], want[i])
		}
	}
}

func TestReportSchedule(t *testing.T) { // QUE-4: 0, +1, +4, +12, +24 h
	t.Parallel()
	got := walk(t, Reports(), middle)
	want := []time.Duration{0, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("attempt %d at %v, want %v", i+1, got[i], want[i])
		}
	}
	if NoticeDue(Reports(), accepted, accepted.Add(100*time.Hour)) {
		t.Error("a report's schedule asks for a delay notice")
	}
}

func TestNextEdges(t *testing.T) {
	t.Parallel()
	d := Default()
	for _, c := range []struct {
		name     string
		s        Schedule
		attempts int
		after    time.Duration
		jitter   float64
		want     time.Duration // after acceptance
		expired  bool
	}{
		{"zero schedule gives up", Schedule{}, 1, 0, 0, 0, true},
		{"no delays give up", Schedule{Expire: time.Hour}, 1, 0, 0, 0, true},
		{"lowest jitter", d, 1, 0, 0, 54 * time.Second, false},
		{"jitter out of range counts as none", d, 1, 0, 7, time.Minute, false},
		{"jitter of one is out of range", d, 1, 0, 1, time.Minute, false},
		{"NaN counts as none", d, 1, 0, math.NaN(), time.Minute, false},
		{"attempts below one", d, 0, 0, 0.5, time.Minute, false},
		{"attempts beyond the list", d, 99, time.Hour, 0.5, 9 * time.Hour, false},
		{"the last attempt falls on the end", d, 99, 119 * time.Hour, 0.5, 120 * time.Hour, false},
		{"one nanosecond before the end", d, 9, 120*time.Hour - 1, 0.5, 120 * time.Hour, false},
		{"at the end", d, 9, 120 * time.Hour, 0.5, 0, true},
		{"first attempt after the end, server was down", d, 1, 200 * time.Hour, 0.5, 0, true},
		{"clock before acceptance", d, 1, -time.Hour, 0.5, -59 * time.Minute, false},
		{"zero delay does not spin", Schedule{Delays: []time.Duration{0}, Expire: time.Hour}, 1, 0, 0.5, time.Second, false},
		{"huge delay does not overflow", Schedule{Delays: []time.Duration{math.MaxInt64}, Expire: time.Hour}, 1, 0, 0.99, time.Hour, false},
	} {
		next, expired := Next(c.s, accepted, c.attempts, accepted.Add(c.after), c.jitter)
		if expired != c.expired || !expired && next.Sub(accepted) != c.want {
			t.Errorf("%s: got %v %v, want +%v %v", c.name, next.Sub(accepted), expired, c.want, c.expired)
		}
	}
}

func TestNoticeDue(t *testing.T) { // QUE-4: once after 4 h
	t.Parallel()
	for after, want := range map[time.Duration]bool{0: false, 4*time.Hour - 1: false, 4 * time.Hour: true, 99 * time.Hour: true} {
		if got := NoticeDue(Default(), accepted, accepted.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
}

// Whatever the schedule, it moves forward, ends, and tries last at its end.
func TestScheduleProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := Schedule{Expire: time.Duration(rapid.Int64Range(0, int64(240*time.Hour)).Draw(rt, "expire"))}
		for _, d := range rapid.SliceOfN(rapid.Int64Range(int64(5*time.Minute), int64(48*time.Hour)), 0, 8).Draw(rt, "delays") {
			s.Delays = append(s.Delays, time.Duration(d))
		}
		got := walk(t, s, func(i int) float64 { return rapid.Float64Range(0, 0.999).Draw(rt, "jitter") })
		if last := got[len(got)-1]; len(s.Delays) > 0 && last != s.Expire {
			rt.Fatalf("last attempt at %v, the schedule ends at %v", last, s.Expire)
		}
		for i := 1; i < len(got)-1; i++ {
			d := float64(s.Delays[min(i-1, len(s.Delays)-1)])
			if gap := float64(got[i] - got[i-1]); gap < 0.89*d || gap > 1.11*d {
				rt.Fatalf("gap %d is %v, the schedule says %v", i, time.Duration(gap), time.Duration(d))
			}
		}
	})
}

// A waiting message is looked at for its notice only if there is one to send and the
// moment lies ahead and before the end; else at the end.
func TestAttend(t *testing.T) {
	t.Parallel()
	const notice, end = 4 * time.Hour, 120 * time.Hour
	late, never := Default(), Default()
	late.DelayNotice, never.DelayNotice = end, 0
	for _, c := range []struct {
		name   string
		s      Schedule
		notice bool
		after  time.Duration
		want   time.Duration
	}{
		{"a notice to come", Default(), true, 0, notice},
		{"told already, or nobody wants to know", Default(), false, 0, end},
		{"its moment is now", Default(), true, notice, end},
		{"its moment is past", Default(), true, notice + 1, end},
		{"it would come with the end", late, true, 0, end},
		{"the schedule has none", never, true, 0, end},
		{"the schedule has none, clock before acceptance", never, true, -time.Hour, end},
	} {
		if got := Attend(c.s, accepted, c.notice, accepted.Add(c.after)).Sub(accepted); got != c.want {
			t.Errorf("%s: +%v, want +%v", c.name, got, c.want)
		}
	}
}
