package login

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// holding is a Standing that says what it is told to.
type holding struct {
	ends atomic.Bool
	fail atomic.Bool
	seen atomic.Int64
}

func (h *holding) Holds(context.Context) (bool, error) {
	h.seen.Add(1)
	if h.fail.Load() {
		return true, errors.New("the store is away")
	}
	return !h.ends.Load(), nil
}

// IMP-5, WEB-3: what lasts ends within a second of the change by which a login like it would be refused, once; what has left is not
// looked at; where nothing has changed all are looked at once a minute, and what could not be looked at is looked at again.
func TestLookout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var generation, ended atomic.Int64
		l := &Lookout{Changed: func(context.Context) (int64, error) { return generation.Load(), nil }}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		var joe, ann, bo holding
		l.Keep(&joe, func() { ended.Add(1) })
		l.Keep(&ann, func() { ended.Add(100) })
		leave := l.Keep(&bo, func() { ended.Add(10_000) })
		wait := func(d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if ended.Load() != want {
				t.Errorf("ended are %d, not %d", ended.Load(), want)
			}
		}
		wait(2*time.Second, 0)
		leave()
		bo.ends.Store(true)
		joe.ends.Store(true)
		generation.Add(1)
		wait(time.Second, 1)
		generation.Add(1)
		wait(time.Second, 1)
		n := ann.seen.Load()
		wait(30*time.Second, 1)
		if ann.seen.Load() != n {
			t.Error("all are looked at though nothing has changed")
		}
		var late holding // was let in just before the change, and is kept just after it was looked for
		late.ends.Store(true)
		l.Keep(&late, func() { ended.Add(1000) })
		wait(time.Second, 1001)
		ended.Add(-1000)
		ann.ends.Store(true) // with time alone
		ann.fail.Store(true)
		wait(time.Minute, 1)
		ann.fail.Store(false)
		wait(time.Second, 101)
		if len(l.kept) != 0 {
			t.Errorf("%d are kept", len(l.kept))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
