package session

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"waxwing/internal/reason"
	"waxwing/internal/retry"
)

// QUE-3: 200 domains lead to one address that takes connections and never greets. It
// holds no more than its share of the places; who finds none is told at once; another
// address is as quick as ever.
func TestCrowd(t *testing.T) {
	t.Parallel()
	tarpit := &peer{answer: func(verb, _ string, _ bool) string {
		if verb == "" {
			return hang
		}
		return ""
	}}
	r := newRig(t, network{addr1: tarpit, addr2: {}})
	r.client.Crowd = &Crowd{All: 80}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const domains = 200
	words := make(chan reason.Word, domains)
	var wg sync.WaitGroup
	for range domains {
		wg.Go(func() {
			words <- r.client.Carry(ctx, r.req).Recipients[0].Word
		})
	}
	for range domains - 10 { // an eighth of the places is held
		select {
		case w := <-words:
			if w != reason.AddressCrowded {
				t.Fatalf("%s", w)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("those who find no place are held up")
		}
	}
	r.addrs(addr2)
	began := time.Now()
	if rep := r.carry(); !delivered(rep) || time.Since(began) > 5*time.Second {
		t.Errorf("another address after %v: %+v", time.Since(began), rep.Recipients[0])
	}
	// The other address of a crowded host is tried.
	r.addrs(addr1, addr2)
	if rep := r.carry(); !delivered(rep) || len(rep.Visit.Sessions) != 2 || rep.Visit.Sessions[0].Connected {
		t.Errorf("%+v", rep.Visit.Sessions)
	}
	stop()
	wg.Wait()
	r.client.Crowd.mu.Lock()
	defer r.client.Crowd.mu.Unlock()
	if p := r.client.Crowd.at[netip.MustParseAddr(addr1)]; p != nil {
		t.Errorf("%d seats are left", len(p.seats))
	}
}

// Who answers in good time has more room, until its connections are slow.
func TestCrowdSeats(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := &Crowd{All: 80, Now: func() time.Time { return now }}
	a := netip.MustParseAddr(addr1)
	take := func() (n int) {
		for {
			if _, free := c.enter(a); !free {
				return n
			}
			n++
		}
	}
	first, _ := c.enter(a)
	first.greeted()
	first.leave()
	first.leave()
	if n := take(); n != 60 {
		t.Errorf("%d places for an address that answers", n)
	}
	now = now.Add(retry.SlowAfter)
	for s := range c.at[a].seats {
		s.greeted() // too late to count
		s.leave()
		break
	}
	if _, free := c.enter(a); free {
		t.Error("a slow address takes another")
	}
	for s := range c.at[a].seats {
		s.leave()
	}
	now = now.Add(2 * heardFor)
	if n := take(); n != 10 {
		t.Errorf("%d places for one of which nothing is known any more", n)
	}
	// What is remembered is bounded.
	for i := range knownPlaces + 100 {
		s, _ := c.enter(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		s.greeted()
		s.leave()
	}
	if len(c.at) > knownPlaces+1 {
		t.Errorf("%d addresses are remembered", len(c.at))
	}
}

// A seat is given up however the visit ends.
func TestCrowdLeaves(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*peer{"delivered": {}, "closed": {answer: to("", drop)}, "refused": nil, "plaintext after TLS": {answer: to("STARTTLS", "454 no"), ext: []string{"STARTTLS"}}} {
		peers := network{}
		if p != nil {
			peers[addr1] = p
		}
		r := newRig(t, peers)
		r.pooled()
		r.client.Crowd = &Crowd{All: 8}
		for range 4 {
			r.carry()
		}
		if at := r.client.Crowd.at[netip.MustParseAddr(addr1)]; at != nil && len(at.seats) > 0 {
			t.Errorf("%s: %d seats are left", name, len(at.seats))
		}
	}
}

// A host that answers over new connections and holds up its clients over kept ones has
// no more places for that.
func TestCrowdReuse(t *testing.T) {
	t.Parallel()
	mx := &peer{answer: func(verb, _ string, _ bool) string {
		if verb == "RSET" { // said over kept connections only
			return hang
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	pool := r.pooled()
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	r.client.Crowd = &Crowd{All: 8, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	held := 0
	for ; held < 8; held++ {
		rep := r.client.Carry(ctx, r.req)
		if rep.Recipients[0].Word == reason.AddressCrowded {
			break
		}
		if !delivered(rep) {
			t.Fatalf("%+v", rep.Recipients)
		}
		wg.Go(func() { r.client.Carry(ctx, r.req) })
		if !eventually(func() bool { return pool.Len() == 0 }) {
			t.Fatal("the kept connection is not used")
		}
		mu.Lock()
		now = now.Add(retry.SlowAfter)
		mu.Unlock()
	}
	if held != 2 { // an eighth of the places, and two at the least
		t.Errorf("%d deliveries are held up at one address", held)
	}
}
