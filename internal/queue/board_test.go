package queue

import (
	"fmt"
	"testing"
	"time"
)

func boardJob(domain string, local bool) *job {
	return &job{to: destKey{domain, local}}
}

func someJobs(n int, domain string, local bool) (out []*job) {
	for range n {
		out = append(out, boardJob(domain, local))
	}
	return out
}

// Destinations take turns, each within its cap; a mailbox here has none.
func TestBoardTurns(t *testing.T) {
	t.Parallel()
	b := newBoard(10, 2)
	if refused := b.add(someJobs(1, "a.test", false), false, noon); len(refused) != 1 {
		t.Error("a closed board took a job")
	}
	b.start()
	b.add(someJobs(5, "a.test", false), false, noon)
	b.add(someJobs(1, "b.test", false), false, noon)
	b.add(someJobs(4, "here.test", true), false, noon)
	var order string
	var running []*job
	for j := b.next(); j != nil; j = b.next() {
		order += fmt.Sprintf("%c", j.to.domain[0])
		running = append(running, j)
	}
	if order != "abhahhh" {
		t.Errorf("started %s", order)
	}
	b.done(running[0])
	if j := b.next(); j == nil || j.to.domain != "a.test" {
		t.Error("a place that came free was not used")
	}
	if n := len(b.close()); n != 2 || b.next() != nil {
		t.Errorf("%d jobs came back", n)
	}
}

func TestBoardIsBounded(t *testing.T) {
	t.Parallel()
	b := newBoard(2, 1) // 8 jobs, 2 waiting for one destination
	b.start()
	if n := len(b.add(someJobs(5, "a.test", false), false, noon)); n != 3 {
		t.Errorf("one destination: %d refused", n)
	}
	for i := range 6 {
		if n := len(b.add(someJobs(1, fmt.Sprintf("%d.test", i), false), false, noon)); n != 0 {
			t.Errorf("%d: refused", i)
		}
	}
	if b.room() != 0 || b.reserve([]destKey{{"x.test", false}}, 1) || len(b.add(someJobs(1, "x.test", false), false, noon)) != 1 {
		t.Error("the board is full and takes more")
	}
	b.starve()
	woken := 0
	for j := b.next(); j != nil; j = b.next() {
		if b.done(j) {
			woken++
		}
	}
	if woken != 1 || b.held != 0 || len(b.dests) != 0 {
		t.Errorf("woken %d times, %d held", woken, b.held)
	}
	if b.reserve([]destKey{{"x.test", false}}, boardMemory+1) {
		t.Error("bodies are not bounded")
	}
}

// What is refused comes back when those before it should be through.
func TestPark(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		finished, ahead int
		after, want     time.Duration
	}{
		{0, 1, time.Minute, parkTime},
		{0, 600, time.Minute, time.Minute},             // nothing went through yet: a guess
		{100, 1, time.Second, parkTime},                // fast
		{10, 600, 10 * time.Second, 10 * time.Minute},  // one a second, 600 before it
		{10, 1_000_000, 10 * time.Second, longestPark}, // bounded
		{10, 10, -time.Second, parkTime},               // the clock was set back
		{1, 1_000_000_000, 1 << 62, longestPark},       // no overflow
	} {
		d := &dest{since: noon, finished: c.finished, parked: c.ahead - 1}
		if got := d.park(noon.Add(c.after)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
