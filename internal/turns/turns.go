// Package turns lets a bounded number of costly things happen at the same time, and
// a bounded number of callers wait for them for a bounded time. It is for work that
// strangers can ask for: a password to be hashed, a report to be unpacked.
package turns

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrBusy: too many are waiting, or it took too long. It is temporary.
var ErrBusy = errors.New("too much of this is under way: try again later")

// Turns hands out turns, first come, first served. Its fields are set before its
// first use; it is safe for concurrent use.
type Turns struct {
	AtOnce  int           // turns at the same time; at least 1
	Waiting int           // callers that wait for one; 0: nobody waits
	Known   int           // further callers that wait, if they are known
	Each    int           // of one party, waiting and at work; 0: no bound of its own
	Wait    time.Duration // how long one waits at most; 0: as long as its context

	mu      sync.Mutex
	slots   chan struct{}
	waiting int
	parties map[string]int
}

// Caller is who asks for a turn.
type Caller struct {
	Party string // Each bounds what one party has; "" is a party too
	Known bool   // has a place to wait where strangers have taken theirs
}

// Take waits for a turn and returns the function that ends it. The error is ErrBusy
// or that of ctx.
func (t *Turns) Take(ctx context.Context, who Caller) (end func(), err error) {
	slots, now, err := t.enter(who)
	if err != nil {
		return nil, err
	}
	end = sync.OnceFunc(func() {
		<-slots
		t.leave(who.Party)
	})
	if now {
		return end, nil
	}
	defer t.waited()
	var late <-chan time.Time
	if t.Wait > 0 {
		limit := time.NewTimer(t.Wait)
		defer limit.Stop()
		late = limit.C
	}
	select {
	case slots <- struct{}{}:
		return end, nil
	case <-late:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.leave(who.Party)
	return nil, err
}

// enter counts a caller in; now says that it has its turn already.
func (t *Turns) enter(who Caller) (slots chan struct{}, now bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots == nil {
		t.slots = make(chan struct{}, max(t.AtOnce, 1))
		t.parties = map[string]int{}
	}
	if t.Each > 0 && t.parties[who.Party] >= t.Each {
		return nil, false, ErrBusy
	}
	if t.waiting == 0 { // else it would pass those who wait
		select {
		case t.slots <- struct{}{}:
			t.parties[who.Party]++
			return t.slots, true, nil
		default:
		}
	}
	room := t.Waiting
	if who.Known {
		room += t.Known
	}
	if t.waiting >= room {
		return nil, false, ErrBusy
	}
	t.waiting++
	t.parties[who.Party]++
	return t.slots, false, nil
}

func (t *Turns) waited() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
}

func (t *Turns) leave(party string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parties[party]--; t.parties[party] <= 0 {
		delete(t.parties, party)
	}
}
