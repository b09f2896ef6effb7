package validate_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/dns/validate/prooftest"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// rig is a world behind a validator and a client.
type rig struct {
	world *prooftest.World
	v     *validate.Validator
	c     *dns.Client

	mu      sync.Mutex
	asked   int
	answers func(name string, qtype uint16, again int) *wire.Msg // nil: the world
	at      time.Time
}

func newRig(t *testing.T, zones ...prooftest.Zone) *rig {
	t.Helper()
	w, err := prooftest.New(new(prooftest.Keys), now, zones...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{world: w, at: now}
	r.v = &validate.Validator{
		Mode: validate.Always, Anchors: []proof.Anchor{{Zone: ".", DS: []*wire.DS{w.Anchor()}}}, Now: r.now, Total: 5 * time.Second,
		Fetch: func(_ context.Context, name string, qtype uint16, again int) (*wire.Msg, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.asked++
			if r.answers != nil {
				if m := r.answers(name, qtype, again); m != nil {
					return m, nil
				}
				return nil, errors.New("no answer")
			}
			return w.Answer(name, qtype), nil
		},
	}
	r.c = &dns.Client{Validator: r.v, Now: r.now, Cache: dns.NewCache(100)}
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *rig) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.asked
	r.asked = 0
	return n
}

func mail(z prooftest.Zone) []prooftest.Zone {
	z.Name = "example.test."
	z.Records = append(z.Records, "@ MX 10 mx", "mx A 192.0.2.1", "mx AAAA 2001:db8::1", "_25._tcp.mx TLSA 3 1 1 aa", "alias CNAME mx", "moved DNAME elsewhere")
	return []prooftest.Zone{
		{Name: ".", Records: []string{"test. NS ns.test."}}, {Name: "test.", NSEC3: true, OptOut: true, Records: []string{"example NS ns.example", "plain NS ns.plain", "new NS ns.new"}},
		z, {Name: "plain.test.", Unsigned: true, Records: []string{"@ MX 10 mx", "mx A 192.0.2.2"}},
		{Name: "new.test.", Records: []string{"@ MX 10 mx.example.test."}},
	}
}

// VAL-1, VAL-8: a domain costs few questions, the second lookup one, the cached none.
func TestQuestions(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	look := func() {
		t.Helper()
		mx, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test"))
		if err != nil || mx.Security != dns.Secure || len(mx.Records) != 1 {
			t.Fatalf("MX: %+v, %v", mx, err)
		}
		a, err := r.c.LookupA(t.Context(), dns.MustParse("mx.example.test"))
		if err != nil || a.Security != dns.Secure {
			t.Fatalf("A: %+v, %v", a, err)
		}
		if aaaa, err := r.c.LookupAAAA(t.Context(), dns.MustParse("mx.example.test")); err != nil || aaaa.Security != dns.Secure {
			t.Fatalf("AAAA: %+v, %v", aaaa, err)
		}
		tlsa, err := r.c.LookupTLSA(t.Context(), dns.MustParse("_25._tcp.mx.example.test"))
		if err != nil || tlsa.Security != dns.Secure || len(tlsa.Records) != 1 {
			t.Fatalf("TLSA: %+v, %v", tlsa, err)
		}
		if sts, err := r.c.LookupTXT(t.Context(), dns.MustParse("_mta-sts.example.test")); err != nil || sts.Security != dns.Secure || len(sts.Records) != 0 {
			t.Fatalf("MTA-STS: %+v, %v", sts, err)
		}
	}
	look()
	if n := r.questions(); n != 10 { // five of the domain; DS and DNSKEY of two zones, and the root's keys
		t.Errorf("cold: %d questions", n)
	}
	look()
	if n := r.questions(); n != 0 {
		t.Errorf("warm: %d questions", n)
	}
	// A new domain at a mail host that is known: its MX records, and its zone's DS and DNSKEY.
	if mx, err := r.c.LookupMX(t.Context(), dns.MustParse("new.test")); err != nil || mx.Security != dns.Secure {
		t.Fatalf("%+v, %v", mx, err)
	}
	look()
	if n := r.questions(); n > 3 {
		t.Errorf("a new domain at a host that is known: %d questions", n)
	}
	// A new name of a zone that is known: no more questions than there are types.
	for _, look := range []func(context.Context, dns.Name) (dns.Answer[netip.Addr], error){r.c.LookupA, r.c.LookupAAAA} {
		if _, err := look(t.Context(), dns.MustParse("alias.example.test")); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.questions(); n != 2 {
		t.Errorf("a name of a zone that is known: %d questions for two types", n)
	}
	r.c.Cache.Flush()
	if _, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test")); err != nil {
		t.Fatal(err)
	}
	if n := r.questions(); n != 1 {
		t.Errorf("keys known: %d questions", n)
	}
	r.mu.Lock()
	r.at = now.Add(23 * time.Hour)
	r.mu.Unlock()
	look()
	if n := r.questions(); n > 10 || n < 5 {
		t.Errorf("expired: %d questions", n)
	}
	for name, want := range map[string]dns.Security{"plain.test": dns.Insecure, "alias.example.test": dns.Secure, "x.moved.example.test": dns.Secure} {
		if a, err := r.c.LookupMX(t.Context(), dns.MustParse(name)); err != nil || a.Security != want {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// VAL-8: an entry that is proven anew before it ends is used meanwhile, whatever of the chain is
// due at one time.
func TestRenewal(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	// That the last name of a chain alone is due once panicked.
	for _, s := range []struct {
		after time.Duration
		name  string
	}{{0, "example.test"}, {100, "plain.test"}, {301, "example.test"}, {375, "plain.test"}, {376, "plain.test"}} {
		r.mu.Lock()
		r.at = now.Add(s.after * time.Second)
		r.mu.Unlock()
		r.c.Cache.Flush()
		want := dns.Secure
		if s.name == "plain.test" {
			want = dns.Insecure
		}
		if a, err := r.c.LookupMX(t.Context(), dns.MustParse(s.name)); err != nil || a.Security != want || len(a.Records) != 1 {
			t.Errorf("%s after %d s: %s, %v", s.name, s.after, a.Security, err)
		}
	}
	r = newRig(t, mail(prooftest.Zone{})...)
	for _, after := range []time.Duration{0, 100, 240, 271, 280, 290, 299, 301, 560, 575, 590, 599} {
		r.mu.Lock()
		r.at = now.Add(after * time.Second)
		r.mu.Unlock()
		r.c.Cache.Flush()
		for _, name := range []string{"mx.example.test", "alias.example.test", "mx.plain.test", "x.moved.example.test", "nosuch.example.test"} {
			want := dns.Secure
			if name == "mx.plain.test" {
				want = dns.Insecure
			}
			if a, err := r.c.LookupA(t.Context(), dns.MustParse(name)); err != nil || a.Security != want {
				t.Errorf("%s after %d s: %s, %v", name, after, a.Security, err)
			}
		}
	}
}

// VAL-9, VAL-10: what is bogus is asked for again elsewhere; if it stays so, it is an error with its code.
func TestBogus(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	broken := func(times int) func(string, uint16, int) *wire.Msg {
		return func(name string, qtype uint16, again int) *wire.Msg {
			m := r.world.Answer(name, qtype)
			if qtype == wire.TypeTLSA && again < times {
				m.Answer = m.Answer[:1]
			}
			return m
		}
	}
	name := dns.MustParse("_25._tcp.mx.example.test")
	r.answers = broken(2)
	_, err := r.c.LookupTLSA(t.Context(), name)
	var e *dns.Error
	if !errors.As(err, &e) || e.Security != dns.Bogus || len(e.EDE) != 1 || e.EDE[0].Code != proof.CodeNoSignature {
		t.Errorf("%v", err)
	}
	r.answers = broken(1)
	if a, err := r.c.LookupTLSA(t.Context(), name); err != nil || a.Security != dns.Secure {
		t.Errorf("%+v, %v", a, err)
	}
	r.answers = func(string, uint16, int) *wire.Msg { return nil }
	if _, err := r.c.LookupA(t.Context(), dns.MustParse("b.example.test")); !errors.As(err, &e) || e.Security == dns.Bogus {
		t.Errorf("without answers: %v", err)
	}
}

// VAL-2: own validation begins and ends with resolvers that pass DNSSEC records.
func TestAuto(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	var said []string
	r.v.Mode, r.v.Signed = validate.Auto, dns.MustParse("example.test")
	r.v.Changed = func(on bool, why string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		said = append(said, why)
	}
	stripped := func(name string, qtype uint16, _ int) *wire.Msg {
		m := r.world.Answer(name, qtype)
		for _, s := range []*[]wire.RR{&m.Answer, &m.Ns} {
			var keep []wire.RR
			for _, rr := range *s {
				if rr.Header().Rrtype != wire.TypeRRSIG {
					keep = append(keep, rr)
				}
			}
			*s = keep
		}
		return m
	}
	set := func(fn func(string, uint16, int) *wire.Msg, later time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answers, r.at = fn, r.at.Add(later)
	}
	settles := func(want bool) {
		t.Helper()
		for range 500 {
			if r.v.Ready(t.Context()) == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("ready is not %v: %s", want, r.v.Why())
	}
	set(stripped, 0)
	if r.v.Ready(t.Context()) {
		t.Error("ready with a resolver that strips signatures")
	}
	set(nil, 11*time.Minute)
	settles(true)
	set(stripped, 2*time.Hour)
	settles(false)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(said) != 3 || !strings.Contains(said[0], "leaves DNSSEC records out") || said[1] != "" {
		t.Errorf("said: %q", said)
	}
}

// VAL-11: a wrong clock is said, once.
func TestClock(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	said := 0
	r.v.Clock = func(string) { said++ }
	r.at = now.Add(-100 * 24 * time.Hour)
	for range 2 {
		if _, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test")); err == nil {
			t.Error("no error")
		}
	}
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}

// VAL-3: the anchors that are built in, and those of a file.
func TestAnchors(t *testing.T) {
	t.Parallel()
	a := validate.RootAnchors()
	if len(a) != 1 || len(a[0].DS) != 2 || a[0].DS[0].KeyTag != 20326 || a[0].DS[1].KeyTag != 38696 {
		t.Errorf("%+v", a)
	}
	for _, bad := range []string{"", "example. IN A 192.0.2.1", "example. IN DNSKEY 0 3 8 AAAA", "$INCLUDE /etc/passwd"} {
		if got, err := validate.ParseAnchors(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// VAL-3: a lookup that is given up while the learned anchors are read leaves no validator with old ones for good, and they are
// asked for again as time goes by.
func TestLearnAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	asked := 0
	var fails error
	v := &validate.Validator{Mode: validate.Always, Anchors: validate.RootAnchors(), Now: func() time.Time { return now },
		Fetch: func(_ context.Context, name string, qtype uint16, _ int) (*wire.Msg, error) {
			m := new(wire.Msg)
			m.SetQuestion(name, qtype)
			return m, nil
		},
		Learn: func(context.Context) ([]proof.Anchor, error) { asked++; return nil, fails }}
	for _, step := range []struct {
		after time.Duration
		fails error
		asked int
	}{{0, context.Canceled, 1}, {time.Second, nil, 1}, {10 * time.Second, nil, 2}, {time.Minute, nil, 2}, {time.Hour, context.Canceled, 3}, {time.Minute, nil, 4}} {
		now, fails = now.Add(step.after), step.fails
		if _, err := v.Examine(t.Context(), "example.", wire.TypeA); err != nil {
			t.Log(err)
		}
		if asked != step.asked {
			t.Fatalf("after %v: asked %d times, want %d", step.after, asked, step.asked)
		}
	}
}

// FuzzAnchors: no file makes the reader panic.
func FuzzAnchors(f *testing.F) {
	f.Add("example. IN DS 1 8 2 aabb\n. IN DNSKEY 257 3 8 AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := validate.ParseAnchors(strings.NewReader(s))
		if err == nil && len(a) == 0 {
			t.Fatal("no anchor and no error")
		}
	})
}

// OPS-9: a panic in a question ends the question.
func TestPanic(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	v := &validate.Validator{Mode: validate.Always, Guard: &watch.Guard, Fetch: func(context.Context, string, uint16, int) (*wire.Msg, error) { panic("asked") }}
	if _, err := v.Lookup(t.Context(), "example.", wire.TypeA); err == nil {
		t.Error("no error")
	}
	if !watch.Saw(guard.Resolver, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}

// counting are the algorithms that count, with the signatures that are verified.
func counting(n *atomic.Int32) proof.Algorithms {
	out := proof.Algorithms{}
	for number, verify := range proof.Standard() {
		out[number] = func(key, data, sig []byte) bool {
			n.Add(1)
			return verify(key, data, sig)
		}
	}
	return out
}

// VAL-8: records that come again after their TTL, signed as they were, cost no arithmetic: a domain that is known costs its questions
// alone.
func TestKnownSignatures(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{NSEC3: true})...)
	var verified atomic.Int32
	r.v.Algorithms = counting(&verified)
	look := func() {
		t.Helper()
		for _, look := range []func() (dns.Security, error){
			func() (dns.Security, error) {
				a, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test"))
				return a.Security, err
			},
			func() (dns.Security, error) {
				a, err := r.c.LookupTLSA(t.Context(), dns.MustParse("_25._tcp.mx.example.test"))
				return a.Security, err
			},
			func() (dns.Security, error) {
				a, err := r.c.LookupTXT(t.Context(), dns.MustParse("_mta-sts.example.test"))
				return a.Security, err
			},
		} {
			if s, err := look(); err != nil || s != dns.Secure {
				t.Fatalf("%s, %v", s, err)
			}
		}
	}
	look()
	first := verified.Swap(0)
	asked := r.questions()
	r.mu.Lock()
	r.at = now.Add(2 * time.Hour) // all TTLs are over, the signatures are not
	r.mu.Unlock()
	look()
	if again := verified.Load(); first == 0 || again != 0 || r.questions() != asked {
		t.Errorf("%d signatures were verified, and %d again", first, again)
	}
}

// VAL-8: what is in use is proven anew in the last tenth of its time, by one lookup; so its end is noticed by none.
func TestRefresh(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{})...)
	look := func(at time.Duration) int {
		t.Helper()
		r.mu.Lock()
		r.at = now.Add(at)
		r.mu.Unlock()
		r.c.Cache.Flush()
		if a, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test")); err != nil || a.Security != dns.Secure {
			t.Fatalf("after %s: %s, %v", at, a.Security, err)
		}
		return r.questions()
	}
	const second = time.Second
	if n := look(0); n < 4 {
		t.Errorf("cold: %d questions", n)
	}
	for _, at := range []time.Duration{100 * second, 260 * second} {
		if n := look(at); n != 1 {
			t.Errorf("after %s: %d questions", at, n)
		}
	}
	if n := look(280 * second); n < 3 {
		t.Errorf("in the last tenth: %d questions, and none for what is about to end", n)
	}
	for _, at := range []time.Duration{281 * second, 299 * second, 301 * second, 400 * second} {
		if n := look(at); n != 1 {
			t.Errorf("after %s: %d questions, though all was proven anew", at, n)
		}
	}
}

// VAL-5: an answer is kept no longer than the signature that proves it is valid, whatever its TTL (RFC 4035 §5.3.3).
func TestKeptUntil(t *testing.T) {
	t.Parallel()
	r := newRig(t, mail(prooftest.Zone{Inception: -time.Hour, Expiration: 40 * time.Second})...)
	for _, c := range []struct {
		after time.Duration
		ttl   time.Duration // 0: the answer is refused
	}{{0, 40 * time.Second}, {30 * time.Second, 10 * time.Second}, {41 * time.Second, 0}} {
		r.mu.Lock()
		r.at = now.Add(c.after)
		r.mu.Unlock()
		a, err := r.c.LookupMX(t.Context(), dns.MustParse("example.test"))
		if (err == nil) != (c.ttl > 0) || err == nil && a.TTL != c.ttl {
			t.Errorf("after %s: kept for %s, %v; want %s", c.after, a.TTL, err, c.ttl)
		}
	}
}
