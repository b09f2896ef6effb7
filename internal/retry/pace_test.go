package retry

import (
	"math"
	"testing"
	"time"
)

var t0 = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// QUE-3 over the space of paces: a window stays within its bounds, grows with a
// success, shrinks with a failure; a closed destination opens within the hour.
func TestPaceSpace(t *testing.T) {
	t.Parallel()
	paces := []Pace{{}, {Window: math.NaN()}, {Window: -3}, {Window: math.Inf(1)}}
	for _, w := range []float64{1, 1.5, 5, 19.9, 20, 300} {
		for _, f := range []int{0, 1, 2, 3, 4, 9, 1 << 40} {
			for _, b := range []time.Duration{-time.Hour, 0, time.Minute, 1000 * time.Hour} {
				paces = append(paces, Pace{Window: w, Failures: f, Counted: t0.Add(-time.Second), Blocked: t0.Add(b)})
			}
		}
	}
	for _, p := range paces {
		for _, limit := range []int{-1, 0, 1, 2, 20, 1000} {
			for s := Neutral; s <= Unreachable; s++ {
				for _, jitter := range []float64{0, 0.5, 0.999, -1, math.NaN()} {
					checkPace(t, p, s, limit, jitter)
				}
			}
		}
	}
}

func checkPace(t *testing.T, p Pace, s Signal, limit int, jitter float64) {
	t.Helper()
	n := p.After(s, t0, t0, limit, jitter)
	before, after := p.window(limit), n.window(limit)
	bound := float64(max(limit, 1))
	switch {
	case after < 1 || after > bound || n.Allowed(t0, limit) > max(limit, 1) || n.Allowed(t0, limit) < 0:
		t.Errorf("%+v after %d: %+v", p, s, n)
	case s == Good && (after <= before && before < bound || n.Failures != 0 || n.IsBlocked(t0)):
		t.Errorf("%+v after a success: %+v", p, n)
	case s == Busy && (after > before || after == before && before > 1 || n.Dead()):
		t.Errorf("%+v after a busy answer: %+v", p, n)
	case s == Unreachable && (after > before || after == before && before > 1 || n.Failures <= min(p.Failures, math.MaxInt32-1)):
		t.Errorf("%+v unreachable: %+v", p, n)
	case s == Unreachable && n.Dead() != n.IsBlocked(t0):
		t.Errorf("dead and open, or closed and alive: %+v", n)
	case n.IsBlocked(t0.Add(2*time.Hour + time.Minute)):
		t.Errorf("closed for more than two hours: %+v", n)
	case n.Dead() && n.Allowed(n.Blocked, limit) != 1:
		t.Errorf("not one probe: %+v", n)
	}
}

// Five attempts that fail together are one failure; a probe that fails closes for longer.
func TestPaceCloses(t *testing.T) {
	t.Parallel()
	var p Pace
	now := t0
	for range 5 {
		p = p.After(Unreachable, t0, now.Add(time.Second), 20, 0.5)
	}
	if p.Failures != 1 || p.Window != 2.5 {
		t.Errorf("%+v", p)
	}
	want := []time.Duration{0, 1, 5, 15, 30, 60, 60}
	for _, w := range want {
		now = now.Add(2 * time.Hour)
		p = p.After(Unreachable, now, now, 20, 0.5)
		if got := p.Blocked.Sub(now); w == 0 && !p.Blocked.IsZero() || w > 0 && got != w*time.Minute {
			t.Errorf("closed for %v, want %v min", got, w)
		}
	}
	p = p.After(Good, now, now, 20, 0.5)
	if p.Dead() || p.Allowed(now, 20) != 2 {
		t.Errorf("after a success %+v", p)
	}
}

// A destination opens at its time, and at once if that lies further ahead than any
// closing lasts: the clock that set it was wrong.
func TestShut(t *testing.T) {
	t.Parallel()
	for until, want := range map[time.Duration]bool{-1: false, 0: false, 1: true, LongestClosing(): true, LongestClosing() + 1: false} {
		if got := Shut(t0.Add(until), t0); got != want {
			t.Errorf("closed until %v from now: %v", until, got)
		}
	}
}
