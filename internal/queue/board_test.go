package queue

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/retry"
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
	if refused := b.add(someJobs(1, "a.test", false), false); len(refused) != 1 {
		t.Error("a closed board took a job")
	}
	b.start()
	b.add(someJobs(5, "a.test", false), false)
	b.add(someJobs(1, "b.test", false), false)
	b.add(someJobs(4, "here.test", true), false)
	var order string
	var running []*job
	for j := b.next(); j != nil; j = b.next() {
		order += fmt.Sprintf("%c", j.to.name[0])
		running = append(running, j)
	}
	if order != "ahbhahh" { // nobody has answered yet but the mailboxes: the two kinds take turns
		t.Errorf("started %s", order)
	}
	b.done(running[0])
	if j := b.next(); j == nil || j.to.name != "a.test" {
		t.Error("a place that came free was not used")
	}
	if n := len(b.close()); n != 2 || b.next() != nil {
		t.Errorf("%d jobs came back", n)
	}
}

// Whom an attempt contacted is not always who the job waited for: what is known of
// those is bounded too.
func TestBoardForgetsContacted(t *testing.T) {
	t.Parallel()
	b := newBoard(2, 1)
	b.start()
	now := time.Now()
	b.learn(lesson{to: destKey{name: "quiet.test"}}, now, now, 0.5)
	if len(b.dests) != 0 {
		t.Error("one of which nothing is known is remembered")
	}
	for i := range knownDests + 50 {
		b.learn(lesson{destKey{name: fmt.Sprintf("%d.test", i)}, retry.Good, true}, now, now, 0.5)
	}
	if n := len(b.dests); n != knownDests {
		t.Errorf("%d are remembered, want %d", n, knownDests)
	}
}

func TestBoardIsBounded(t *testing.T) {
	t.Parallel()
	b := newBoard(2, 1) // 8 jobs, 2 for one destination
	b.start()
	a := destKey{"a.test", false}
	if n := b.allow(a); n != 2 {
		t.Errorf("an unknown destination may have %d", n)
	}
	b.add(someJobs(2, "a.test", false), false)
	if b.allow(a) != 0 || b.reserve([]destKey{a}, "", 1) {
		t.Error("one destination has no end")
	}
	for i := range 6 {
		if n := len(b.add(someJobs(1, fmt.Sprintf("%d.test", i), false), false)); n != 0 {
			t.Errorf("%d: refused", i)
		}
	}
	if b.room() != 0 || b.reserve([]destKey{{"x.test", false}}, "", 1) || len(b.add(someJobs(1, "x.test", false), false)) != 1 {
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
	if b.reserve([]destKey{{"x.test", false}}, "", boardMemory+1) {
		t.Error("bodies are not bounded")
	}
}
