package dispatch

import (
	"math"
	"sync/atomic"
	"time"
)

// Alarm wakes the runner when work is due. Make one with NewAlarm.
type Alarm struct {
	C    chan struct{} // receives one value for any number of calls of Wake
	next atomic.Int64  // when the runner looks again by itself, in ns since 1970
}

// NewAlarm returns an alarm that nothing has set.
func NewAlarm() *Alarm { return &Alarm{C: make(chan struct{}, 1)} }

// Wake makes the runner look now. It never blocks.
func (a *Alarm) Wake() {
	select {
	case a.C <- struct{}{}:
	default:
	}
}

// Unset says that the runner is about to find out when it looks next. Until Set says so,
// whatever becomes due wakes it.
func (a *Alarm) Unset() { a.next.Store(math.MaxInt64) }

// Set says when the runner looks next.
func (a *Alarm) Set(t time.Time) { a.next.CompareAndSwap(math.MaxInt64, t.UnixNano()) }

// Due wakes the runner if it would look only after t.
func (a *Alarm) Due(t time.Time) {
	if !t.IsZero() && t.UnixNano() < a.next.Load() {
		a.Wake()
	}
}
