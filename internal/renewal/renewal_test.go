package renewal

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func cert(life time.Duration) *Cert { return &Cert{NotBefore: start, NotAfter: start.Add(life)} }

// TestDecide is what is decided at the edges of each rule.
func TestDecide(t *testing.T) {
	t.Parallel()
	ninety := cert(90 * day)
	spread := *ninety
	spread.Spread = 1
	window := func(from, to time.Duration, s float64) *Cert {
		c := *ninety
		c.Window, c.Spread = Window{start.Add(from), start.Add(to)}, s
		return &c
	}
	at := func(d time.Duration) time.Time { return start.Add(d) }
	failed := func(n int, last, until time.Duration) Tries {
		tr := Tries{Failures: n, Since: start.Add(last), Last: start.Add(last)}
		if until > 0 {
			tr.NotUntil = start.Add(until)
		}
		return tr
	}
	for name, tt := range map[string]struct {
		c     *Cert
		t     Tries
		now   time.Duration
		renew bool
		at    time.Time
		alert Alert
	}{
		"none yet":                  {nil, Tries{}, 0, true, time.Time{}, ""},
		"new":                       {ninety, Tries{}, 0, false, at(604 * time.Hour).Add(48 * time.Minute), ""},
		"a moment before":           {ninety, Tries{}, 604*time.Hour + 48*time.Minute - 1, false, at(604*time.Hour + 48*time.Minute), ""},
		"due":                       {ninety, Tries{}, 604*time.Hour + 48*time.Minute, true, at(604*time.Hour + 48*time.Minute), ""},
		"due with the most spread":  {&spread, Tries{}, 691*time.Hour + 12*time.Minute, true, at(691*time.Hour + 12*time.Minute), ""},
		"a window sooner":           {window(10*day, 20*day, 0.5), Tries{}, 15 * day, true, at(15 * day), ""},
		"a window before now":       {window(-2*day, -day, 0), Tries{}, 0, true, at(-2 * day), ""},
		"a window later":            {window(60*day, 61*day, 0), Tries{}, 26 * day, true, at(604*time.Hour + 48*time.Minute), ""},
		"a window of no length":     {window(day, day, 0), Tries{}, 2 * day, false, at(604*time.Hour + 48*time.Minute), ""},
		"failed once":               {ninety, failed(1, 30*day, 0), 30*day + 2*time.Minute - 1, false, at(30*day + 2*time.Minute), ""},
		"failed once, and again":    {ninety, failed(1, 30*day, 0), 30*day + 2*time.Minute, true, at(30*day + 2*time.Minute), ""},
		"failed six times":          {ninety, failed(6, 30*day, 0), 30 * day, false, at(30*day + 64*time.Minute), ""},
		"failed ten times":          {ninety, failed(10, 30*day, 0), 30 * day, false, at(30*day + 6*time.Hour), ""},
		"failed for ever":           {ninety, failed(1e9, 30*day, 0), 30 * day, false, at(30*day + 6*time.Hour), ""},
		"failed, of six days":       {cert(6 * day), failed(1e9, 2*day, 0), 2 * day, false, at(2*day + 86*time.Minute + 24*time.Second), ""},
		"failed while not due":      {ninety, failed(1, 0, 0), day, false, at(604*time.Hour + 48*time.Minute), ""},
		"told to come back":         {ninety, failed(1, 30*day, 30*day+3*time.Hour), 30 * day, false, at(30*day + 3*time.Hour), ""},
		"told to come back sooner":  {ninety, failed(6, 30*day, 30*day+time.Minute), 30 * day, false, at(30*day + 64*time.Minute), ""},
		"told to come back in June": {ninety, failed(1, 30*day, 150*day), 30 * day, false, at(31 * day), ""},
		"told to come in 24 hours":  {ninety, failed(1, 30*day, 31*day), 30 * day, false, at(31 * day), ""},
		"half its life":             {ninety, failed(9, 44*day, 0), 45 * day, true, at(44*day + 6*time.Hour), ""},
		"more than half":            {ninety, failed(9, 44*day, 0), 45*day + 1, true, at(44*day + 6*time.Hour), Late},
		"five sixths":               {ninety, failed(9, 44*day, 0), 75 * day, true, at(44*day + 6*time.Hour), Late},
		"more than five sixths":     {ninety, failed(9, 44*day, 0), 75*day + 1, true, at(44*day + 6*time.Hour), Urgent},
		"about to end":              {ninety, failed(9, 44*day, 0), 90*day - 1, true, at(44*day + 6*time.Hour), Urgent},
		"ended":                     {ninety, failed(9, 44*day, 0), 90 * day, true, at(44*day + 6*time.Hour), Expired},
		"never came, five hours":    {nil, failed(9, 0, 0), 6*time.Hour - 1, true, at(time.Hour), ""},
		"never came, six hours":     {nil, failed(9, 0, 0), 6 * time.Hour, true, at(time.Hour), Never},
		"issued, the clock is fast": {ninety, Tries{Last: at(40 * day)}, 40*day + 10*time.Second, false, at(41 * day), ""},
		"issued, a window long ago": {window(-2*day, -day, 0), Tries{Last: start}, time.Minute, false, at(day), ""},
		"issued, of an hour":        {cert(time.Hour), Tries{Last: at(30 * time.Minute)}, 33 * time.Minute, true, at(33 * time.Minute), Late},
		"not valid yet":             {ninety, Tries{}, -Skew - 1, false, at(604*time.Hour + 48*time.Minute), Early},
		"not valid yet, by minutes": {ninety, Tries{}, -Skew, false, at(604*time.Hour + 48*time.Minute), ""},
		"not asked for in a year":   {nil, Tries{}, 365 * day, true, time.Time{}, ""},
	} {
		d := Decide(tt.c, tt.t, start.Add(tt.now))
		if want := (Decision{tt.renew, tt.at, tt.alert}); d != want {
			t.Errorf("%s: %+v, want %+v", name, d, want)
		}
	}
}

// Whatever the certificate, the window and the failures: it is asked for again while
// two thirds of its life are left, and an alert stands from the half on.
func TestAlwaysInTime(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{6 * day, 45 * day, 90 * day, 398 * day} {
		for _, spread := range []float64{0, 0.5, 0.999999} {
			for _, window := range []Window{{}, {start.Add(life / 2), start.Add(life)}, {start, start.Add(life / 4)}, {start.Add(life), start.Add(life * 9)}} {
				for failures := range 20 {
					c := &Cert{NotBefore: start, NotAfter: start.Add(life), Window: window, Spread: spread}
					due := Decide(c, Tries{}, start).At
					tries := Tries{Failures: failures, Since: due, Last: due}
					if failures == 0 {
						tries = Tries{Last: start} // it was issued then
					}
					d := Decide(c, tries, due)
					if left := c.NotAfter.Sub(d.At); left < life*2/3 {
						t.Errorf("life %s, spread %v, window %v, %d failures: asked for again with %s left", life, spread, window, failures, left)
					}
					if Decide(c, Tries{}, start.Add(life/2+1)).Alert == "" {
						t.Errorf("life %s: no alert after half of it", life)
					}
				}
			}
		}
	}
}
