package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// Whatever hosts do, and whenever, on connections that many messages share at
// the same time: what is called delivered was taken once, what is left for the
// next host was not taken, and what nobody knows was taken once at most.
func TestChaos(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			one, two := chaoticPeer(rnd), chaoticPeer(rnd)
			if rnd.IntN(2) == 0 {
				one.cert = &p.good
			}
			r := newRig(t, network{addr1: one, addr2: two})
			r.addrs(addr1, addr2)
			r.short(150 * time.Millisecond)
			r.client.Timeouts.StartTLS = 5 * time.Second // a busy machine is no fault
			pool := r.pooled()
			pool.MaxMessages = 1 + rnd.IntN(6)
			var wg sync.WaitGroup
			for lane := range 3 {
				wg.Go(func() {
					for i := range 6 {
						chaoticMessage(t, r, fmt.Sprintf("m%d.%d", lane, i), []*peer{one, two})
					}
				})
			}
			wg.Wait()
		})
	}
}

// chaoticPeer answers one command in ten badly.
func chaoticPeer(rnd *rand.Rand) *peer {
	faults := []string{drop, hang, "421 4.3.2 closing!", "421 4.3.2 closing", "450 4.2.0 later", "452 4.5.3 too many", "550 5.0.0 no", "what?", "354 go on", "250 ok!"}
	var mu sync.Mutex
	mine := rand.New(rand.NewPCG(rnd.Uint64(), 2))
	p := &peer{}
	for _, e := range []string{"PIPELINING", "CHUNKING", "SIZE", "DSN", "LIMITS RCPTMAX=2", "LIMITS MAILMAX=3"} {
		if rnd.IntN(3) > 0 {
			p.ext = append(p.ext, e)
		}
	}
	p.answer = func(verb, _ string, _ bool) string {
		mu.Lock()
		defer mu.Unlock()
		if mine.IntN(10) > 0 {
			return ""
		}
		f := faults[mine.IntN(len(faults))]
		if strings.HasPrefix(f, "250") && (verb == "STARTTLS" || verb == "") {
			return drop
		}
		return f
	}
	return p
}

// chaoticMessage sends one message and holds what is said of it against what the hosts have.
func chaoticMessage(t *testing.T, r *rig, id string, peers []*peer) {
	req := r.req
	body := delivery.Bytes("Message-ID: <" + id + ">\r\n\r\n.\r\n..\r\nx\r\n")
	req.Content = body
	req.Recipients = nil
	for i := range 3 {
		req.Recipients = append(req.Recipients, delivery.Recipient{ID: int64(i + 1), Address: fmt.Sprintf("r%d@%s.test", i, id)})
	}
	began := time.Now()
	rep := r.client.Carry(context.Background(), req)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("%s took %v", id, d)
	}
	taken := map[string]int{}
	for _, p := range peers {
		for _, m := range p.received() {
			for _, to := range m.to {
				if m.data == "" {
					continue // DATA in vain
				}
				if taken[to]++; strings.Contains(to, id+".") && m.data != string(body) {
					t.Errorf("%s arrived as %q", id, m.data)
				}
			}
		}
	}
	for i, res := range rep.Recipients {
		to, _, _ := strings.Cut(req.Recipients[i].Address, " ")
		n := 0
		for k, v := range taken {
			if strings.HasPrefix(k, "TO:<"+to+">") {
				n += v
			}
		}
		ok := n == 0
		switch {
		case res.Outcome == delivery.Delivered:
			ok = n == 1
		case res.Word == reason.Unanswered:
			ok = n <= 1
		}
		if !ok {
			t.Errorf("%s: %s is %v (%s: %s), and was taken %d times", id, to, res.Outcome, res.Word, res.Text, n)
		}
	}
}
