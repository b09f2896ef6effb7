package session

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/tlsresult"
)

// pooled gives a rig's client a pool.
func (r *rig) pooled() *Pool {
	p := &Pool{}
	r.t.Cleanup(func() { p.Close() })
	r.client.Pool = p
	return p
}

// domain makes a request's recipients those of another domain.
func (r *rig) domain(name string) {
	r.req.Job.Domain = delivery.RecipientDomain{Name: dns.MustParse(name)}
	for i := range r.req.Recipients {
		r.req.Recipients[i].Domain, r.req.Recipients[i].Address = r.req.Job.Domain, fmt.Sprintf("r%d@%s", i, name)
	}
}

func delivered(rep Report) bool {
	return !slices.ContainsFunc(rep.Recipients, func(r delivery.RecipientResult) bool { return r.Outcome != delivery.Delivered })
}

// SES-6: messages with equal plans share a connection, up to the limits.
func TestReuse(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for _, ext := range [][]string{nil, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
		mx := &peer{cert: &p.good, ext: ext}
		r := newRig(t, network{addr1: mx})
		r.enforcePKIX()
		pool := r.pooled()
		pool.MaxMessages = 5
		for i := range 12 {
			rep := r.carry()
			s := last(rep)
			if !delivered(rep) || s.Reused != (i%5 > 0) || s.Repeat != s.Reused || s.TLS == nil || s.PKIX == nil || rep.Recipients[0].TLS != "pkix" || len(s.Transcript) > 3 {
				t.Fatalf("message %d: %+v in session %+v", i, rep.Recipients[0], s)
			}
		}
		got := mx.received()
		if len(got) != 12 || mx.connections() != 3 || mx.saw("RSET") != 9 {
			t.Errorf("%v: %d messages over %d connections, %d times RSET", ext, len(got), mx.connections(), mx.saw("RSET"))
		}
		for _, m := range got {
			if m.data != string(r.req.Content.(delivery.Bytes)) || !m.tls {
				t.Fatalf("%v: received %+v", ext, m)
			}
		}
		if bdat := mx.saw("BDAT"); (bdat == 6) != (len(ext) == 2) || bdat+mx.saw("DATA") != 12 {
			t.Errorf("%v: BDAT %d times, DATA %d times", ext, bdat, mx.saw("DATA"))
		}
		if pool.Len() != 1 {
			t.Errorf("%v: %d connections are kept", ext, pool.Len())
		}
		pool.Close()
		if pool.Len() != 0 || !eventually(func() bool { return mx.saw("QUIT") == 3 }) {
			t.Errorf("%v: after the end %d are kept, QUIT was said %d times", ext, pool.Len(), mx.saw("QUIT"))
		}
	}
}

func eventually(ok func() bool) bool {
	for range 200 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// What makes a connection worth something else makes it another's.
func TestKeys(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	records := func(certs ...*tls.Certificate) (out []dane.Record) {
		for _, c := range certs {
			a := dane.Generate(c.Leaf, dane.UsageEE, 1, 1)
			out = append(out, dane.Record{Usage: a.Usage, Selector: a.Selector, MatchingType: a.MatchingType, Data: a.Data})
		}
		return out
	}
	for name, tt := range map[string]struct {
		change func(r *rig)
		same   bool
	}{
		"same":               {func(*rig) {}, true},
		"other domain":       {func(r *rig) { r.domain("other.test") }, true},
		"DSN":                {func(r *rig) { r.req.Job.Purpose = delivery.DSN }, true},
		"records turned":     {func(r *rig) { slices.Reverse(r.req.Plan.TLSA) }, true},
		"fewer records":      {func(r *rig) { r.req.Plan.TLSA = r.req.Plan.TLSA[:1] }, false},
		"no PKIX":            {func(r *rig) { r.req.Plan.PKIX = delivery.CheckNone }, false},
		"PKIX reported":      {func(r *rig) { r.req.Plan.PKIX = delivery.CheckReport }, false},
		"DANE reported":      {func(r *rig) { r.req.Plan.DANE = delivery.CheckReport }, false},
		"opportunistic":      {func(r *rig) { r.req.Plan.TLS = delivery.TLSOpportunistic }, false},
		"fallback":           {func(r *rig) { r.req.Plan.PlaintextFallback = true }, false},
		"other name":         {func(r *rig) { r.req.Plan.Host.Name = delivery.MXHost{Name: dns.MustParse("b.test")} }, false},
		"other SNI":          {func(r *rig) { r.req.Plan.SNI = dns.MustParse("b.test") }, false},
		"more references":    {func(r *rig) { r.req.Plan.DANENames = append(r.req.Plan.DANENames, dns.MustParse("b.test")) }, false},
		"RequireTLS":         {func(r *rig) { r.req.Job.Need = delivery.RequireTLS }, false},
		"REQUIRETLS offered": {func(r *rig) { r.req.Plan.RequireTLSVerb = delivery.CheckReport }, false},
		"policy with a fault": {func(r *rig) {
			r.req.Plan.Reports = []delivery.Policy{{Type: "sts", Failed: &delivery.TLSFailure{Word: "sts-policy-fetch-error"}}}
		}, false},
		"DMARC report": {func(r *rig) { r.req.Job.Purpose = delivery.DMARCReport }, false},
		"other client": {func(r *rig) {
			c := *r.client
			r.client = &c
		}, false},
	} {
		mx := &peer{cert: &p.good}
		r := newRig(t, network{addr1: mx})
		r.enforcePKIX()
		r.enforceDANE(p.good.Leaf)
		r.req.Plan.TLSA = records(&p.good, &p.alone)
		r.pooled()
		first := r.carry()
		tt.change(r)
		rep := r.carry()
		if !delivered(first) || !delivered(rep) || last(rep).Reused != tt.same {
			t.Errorf("%s: reused %v, want %v; %+v", name, last(rep).Reused, tt.same, rep.Recipients[0])
		}
	}
}

// A message under RequireTLS leaves nothing for others, and takes nothing of theirs.
func TestRequireTLSAlone(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, extTLS: []string{"REQUIRETLS"}}
	r := newRig(t, network{addr1: mx})
	pool := r.pooled()
	r.client.Resume = tls.NewLRUClientSessionCache(10)
	r.enforcePKIX()
	r.req.Plan.RequireTLSVerb, r.req.Job.Need = delivery.CheckRequire, delivery.RequireTLS
	for range 3 {
		if rep := r.carry(); !delivered(rep) || last(rep).TLS.Resumed || pool.Len() != 0 {
			t.Errorf("%+v, %d connections are kept", last(rep), pool.Len())
		}
	}
}

// SES-6: one TLS session counts once per recipient domain that it served.
func TestReuseCounts(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, step: func(conn, mail int, verb string) string {
		if conn == 1 && mail == 4 && verb == "MAIL" {
			return drop
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	r.pooled()
	total := map[string]int{}
	for i, name := range []string{"a.test", "a.test", "b.test", "c.test", "c.test", "a.test"} {
		r.domain(name)
		r.req.Plan.Reports = []delivery.Policy{{Type: "no-policy-found", Domain: r.req.Job.Domain.Name}}
		rep := r.carry()
		if !delivered(rep) {
			t.Fatalf("message %d: %+v", i, rep.Recipients[0])
		}
		res := &delivery.Result{Transport: "direct", Visits: []delivery.Visit{rep.Visit}, Recipients: rep.Recipients}
		for _, o := range tlsresult.Observe(r.req.Job, res) {
			total[o.RecipientDomain.ASCII()] += o.OK + 100*o.Failed
		}
	}
	// a.test had both sessions, c.test only the one that carried its mail.
	if mx.connections() != 2 || total["a.test"] != 2 || total["b.test"] != 1 || total["c.test"] != 1 {
		t.Errorf("%d connections, sessions counted %v", mx.connections(), total)
	}
}

// The plaintext retry is of one message: the next tries TLS again (POL-3).
func TestPlaintextRetryIsNotKept(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, step: func(conn, _ int, verb string) string {
		if conn == 1 && verb == "STARTTLS" {
			return "454 4.7.0 not now"
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	r.pooled()
	if rep := r.carry(); !delivered(rep) || !last(rep).Plaintext || rep.Recipients[0].TLS != "none" {
		t.Fatalf("%+v", rep.Recipients[0])
	}
	if rep := r.carry(); !delivered(rep) || last(rep).Reused || rep.Recipients[0].TLS == "none" {
		t.Errorf("%+v", last(rep))
	}
}

// A host that never offers TLS is used again in plaintext, and says so each time.
func TestReusePlaintext(t *testing.T) {
	t.Parallel()
	mx := &peer{}
	r := newRig(t, network{addr1: mx})
	r.pooled()
	r.carry()
	rep := r.carry()
	if s := last(rep); !s.Reused || s.TLSFailure == nil || rep.Recipients[0].TLS != "none" || s.Plaintext {
		t.Errorf("%+v", s)
	}
	r.req.Plan.TLS, r.req.Plan.PlaintextFallback = delivery.TLSRequired, false
	if rep := r.carry(); delivered(rep) || len(mx.received()) != 2 {
		t.Errorf("mail that needs TLS went over a connection without")
	}
}

func TestPoolLimits(t *testing.T) {
	t.Parallel()
	mx := &peer{}
	r := newRig(t, network{addr1: mx})
	pool := r.pooled()
	pool.Idle, pool.MaxIdle = 100*time.Millisecond, 2
	var wg sync.WaitGroup
	for range 6 {
		req := r.req
		wg.Go(func() { r.client.Carry(context.Background(), req) })
	}
	wg.Wait()
	if n := pool.Len(); n < 1 || n > 2 {
		t.Errorf("%d connections are kept", n)
	}
	if !eventually(func() bool { return pool.Len() == 0 }) {
		t.Errorf("%d connections are kept after their time", pool.Len())
	}
	if !eventually(func() bool { return mx.saw("QUIT") == mx.connections() }) {
		t.Errorf("QUIT %d times on %d connections", mx.saw("QUIT"), mx.connections())
	}
	// The lab's clock runs ahead: a day later nothing is reused.
	pool.Idle = time.Minute
	now := time.Now()
	r.client.Now = func() time.Time { return now }
	r.carry()
	now = now.Add(24 * time.Hour)
	if rep := r.carry(); last(rep).Reused {
		t.Error("a connection of yesterday was used again")
	}
	pool.Close()
	if r.carry(); pool.Len() != 0 {
		t.Error("a closed pool keeps a connection")
	}
}

// The connection that is there goes before the address that may be dead.
func TestKeptFirst(t *testing.T) {
	t.Parallel()
	mx := &peer{}
	r := newRig(t, network{addr2: mx})
	r.pooled()
	r.addrs(addr1, addr2)
	if rep := r.carry(); !delivered(rep) || len(rep.Visit.Sessions) != 2 {
		t.Fatalf("%+v", rep)
	}
	if rep := r.carry(); !delivered(rep) || len(rep.Visit.Sessions) != 1 || !last(rep).Reused {
		t.Errorf("%+v", rep.Visit.Sessions)
	}
}

// LIMITS (RFC 9422): MAILMAX ends a connection, within a message too, and
// RCPTDOMAINMAX a transaction.
func TestLimits(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"PIPELINING", "LIMITS MAILMAX=2 RCPTMAX=3 RCPTDOMAINMAX=1"}}
	r := newRig(t, network{addr1: mx})
	pool := r.pooled()
	r.rcpts(8)
	for i := range r.req.Recipients {
		r.req.Recipients[i].Domain = delivery.RecipientDomain{Name: dns.MustParse(fmt.Sprintf("d%d.test", i/6))}
	}
	rep := r.carry()
	sizes := []int{}
	for _, m := range mx.received() {
		sizes = append(sizes, len(m.to))
	}
	if !delivered(rep) || !slices.Equal(sizes, []int{3, 3, 2}) || mx.connections() != 2 || pool.Len() != 1 {
		t.Errorf("delivered %v: transactions of %v recipients over %d connections, %d kept", delivered(rep), sizes, mx.connections(), pool.Len())
	}
	r.rcpts(1)
	if rep := r.carry(); !delivered(rep) || !last(rep).Reused || mx.connections() != 2 || pool.Len() != 0 {
		t.Errorf("%d connections, %d kept", mx.connections(), pool.Len())
	}
}

// At every step of the dialogue, on new and on kept connections, with DATA and
// BDAT, the host does something bad: no recipient is lost or served twice, the
// second address gets what the first did not take, and no slot is held.
func TestBadPeer(t *testing.T) {
	t.Parallel()
	absurd := strings.Repeat("x", 5000)
	flood := strings.Repeat("250-and so on\n", 5000) + "250 end"
	faults := []string{flood, "150 wait", "250-\xff\xfe\x80\n250", drop, hang, drip, "421 4.3.2 closing!", "421 4.3.2 closing", "999 what", "25", absurd, "250-a\n251 b", "354 go on", "\x00\x01\x02", "450 4.2.0 later", "220 hi\n220 hi"}
	for _, fault := range faults {
		for _, verb := range []string{"RSET", "MAIL", "RCPT", "DATA", ".", "BDAT"} {
			for _, ext := range [][]string{nil, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
				for at := 1; at <= 3; at++ {
					t.Run(fmt.Sprintf("%.12q at %s of message %d %v", fault, verb, at, ext), func(t *testing.T) {
						t.Parallel()
						badPeer(t, fault, verb, at, &peer{ext: ext})
					})
				}
			}
		}
	}
}

// Below SMTP, with and without TLS, it is the same.
func TestBadTransportLayer(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for _, fault := range []string{half, garbage, alert, reset, drop, hang, drip} {
		for _, cert := range []*tls.Certificate{nil, &p.good} {
			if cert == nil && fault != half && fault != reset {
				continue // TestBadPeer has these, or as good
			}
			for _, verb := range []string{"RSET", "MAIL", "RCPT", "DATA", ".", "BDAT"} {
				for at, ext := range [][]string{nil, {"PIPELINING"}, {"PIPELINING", "CHUNKING", "LIMITS RCPTMAX=1 MAILMAX=3"}} {
					t.Run(fmt.Sprintf("%s at %s of message %d %v, TLS %v", fault, verb, at+1, ext, cert != nil), func(t *testing.T) {
						t.Parallel()
						badPeer(t, fault, verb, at+1, &peer{ext: ext, cert: cert})
					})
				}
			}
		}
	}
}

func badPeer(t *testing.T, fault, verb string, at int, mx *peer) {
	second := &peer{}
	mx.step = func(_, mail int, v string) string {
		if v == "RSET" {
			mail++ // it comes before MAIL
		}
		if v == verb && mail == at {
			return fault
		}
		return ""
	}
	r := newRig(t, network{addr1: mx, addr2: second})
	r.addrs(addr1, addr2)
	r.short(100 * time.Millisecond)
	r.client.Timeouts.Greeting, r.client.Timeouts.Hello, r.client.Timeouts.StartTLS = 5*time.Second, 5*time.Second, 5*time.Second // a busy machine is no fault
	pool := r.pooled()
	sent, deferred, pending := 0, 0, 0
	for range 4 {
		began := time.Now()
		r.rcpts(2)
		rep := r.carry()
		if d := time.Since(began); d > 12*time.Second {
			t.Errorf("took %v", d)
		}
		for _, res := range rep.Recipients {
			switch res.Outcome {
			case delivery.Delivered:
				sent++
			case delivery.Deferred:
				deferred++
				if res.Word != reason.Unanswered {
					t.Errorf("deferred for %s: %s", res.Word, res.Text)
				}
			case delivery.Pending:
				pending++
				if res.Reply == nil || !res.Reply.Temporary() && res.Reply.Code != 354 {
					t.Errorf("left for the next host for %s: %s", res.Word, res.Text)
				}
			case delivery.Failed:
				t.Errorf("failed: %s", res.Text)
			}
		}
	}
	got := 0
	for _, m := range append(mx.received(), second.received()...) {
		got += len(m.to)
		if m.data != "" && m.data != string(r.req.Content.(delivery.Bytes)) {
			t.Errorf("received %q", m.data)
		}
	}
	// What the host took and never owned up to is deferred, and nowhere else.
	if got < sent || got > sent+deferred {
		t.Errorf("the hosts took %d, %d were delivered and %d deferred", got, sent, deferred)
	}
	if sent+deferred+pending != 8 || at > 1 && sent < 2 {
		t.Errorf("%d delivered, %d deferred, %d pending", sent, deferred, pending)
	}
	pool.Close()
}

// A kept connection that the host closed is replaced, before anything is said
// where that can be seen.
func TestDeadKeptConnection(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"250 2.0.0 taken!", "250 2.0.0 taken\n421 4.4.2 idle!"} {
		mx := &peer{ext: []string{"PIPELINING", "CHUNKING"}, step: func(_, _ int, verb string) string {
			if verb != "." {
				return ""
			}
			return fault // two replies to one command: the second comes unasked
		}}
		r := newRig(t, network{addr1: mx})
		r.pooled()
		for range 3 {
			rep := r.carry()
			if !delivered(rep) || last(rep).Reused || len(rep.Visit.Sessions) != 1 {
				t.Errorf("%q: %+v", fault, rep.Visit.Sessions)
			}
			time.Sleep(50 * time.Millisecond) // for what the host says last to come
		}
		if len(mx.received()) != 3 || mx.connections() != 3 {
			t.Errorf("%q: %d messages over %d connections", fault, len(mx.received()), mx.connections())
		}
	}
}

// A host that counts messages in its own way refuses MAIL: the message is
// carried over another connection, and not returned to its sender.
func TestRefusalOnKeptConnection(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"452 4.5.3 too many messages", "550 5.7.0 too many messages in this session", "503 5.5.1 what", "421 4.7.0 enough!"} {
		mx := &peer{step: func(_, mail int, verb string) string {
			if verb == "MAIL" && mail > 2 {
				return reply
			}
			return ""
		}}
		r := newRig(t, network{addr1: mx})
		r.pooled()
		for i := range 6 {
			if rep := r.carry(); !delivered(rep) {
				t.Errorf("%s: message %d: %+v", reply, i, rep.Recipients[0])
			}
		}
		if mx.connections() != 3 || len(mx.received()) != 6 {
			t.Errorf("%s: %d messages over %d connections", reply, len(mx.received()), mx.connections())
		}
	}
}

// A host that offers CHUNKING and does not know BDAT loses no mail.
func TestBDATNotUnderstood(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"PIPELINING", "CHUNKING"}, noBDAT: true}
	r := newRig(t, network{addr1: mx})
	r.req.Content = delivery.Bytes("Subject: x\r\n\r\nx\r\n")
	r.pooled()
	for range 4 {
		if rep := r.carry(); !delivered(rep) {
			t.Errorf("%+v", rep.Recipients[0])
		}
	}
	if len(mx.received()) != 4 {
		t.Errorf("received %+v", mx.received())
	}
}

// A kept connection that dies in the midst of a message counts for what it carried.
func TestDeadAfterFirstTransaction(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"PIPELINING", "LIMITS RCPTMAX=2"}, step: func(conn, mail int, verb string) string {
		if conn == 1 && mail == 3 && verb == "RCPT" {
			return drop
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	r.pooled()
	r.domain("a.test")
	r.carry()
	r.rcpts(4)
	r.domain("b.test")
	rep := r.carry()
	if s := rep.Visit.Sessions; !delivered(rep) || len(s) != 2 || !s[0].Reused || s[0].Repeat || s[1].Reused || len(mx.received()) != 3 {
		t.Errorf("%d messages, sessions %+v", len(mx.received()), s)
	}
}

// Results do not wait for the answer to QUIT.
func TestQuitIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	mx := &peer{answer: to("QUIT", hang)}
	r := newRig(t, network{addr1: mx})
	began := time.Now()
	if rep := r.carry(); !delivered(rep) || time.Since(began) > 2*time.Second {
		t.Errorf("%+v after %v", rep.Recipients[0], time.Since(began))
	}
}
