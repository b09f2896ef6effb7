package search

import (
	"testing"
	"time"
)

// The index has the time that others leave.
func TestPace(t *testing.T) {
	t.Parallel()
	const took = 20 * time.Millisecond
	for _, c := range []struct {
		load  float64
		words int
		pause time.Duration
	}{
		{0, mostWords, shortest},
		{0.5, (mostWords + leastWords) / 2, took},
		{0.8, leastWords + (mostWords-leastWords)/5, 4 * took},
		{0.9, leastWords + (mostWords-leastWords)/10, 9 * took},
		{1, leastWords, 29 * took},
	} {
		p := pace{c.load}
		if words, pause := p.words(), p.pause(took); words < c.words-1 || words > c.words || (pause-c.pause).Abs() > time.Microsecond {
			t.Errorf("load %v: %d words and %v, wanted %d and %v", c.load, words, pause, c.words, c.pause)
		}
	}
	if got := (pace{1}).pause(time.Minute); got != look {
		t.Errorf("after a minute: %v", got)
	}
	for _, c := range []struct {
		had      float64
		busy, of time.Duration
		want     float64
	}{
		{0, 5, 10, 0.5}, {0, 20, 10, 1}, {0, -5, 10, 0}, {0.5, 0, 0, 0.5}, {1, 0, 10, 0.75}, {0.2, 9, 10, 0.9}, {0.8, 4, 10, 0.7},
	} {
		if got := (pace{c.had}).after(c.busy, c.of).load; got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("load %v, then %v of %v: %v, wanted %v", c.had, c.busy, c.of, got, c.want)
		}
	}
}
