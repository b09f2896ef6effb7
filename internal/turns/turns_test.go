package turns

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is asked for, only so many are at work and so many wait; the others are
// told at once, and those that wait too long in the end.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{AtOnce: 2, Waiting: 3, Wait: 10 * time.Second}
		var working, most, done, busy atomic.Int64
		for range 10 {
			go func() {
				end, err := turns.Take(t.Context(), Caller{})
				if errors.Is(err, ErrBusy) {
					busy.Add(1)
					return
				}
				if n := working.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(6 * time.Second)
				working.Add(-1)
				end()
				end() // counts once
				done.Add(1)
			}()
		}
		synctest.Wait()
		if busy.Load() != 5 || working.Load() != 2 {
			t.Errorf("%d are told to come again and %d work, want 5 and 2", busy.Load(), working.Load())
		}
		time.Sleep(time.Minute)
		// Two at 0 s, two at 6 s; the fifth would have begun at 12 s.
		if done.Load() != 4 || busy.Load() != 6 || most.Load() != 2 {
			t.Errorf("done %d, busy %d, at once %d; want 4, 6, 2", done.Load(), busy.Load(), most.Load())
		}
		if turns.waiting != 0 || len(turns.parties) != 0 || len(turns.slots) != 0 {
			t.Errorf("left behind: %d wait, %v, %d slots", turns.waiting, turns.parties, len(turns.slots))
		}
	})
}

// One party has a bound of its own and leaves room to others.
func TestEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := &Turns{AtOnce: 1, Waiting: 10, Each: 2}
		end, err := turns.Take(t.Context(), Caller{Party: "greedy"})
		if err != nil {
			t.Fatal(err)
		}
		second := make(chan error)
		go func() {
			end, err := turns.Take(t.Context(), Caller{Party: "greedy"})
			if err == nil {
				end()
			}
			second <- err
		}()
		synctest.Wait()
		if _, err := turns.Take(t.Context(), Caller{Party: "greedy"}); !errors.Is(err, ErrBusy) {
			t.Errorf("a third of one party: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.Take(ctx, Caller{Party: "other"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another party does not wait: %v", err)
		}
		end()
		if err := <-second; err != nil {
			t.Error(err)
		}
		if turns.waiting != 0 || len(turns.parties) != 0 || len(turns.slots) != 0 {
			t.Errorf("left behind: %d wait, %v, %d slots", turns.waiting, turns.parties, len(turns.slots))
		}
	})
}

// Who is known waits where strangers no longer may.
func TestKnown(t *testing.T) {
	t.Parallel()
	turns := &Turns{AtOnce: 1, Known: 1}
	end, err := turns.Take(t.Context(), Caller{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turns.Take(t.Context(), Caller{Party: "stranger"}); !errors.Is(err, ErrBusy) {
		t.Errorf("a stranger waits: %v", err)
	}
	done := make(chan error)
	go func() {
		end, err := turns.Take(t.Context(), Caller{Party: "friend", Known: true})
		if err == nil {
			end()
		}
		done <- err
	}()
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
