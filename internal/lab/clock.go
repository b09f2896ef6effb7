package lab

import (
	"sync/atomic"
	"time"
)

// Clock is the lab's time: real time, set forward. The zero value shows real
// time. It is safe for concurrent use.
type Clock struct{ ahead atomic.Int64 }

// Now is the lab's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance sets the clock forward by d.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// NextDay sets the clock to five minutes past the next UTC midnight.
func (c *Clock) NextDay() {
	now := c.Now()
	c.Advance(now.Truncate(24 * time.Hour).Add(24*time.Hour + 5*time.Minute).Sub(now))
}
