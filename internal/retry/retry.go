// Package retry says when a message that could not be delivered is tried
// again, and when nobody tries any more (RFC 5321 §4.5.4.1, QUE-4). It is pure:
// the clock and the dice come in as values.
package retry

import (
	"math"
	"time"
)

// Schedule is one message's plan for a delivery that keeps failing. The zero
// Schedule gives up after the first attempt.
type Schedule struct {
	// Delays are the pauses after the first, second, third … attempt. The last
	// one repeats until Expire.
	Delays []time.Duration
	// Expire is how long after acceptance the last attempt is made.
	Expire time.Duration
	// DelayNotice is how long after acceptance the sender hears, once, that the
	// message waits; 0 means never.
	DelayNotice time.Duration
}

// Default is the schedule of ordinary mail: soon at first, since greylisting
// and restarts pass in minutes, then every 8 h until five days are over
// (RFC 5321 §4.5.4.1: "at least 4-5 days").
func Default() Schedule {
	return Schedule{
		Delays: []time.Duration{
			1 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
			2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
		},
		Expire:      5 * 24 * time.Hour,
		DelayNotice: 4 * time.Hour,
	}
}

// Reports is the schedule of reports that this server makes: at 0, +1, +4, +12
// and +24 h, and nobody is told of delays (QUE-4).
func Reports() Schedule {
	return Schedule{
		Delays: []time.Duration{time.Hour, 3 * time.Hour, 8 * time.Hour, 12 * time.Hour},
		Expire: 24 * time.Hour,
	}
}

// spread is the width of the jitter: a delay is multiplied by a factor from
// 1-spread/2 to 1+spread/2, so that what failed together does not return together.
const spread = 0.2

// minDelay keeps a schedule with a zero or negative delay from spinning.
const minDelay = time.Second

// Next says when to try again after attempts attempts (this one included) of a
// message accepted at accepted. Jitter is a random number in [0,1). With
// expired true there is no next attempt; next is then zero. The last attempt
// falls on the very end of the schedule: a delay that would reach beyond it is cut.
func Next(s Schedule, accepted time.Time, attempts int, now time.Time, jitter float64) (next time.Time, expired bool) {
	end := accepted.Add(s.Expire)
	if len(s.Delays) == 0 || !now.Before(end) {
		return time.Time{}, true
	}
	next = now.Add(delay(s.Delays, attempts, jitter))
	if next.After(end) {
		return end, false
	}
	return next, false
}

func delay(delays []time.Duration, attempts int, jitter float64) time.Duration {
	i := min(max(attempts-1, 0), len(delays)-1)
	if !(jitter >= 0 && jitter < 1) { // also NaN
		jitter = 0.5
	}
	d := float64(delays[i]) * (1 + spread*(jitter-0.5))
	return max(time.Duration(min(d, math.MaxInt64/2)), minDelay)
}

// Attend is the next time after now at which a waiting message needs to be
// looked at even though it cannot be tried: to tell its sender of the delay, unless
// told or nobody wants to know, and when its time is over.
func Attend(s Schedule, start time.Time, notice bool, now time.Time) time.Time {
	end := start.Add(s.Expire)
	if at := start.Add(s.DelayNotice); notice && s.DelayNotice > 0 && at.Before(end) && at.After(now) {
		return at
	}
	return end
}

// NoticeDue reports whether the sender is now to be told that the message
// waits (QUE-4). Whether it was told already, the caller knows.
func NoticeDue(s Schedule, accepted, now time.Time) bool {
	return s.DelayNotice > 0 && !now.Before(accepted.Add(s.DelayNotice))
}
