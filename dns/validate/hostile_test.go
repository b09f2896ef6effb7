//go:build linux

package validate_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
)

// enemy is zones that are made to cost much.
type enemy struct {
	name  string
	zone  prooftest.Zone
	spoil func(wire.Question, *wire.Msg)
	ask   func(i int) (string, uint16)
}

// trap is "KeyTrap": beside many keys of one tag, many signatures that each may be by any of them.
func trap(sigs int) func(wire.Question, *wire.Msg) {
	return func(q wire.Question, m *wire.Msg) {
		if q.Qtype == wire.TypeDNSKEY {
			return
		}
		var out []wire.RR
		for _, rr := range m.Answer {
			switch rr := rr.(type) {
			case *wire.RRSIG:
				b, _ := base64.StdEncoding.DecodeString(rr.Signature)
				for i := range sigs {
					s := wire.Copy(rr).(*wire.RRSIG)
					c := []byte(string(b))
					c[i%len(c)] ^= 1
					s.Signature = base64.StdEncoding.EncodeToString(c)
					out = append(out, s)
				}
				out = append(out, rr)
			default:
				out = append(out, rr)
			}
		}
		m.Answer = out
	}
}

// wide adds records to an answer, as many as a message holds.
func wide(_ wire.Question, m *wire.Msg) {
	if len(m.Answer) == 0 {
		return
	}
	if a, ok := m.Answer[0].(*wire.A); ok {
		for i := range 2000 {
			c := wire.Copy(a).(*wire.A)
			c.A = []byte{10, 0, byte(i >> 8), byte(i)}
			m.Answer = append(m.Answer, c)
		}
	}
}

func enemies() []enemy {
	var maze []string
	for i := range 40 {
		maze = append(maze, fmt.Sprintf("m%d CNAME m%d", i, i+1))
	}
	deep := strings.Repeat("l.", 50)
	star := []string{"*.trap A 192.0.2.1", "a A 192.0.2.1"}
	in := func(format string, qtype uint16) func(int) (string, uint16) {
		return func(i int) (string, uint16) { return fmt.Sprintf(format, i) + "example.test.", qtype }
	}
	out := []enemy{
		{"alias maze", prooftest.Zone{Records: maze}, nil, func(i int) (string, uint16) { return fmt.Sprintf("m%d.example.test.", i%20), wire.TypeA }},
		{"nsec3 bomb", prooftest.Zone{NSEC3: true, Iterations: 50, Salt: strings.Repeat("aa", 255), Records: []string{deep + "top A 192.0.2.1"}}, nil, in("x%d."+deep+"top.", wire.TypeA)},
		{"nsec3 of many iterations", prooftest.Zone{NSEC3: true, Iterations: 2500, Records: star}, nil, in("x%d.", wire.TypeA)},
		{"signatures stripped below many labels", prooftest.Zone{Records: []string{deep + "top A 192.0.2.1"}}, func(q wire.Question, m *wire.Msg) {
			if q.Qtype == wire.TypeA {
				m.Answer = m.Answer[:min(1, len(m.Answer))]
			}
		}, in(deep+"n%d.top.", wire.TypeA)},
	}
	out = append(out,
		enemy{"slow upstream", prooftest.Zone{}, func(wire.Question, *wire.Msg) { time.Sleep(20 * time.Millisecond) }, in("x%d.", wire.TypeA)},
		enemy{"lying upstream: aliases to below themselves", prooftest.Zone{}, func(q wire.Question, m *wire.Msg) {
			if q.Qtype == wire.TypeDNSKEY {
				return
			}
			m.Answer = []wire.RR{&wire.CNAME{Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeCNAME, Class: wire.ClassINET, Ttl: 300}, Target: "a." + q.Name}}
		}, in("x%d.", wire.TypeA)},
		enemy{"lying upstream: what is there is denied", prooftest.Zone{NSEC3: true}, func(q wire.Question, m *wire.Msg) {
			if q.Qtype != wire.TypeDNSKEY {
				m.Rcode, m.Answer = wire.RcodeNameError, nil
			}
		}, func(int) (string, uint16) { return "_25._tcp.mx.example.test.", wire.TypeTLSA }})
	for name, algorithm := range map[string]uint8{"P-256": wire.ECDSAP256SHA256, "P-384": wire.ECDSAP384SHA384, "Ed25519": wire.ED25519, "Ed448": wire.ED448, "RSA": wire.RSASHA256} {
		out = append(out,
			enemy{"key trap " + name, prooftest.Zone{Algorithm: algorithm, Records: star, SameTag: 40}, trap(100), in("x%d.trap.", wire.TypeA)},
			enemy{"wide sets " + name, prooftest.Zone{Algorithm: algorithm, Records: star, SameTag: 40}, func(q wire.Question, m *wire.Msg) { wide(q, m); trap(100)(q, m) }, in("x%d.trap.", wire.TypeA)})
	}
	return out
}

// validators makes validators that know nothing yet of an enemy's zones.
func (e *enemy) validators(t testing.TB) func() *validate.Validator {
	t.Helper()
	w, err := prooftest.New(new(prooftest.Keys), now, mail(e.zone)...)
	if err != nil {
		t.Fatal(err)
	}
	if e.spoil != nil {
		w.Mangle = func(q wire.Question, m *wire.Msg) {
			if wire.IsSubDomain("example.test.", q.Name) && q.Qtype != wire.TypeDS {
				e.spoil(q, m)
			}
		}
	}
	return func() *validate.Validator {
		return &validate.Validator{Mode: validate.Always, Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Now: func() time.Time { return now }, Total: 10 * time.Second,
			Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
				return w.Answer(name, qtype), nil
			}}
	}
}

// processor is the time of the processor that the calling thread has had.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// VAL-7: no zone makes a lookup cost more than ten milliseconds of the processor.
func TestProcessorTime(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes most of the time")
	}
	for _, e := range enemies() {
		t.Run(e.name, func(t *testing.T) {
			runtime.LockOSThread() // the arithmetic is done by whoever looks up
			defer runtime.UnlockOSThread()
			fresh := e.validators(t)
			least, state := time.Hour, "" // others of this machine's tests disturb some
			for i := range 5 {
				name, qtype := e.ask(i)
				v := fresh()
				before := processor(t)
				p, err := v.Lookup(t.Context(), name, qtype)
				least = min(least, processor(t)-before)
				if state = fmt.Sprint(p.Security, " ", p.Limit, " ", p.Text, err); p.Security == dns.Secure && (strings.Contains(e.name, "trap") || strings.Contains(e.name, "lying")) {
					t.Errorf("%s is %s", name, state)
				}
			}
			if t.Logf("%s of the processor a lookup: %s", least, state); least > 10*time.Millisecond {
				t.Errorf("a lookup takes %s of the processor", least)
			}
		})
	}
}

// VAL-7, VAL-8: a million hostile lookups leave memory bounded. WAXWING_HOSTILE_LOOKUPS says how
// many there are, 4,000 without it.
func TestMemory(t *testing.T) {
	n := 4000
	if s := os.Getenv("WAXWING_HOSTILE_LOOKUPS"); s != "" {
		n, _ = strconv.Atoi(s)
	} else if testing.Short() {
		n = 400
	}
	all := enemies()
	// Cheap ones with many names most of all: what is kept is what matters.
	vs := make([]*validate.Validator, len(all))
	for i := range all {
		vs[i] = all[i].validators(t)()
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := w; i < n; i += 4 {
				e := i % len(all)
				if strings.Contains(all[e].name, "trap") || strings.Contains(all[e].name, "wide") {
					e = i % 4
				}
				if i%97 == 0 {
					e = i % len(all)
				}
				name, qtype := all[e].ask(i)
				_, _ = vs[e].Lookup(t.Context(), name, qtype)
			}
		})
	}
	workers.Wait()
	if after := heap(); after > before+uint64(len(all))*8<<20 {
		t.Errorf("%d lookups left %d MiB more than there were", n, (after-before)>>20)
	} else {
		t.Logf("%d lookups: %d KiB before, %d KiB after", n, before>>10, after>>10)
	}
	runtime.KeepAlive(vs)
}

// VAL-7, VAL-12: whoever asks a slow upstream waits no longer than a lookup may take, and nothing of it stays.
func TestSlow(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	open := 0
	v := &validate.Validator{Mode: validate.Always, Anchors: validate.RootAnchors(), Total: 100 * time.Millisecond,
		Fetch: func(ctx context.Context, _ string, _ uint16, _ int) (*wire.Msg, error) {
			mu.Lock()
			open++
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			open--
			mu.Unlock()
			return nil, ctx.Err()
		}}
	begin := time.Now()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if p, err := v.Lookup(t.Context(), fmt.Sprintf("x%d.example.", i), wire.TypeA); err == nil {
				t.Errorf("an answer: %+v", p)
			}
		})
	}
	all.Wait()
	if spent := time.Since(begin); spent > 5*time.Second {
		t.Errorf("they waited for %s", spent)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		left := open
		mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d questions are still asked", left)
		}
	}
}

// VAL-7, VAL-9: an upstream that answers other questions, or the same to all, is never believed and
// never asked without end.
func TestLying(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	lies := map[string]func(name string, qtype uint16, again int) *wire.Msg{
		"the answer to another name": func(string, uint16, int) *wire.Msg { return r.world.Answer("mx.example.test.", wire.TypeA) },
		"the keys for everything":    func(_ string, _ uint16, _ int) *wire.Msg { return r.world.Answer("example.test.", wire.TypeDNSKEY) },
		"the name does not exist":    func(name string, qtype uint16, _ int) *wire.Msg { return r.world.Answer("nosuch.example.test.", qtype) },
		"an alias to below itself": func(name string, qtype uint16, _ int) *wire.Msg {
			m := new(wire.Msg)
			m.SetQuestion(name, qtype)
			rr, err := wire.NewRR(name + " 300 IN CNAME a." + name)
			if err == nil {
				m.Answer = append(m.Answer, rr)
			}
			return m
		},
		"nothing": func(name string, qtype uint16, _ int) *wire.Msg {
			m := new(wire.Msg)
			m.SetQuestion(name, qtype)
			return m
		},
	}
	for what, lie := range lies {
		r.mu.Lock()
		r.answers, r.asked = lie, 0
		r.mu.Unlock()
		for _, q := range []proof.Question{{Name: "www.example.test.", Type: wire.TypeA}, {Name: "_25._tcp.mx.example.test.", Type: wire.TypeTLSA}} {
			p, err := r.v.Lookup(t.Context(), q.Name, q.Type)
			if err == nil && p.Security == dns.Secure {
				t.Errorf("%s: %s is secure", what, q)
			}
		}
		if n := r.questions(); n > 80 {
			t.Errorf("%s: %d questions", what, n)
		}
	}
}
