package outbox

import (
	"testing"
	"time"

	"waxwing/dns"
)

// RPT-12: one refusal suppresses, days of 4xx do, for longer each time; what an
// admin set stays; after long peace all is forgotten.
func TestStanding(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	type event struct {
		at time.Duration
		v  result
	}
	for name, tt := range map[string]struct {
		was    standing
		events []event
		until  time.Duration // from saturday; 0: not suppressed
		times  int
	}{
		"accepted":                         {standing{}, []event{{0, accepted}}, 0, 0},
		"refused":                          {standing{}, []event{{0, refused}}, 3 * day, 1},
		"many refusals of one day":         {standing{}, []event{{0, refused}, {time.Hour, refused}, {2 * time.Hour, exhausted}}, 3 * day, 1},
		"refused again":                    {standing{}, []event{{0, refused}, {4 * day, refused}}, 10 * day, 2},
		"accepted between two bounces":     {standing{}, []event{{0, refused}, {4 * day, accepted}, {4*day + 1, refused}}, 10*day + 1, 2},
		"one day of 4xx":                   {standing{}, []event{{0, exhausted}}, 0, 0},
		"one day of 4xx, several reports":  {standing{}, []event{{0, exhausted}, {1, exhausted}, {2, exhausted}}, 0, 0},
		"three days of 4xx":                {standing{}, []event{{0, exhausted}, {day, exhausted}, {2 * day, exhausted}}, 5 * day, 1},
		"4xx, then accepted, then 4xx":     {standing{}, []event{{0, exhausted}, {day, exhausted}, {2 * day, accepted}, {2*day + 1, exhausted}}, 0, 0},
		"4xx on days that are far apart":   {standing{}, []event{{0, exhausted}, {10 * day, exhausted}, {20 * day, exhausted}}, 0, 0},
		"bounced again after a long peace": {standing{}, []event{{0, refused}, {100 * day, refused}}, 103 * day, 1},
		"by hand":                          {standing{manual: true, until: saturday.Add(day)}, []event{{2 * day, refused}}, day, 0},
	} {
		x := tt.was
		for _, e := range tt.events {
			x = x.after(e.v, saturday.Add(e.at))
		}
		if want := saturday.Add(tt.until); tt.until == 0 && !x.until.IsZero() || tt.until != 0 && !x.until.Equal(want) || x.times != tt.times {
			t.Errorf("%s: until %v, %d times", name, x.until, x.times)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]time.Duration{"": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0,
		"Sat, 21 Nov 2026 01:00:00 GMT": time.Hour, "Fri, 20 Nov 2026 01:00:00 GMT": 0} {
		if got := retryAfter(v, saturday); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

// RPT-5: 4 to 6 minutes after the day's end; over at most 4 hours, at most 5 minutes apart.
func TestTimes(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for day := range int64(300) {
		off := begin(day, dns.MustParse("mx.example")).Sub(startOf(day + 1))
		if off < 4*time.Minute || off >= 6*time.Minute {
			t.Fatalf("day %d begins %v after midnight", day, off)
		}
		seen[off] = true
	}
	if len(seen) < 250 {
		t.Errorf("%d different moments in 300 days", len(seen))
	}
	for n, want := range map[int]time.Duration{0: 0, 1: 0, 2: 5 * time.Minute, 48: 5 * time.Minute, 4800: 3 * time.Second} {
		if got := spread(n); got != want {
			t.Errorf("%d reports: %v apart, want %v", n, got, want)
		}
	}
}

func TestRetryLookup(t *testing.T) {
	t.Parallel()
	day := dayOf(saturday)
	end := saturday.Add(48 * time.Hour)
	for _, tt := range []struct {
		tries   int
		now     time.Time
		pause   time.Duration
		expired bool
	}{
		{1, end.Add(-time.Hour), 10 * time.Minute, false},
		{4, end.Add(-time.Second), 80 * time.Minute, false},
		{90, end.Add(-time.Second), 4 * time.Hour, false},
		{3, end, 0, true},
		{1, end.Add(48 * time.Hour), 10 * time.Minute, false}, // caught up late: a few tries
	} {
		due, expired := retryLookup(&Unit{Key: Key{Day: day}, Tries: tt.tries}, tt.now)
		if expired != tt.expired || !expired && due.Sub(tt.now) != tt.pause {
			t.Errorf("%+v: %v, %v", tt, due.Sub(tt.now), expired)
		}
	}
}

// RPT-10.
func TestStateOf(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "accepted", 201: "accepted", 204: "accepted", 301: "failed", 307: "failed", 400: "failed", 404: "failed",
		413: "failed", 429: "waiting", 500: "waiting", 503: "waiting"} {
		if got := stateOf(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

// RPT-12: a time that grows.
func TestPenalty(t *testing.T) {
	t.Parallel()
	for times, days := range map[int]int{0: 3, 1: 6, 4: 48, 9: 48} {
		if got := penalty(times); got != time.Duration(days)*24*time.Hour {
			t.Errorf("%d times: %v", times, got)
		}
	}
}
