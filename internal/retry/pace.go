package retry

import (
	"math"
	"time"
)

// Signal is what an attempt says of its destination.
type Signal uint8

// The signals. The zero value says nothing: nobody was dialled, or the answer
// was about one message.
const (
	Neutral     Signal = iota
	Good               // it took mail
	Busy               // it answered, and wants less at one time
	Unreachable        // none of its hosts answered
)

// Pace is how a destination is treated (QUE-3): the number of deliveries at one
// time grows with each success and shrinks with each failure, and after some
// failures to reach it, all its mail waits together. The zero Pace is that of a
// destination of which nothing is known.
type Pace struct {
	Window   float64   // deliveries at one time; 0: the first guess
	Failures int       // times in a row that it could not be reached
	Counted  time.Time // when the last of them ended
	Blocked  time.Time // nobody dials before; zero: open
}

const (
	startWindow = 5 // the first guess
	// deadAfter failures in a row close a destination.
	deadAfter = 3
)

// blocks are how long a destination stays closed, after the first, second, …
// probe that failed. The last one repeats.
func blocks() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
}

// After is the pace after an attempt that began at started and has just ended
// with s. Limit is the most deliveries at one time, jitter a number in [0,1).
//
// Attempts that were under way when one of them failed say no more than that one
// did: failures count only if they began after the last that counted.
func (p Pace) After(s Signal, started, now time.Time, limit int, jitter float64) Pace {
	w := p.window(limit)
	switch s {
	case Good:
		return Pace{Window: min(w+1/w, float64(max(limit, 1)))}
	case Busy:
		return Pace{Window: max(w-1, 1)}
	case Unreachable:
		if started.Before(p.Counted) && !now.Before(p.Counted) {
			return p
		}
		p = Pace{Window: max(w/2, 1), Failures: min(p.Failures+1, math.MaxInt32), Counted: now}
		if n := p.Failures - deadAfter; n >= 0 {
			p.Blocked = now.Add(delay(blocks(), n+1, jitter))
		}
	}
	return p
}

func (p Pace) window(limit int) float64 {
	w := p.Window
	if !(w >= 1) { // also NaN
		w = startWindow
	}
	return min(w, float64(max(limit, 1)))
}

// Allowed is how many deliveries may be under way at now: none while it is
// closed, one as a probe after that, else the window.
func (p Pace) Allowed(now time.Time, limit int) int {
	switch {
	case p.IsBlocked(now):
		return 0
	case p.Failures >= deadAfter:
		return 1
	}
	return int(p.window(limit))
}

// IsBlocked reports that nobody is to dial at now.
func (p Pace) IsBlocked(now time.Time) bool { return Shut(p.Blocked, now) }

// Closing is what is known, on whatever machine, of a destination that did not answer.
type Closing struct {
	Until    time.Time // nobody dials before
	Failures int       // in a row
}

// Shut reports that a destination that is closed until a time is so at now. A
// time further away than any closing lasts is that of a clock that was wrong.
func Shut(until, now time.Time) bool { return now.Before(until) && until.Sub(now) <= LongestClosing() }

// LongestClosing is the furthest that the end of a closing may lie ahead: the
// longest, with room for its jitter and for clocks that are not quite alike.
func LongestClosing() time.Duration {
	all := blocks()
	return 2 * all[len(all)-1]
}

// Dead reports that it was closed and has not answered since.
func (p Pace) Dead() bool { return p.Failures >= deadAfter }
