package dispatch

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// job is what a board of the tests holds.
type job struct{ Ticket }

func newBoard(concurrency, perContact int) *Board[*job] {
	return New[*job](Bounds{Concurrency: concurrency, PerContact: perContact}, time.Now)
}

func boardJob(domain string, local bool) *job {
	return &job{Ticket{To: delivery.Contact{Domain: domain, Local: local}}}
}

func someJobs(n int, domain string, local bool) (out []*job) {
	for range n {
		out = append(out, boardJob(domain, local))
	}
	return out
}

// allowed is how many jobs a claim may take for a contact, if the store knows of the
// closed ones what the board does.
func allowed(b *Board[*job], c delivery.Contact, account string) int {
	closings := map[delivery.Contact]retry.Closing{}
	way, _ := c.Shared()
	for _, k := range []delivery.Contact{c, way} {
		if d := b.targets[k]; d != nil && d.pace.Dead() {
			closings[k] = retry.Closing{Until: d.pace.Blocked, Failures: d.pace.Failures}
		}
	}
	r, _ := b.Round([]delivery.Lane{{To: c, Account: account}}, closings, 1, b.now())
	return r.allow[c]
}

// Destinations take turns, each within its cap; a mailbox here has none.
func TestBoardTurns(t *testing.T) {
	t.Parallel()
	b := newBoard(10, 2)
	if refused := b.Add(someJobs(1, "a.test", false), false); len(refused) != 1 {
		t.Error("a closed board took a job")
	}
	b.Open()
	b.Add(someJobs(5, "a.test", false), false)
	b.Add(someJobs(1, "b.test", false), false)
	b.Add(someJobs(4, "here.test", true), false)
	var order string
	var running []*job
	for j := b.Next(); j != nil; j = b.Next() {
		order += fmt.Sprintf("%c", j.To.Domain[0])
		running = append(running, j)
	}
	if order != "ahbhahh" { // nobody has answered yet but the mailboxes: the two kinds take turns
		t.Errorf("started %s", order)
	}
	b.Done(running[0])
	if j := b.Next(); j == nil || j.To.Domain != "a.test" {
		t.Error("a place that came free was not used")
	}
	if n := len(b.Close()); n != 2 || b.Next() != nil {
		t.Errorf("%d jobs came back", n)
	}
}

// A way that contacts share has no job of its own: what is known of those is bounded too.
func TestBoardForgetsContacted(t *testing.T) {
	t.Parallel()
	b := newBoard(2, 1)
	b.Open()
	now := time.Now()
	b.learn(lesson{to: delivery.Contact{Domain: "quiet.test"}}, now, now, 0.5)
	if len(b.targets) != 0 {
		t.Error("one of which nothing is known is remembered")
	}
	for i := range knownContacts + 50 {
		b.learn(lesson{delivery.Contact{Domain: fmt.Sprintf("%d.test", i)}, retry.Good, true}, now, now, 0.5)
	}
	if n := len(b.targets); n != knownContacts {
		t.Errorf("%d are remembered, want %d", n, knownContacts)
	}
}

func TestBoardIsBounded(t *testing.T) {
	t.Parallel()
	b := newBoard(2, 1) // 8 jobs, 2 for one destination
	b.Open()
	a := delivery.Contact{Domain: "a.test"}
	if n := allowed(b, a, ""); n != 2 {
		t.Errorf("an unknown destination may have %d", n)
	}
	b.Add(someJobs(2, "a.test", false), false)
	if allowed(b, a, "") != 0 || b.Reserve([]delivery.Contact{a}, "", 1) {
		t.Error("one destination has no end")
	}
	for i := range 6 {
		if n := len(b.Add(someJobs(1, fmt.Sprintf("%d.test", i), false), false)); n != 0 {
			t.Errorf("%d: refused", i)
		}
	}
	if b.State().Room != 0 || b.Reserve([]delivery.Contact{{Domain: "x.test"}}, "", 1) || len(b.Add(someJobs(1, "x.test", false), false)) != 1 {
		t.Error("the board is full and takes more")
	}
	b.Starve()
	woken := 0
	for j := b.Next(); j != nil; j = b.Next() {
		if b.Done(j) {
			woken++
		}
	}
	if woken != 1 || b.jobs != 0 || len(b.targets) != 0 {
		t.Errorf("woken %d times, %d held", woken, b.jobs)
	}
	if b.Reserve([]delivery.Contact{{Domain: "x.test"}}, "", boardMemory+1) {
		t.Error("bodies are not bounded")
	}
}

// Jobs of a relay share one limit, whatever their domains.
func TestRelayHasOneLimit(t *testing.T) {
	t.Parallel()
	b := newBoard(100, 20)
	b.Open()
	for i := range 50 {
		b.Add([]*job{{Ticket{To: delivery.Contact{Transport: "office"}, Account: fmt.Sprint(i % 2)}}}, false)
	}
	n := 0
	for b.Next() != nil {
		n++
	}
	if n != 5 {
		t.Errorf("%d at one time", n)
	}
}
