package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// SES-13: a host whose replies to messages are malformed gets each message once,
// over a connection of its own, and the recipients are delivered; the fault
// stands with their outcome.
func TestMalformedFinalReply(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"250 2.0.0 Ok\rqueued", "250\t2.0.0 Ok", "250-2.0.0 Ok\n251 queued", "250 2.0.0 " + strings.Repeat("x", 3000), "250 2.0.0 Ok\nqueued as 4711"} {
		for _, ext := range [][]string{nil, {"PIPELINING", "CHUNKING", "LIMITS RCPTMAX=2"}} {
			t.Run(fmt.Sprintf("%.20q %v", reply, ext), func(t *testing.T) {
				t.Parallel()
				mx, second := &peer{ext: ext, answer: to(".", reply)}, &peer{}
				r := newRig(t, network{addr1: mx, addr2: second})
				r.addrs(addr1, addr2)
				pool := r.pooled()
				for n := 1; n <= 3; n++ {
					r.rcpts(5)
					rep := r.carry()
					if !delivered(rep) || pool.Len() != 0 || second.connections() != 0 {
						t.Fatalf("%+v; %d connections kept, %d to the second address", rep.Recipients, pool.Len(), second.connections())
					}
					if text := rep.Recipients[0].Text; !strings.Contains(text, "malformed") {
						t.Errorf("the fault is not told: %q", text)
					}
					transactions := n * map[bool]int{true: 1, false: 3}[ext == nil]
					if got := len(mx.received()); got != transactions || mx.connections() != transactions {
						t.Errorf("%d messages over %d connections, want %d over as many", got, mx.connections(), transactions)
					}
				}
				taken := map[string]int{}
				for _, m := range mx.received() {
					for _, to := range m.to {
						taken[to]++
					}
				}
				for to, n := range taken {
					if n != 3 {
						t.Errorf("%s was served %d times with 3 messages", to, n)
					}
				}
			})
		}
	}
}

// SES-13: an outcome that nobody knows is called that, with the reason.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	for how, why := range map[string]string{drop: "closed by the peer", "Ok, queued!": "closed by the peer", hang: "timed out"} {
		r := newRig(t, network{addr1: {answer: to(".", how)}})
		r.client.Timeouts.Final = 300 * time.Millisecond
		res := r.carry().Recipients[0]
		if res.Outcome != delivery.Deferred || res.Word != reason.Unanswered || !strings.Contains(res.Text, "nobody knows whether the host has it") || !strings.Contains(res.Text, why) {
			t.Errorf("%q: %v %s %s", how, res.Outcome, res.Word, res.Text)
		}
	}
}

// Recipients that an address puts off are not asked again over the next connection
// to it, which the host's limit of messages makes (RFC 9422 §4).
func TestPutOffOnce(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"LIMITS RCPTMAX=1 MAILMAX=1"}, answer: func(verb, arg string, _ bool) string {
		if verb == "RCPT" && strings.Contains(arg, "<r0@") {
			return "450 4.2.1 later"
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	r.client.Bounds.Transactions = 5 * time.Second // where it ends otherwise
	r.rcpts(3)
	rep := r.carry()
	if rep.Recipients[0].Outcome != delivery.Pending || rep.Recipients[0].Word != reason.RemoteReply || rep.Recipients[1].Outcome != delivery.Delivered || rep.Recipients[2].Outcome != delivery.Delivered {
		t.Errorf("%+v", rep.Recipients)
	}
	if n := mx.saw("RCPT TO:<r0@"); n != 1 {
		t.Errorf("the one that was put off was named %d times", n)
	}
}
