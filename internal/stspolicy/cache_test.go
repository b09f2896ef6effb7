package stspolicy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/mtasts"
)

// host is the policy host of these tests.
type host struct {
	mu      sync.Mutex
	text    string
	err     *mtasts.Error
	fetches int
	hold    chan struct{} // not nil: a fetch waits for it, or for its context
}

func (h *host) Fetch(ctx context.Context, _ dns.Name) (*mtasts.Policy, []byte, *mtasts.Error) {
	h.mu.Lock()
	h.fetches++
	text, err, hold := h.text, h.err, h.hold
	h.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, nil, &mtasts.Error{Word: reason.STSFetch, Err: ctx.Err()}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := mtasts.ParsePolicy([]byte(text))
	return p, []byte(text), err
}

func (h *host) set(text string, err *mtasts.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text, h.err = text, err
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fetches
}

func policyText(mode string, maxAge int) string {
	return fmt.Sprintf("version: STSv1\nmode: %s\nmax_age: %d\nmx: *.a.test\n", mode, maxAge)
}

// rig is a Cache with a clock, a record and a policy host.
type rig struct {
	t     *testing.T
	cache *Cache
	host  *host
	dns   *dnstest.Server
	log   *strings.Builder
	now   time.Time
}

func newRig(t *testing.T, s *store.Store) *rig {
	t.Helper()
	server, err := dnstest.New(dnstest.Zone{Name: "test", Security: dns.Insecure})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, host: &host{text: policyText("enforce", 604800)}, dns: server, log: new(strings.Builder), now: time.Unix(1_800_000_000, 0)}
	r.cache = &Cache{
		Store: s, DNS: dnstest.Client(t, server), Fetcher: r.host, Now: func() time.Time { return r.now },
		Rand: func() float64 { return 0.5 }, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	return r
}

const recordName = "_mta-sts.a.test"

// record publishes an id; an empty one takes the record away.
func (r *rig) record(id string) {
	r.t.Helper()
	r.dns.Unfail(recordName, "")
	r.dns.Remove(recordName, "TXT")
	if id != "" {
		r.text("v=STSv1; id=" + id + ";")
	}
}

func (r *rig) text(txt string) {
	r.t.Helper()
	if err := r.dns.Add("test", recordName+`. 60 IN TXT "`+txt+`"`); err != nil {
		r.t.Fatal(err)
	}
}

var aTest = delivery.RecipientDomain{Name: dns.MustParse("a.test")}

func (r *rig) find() delivery.Finding { return r.cache.Find(r.t.Context(), aTest) }

// want checks one finding, given as show gives it, and the number of fetches so far.
func (r *rig) want(rule, want string, fetches int) {
	r.t.Helper()
	if got := show(r.find()); got != want || r.host.count() != fetches {
		r.t.Errorf("%s: got %q after %d fetches, want %q after %d", rule, got, r.host.count(), want, fetches)
	}
}

func (r *rig) entry() *Entry {
	r.t.Helper()
	e, err := r.cache.load(r.t.Context(), aTest.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) refresh() {
	r.t.Helper()
	if err := r.cache.RefreshDue(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// show is a finding in words.
func show(f delivery.Finding) string {
	var out []string
	add := func(ok bool, s string) {
		if ok {
			out = append(out, s)
		}
	}
	if f.Policy != nil {
		out = append(out, string(f.Policy.Mode), f.ID)
	}
	add(f.Fresh, "fresh")
	if f.Failure != nil {
		out = append(out, "failure "+string(f.Failure.Word))
	}
	add(f.Defer, "defer")
	add(f.BackOff, "backoff")
	return strings.Join(out, " ")
}

var notFound = &mtasts.Error{Word: reason.STSNoPolicy, Detail: "HTTP status 404", HTTPStatus: 404}

// TestFind is the life of a domain's policy (STS-5 to STS-9).
func TestFind(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		r := newRig(t, s)
		r.want("STS-6: no record", "", 0)
		r.text("v=STSv1; id=bad id;")
		r.want("STS-6: syntax", "failure record-syntax", 0)
		r.text("v=STSv1; id=1;")
		r.want("STS-6: two records", "failure multiple-records", 0)
		r.dns.Fail(dnstest.Failure{Name: recordName})
		r.want("STS-6: DNS failure", "failure dns-temporary defer", 0)
		r.record("1")
		r.want("STS-6: first fetch", "enforce 1 fresh", 1)
		r.want("STS-8: cached", "enforce 1 fresh", 1)
		r.host.set(policyText("testing", 86400), nil)
		r.want("STS-8: same id", "enforce 1 fresh", 1)
		r.record("2")
		r.want("STS-8: new id", "testing 2 fresh", 2)
		r.host.set("", notFound)
		r.record("3")
		r.want("STS-8: new id, fetch fails", "testing 2 failure no-policy", 3)
		r.want("STS-7: backing off", "testing 2 failure no-policy backoff", 3)
		r.record("2")
		r.want("STS-8: the old id again", "testing 2 fresh", 3)
		r.record("")
		r.want("STS-8: record gone", "testing 2", 3)
		r.dns.Fail(dnstest.Failure{Name: recordName})
		r.want("STS-8: DNS failure", "testing 2", 3)
		r.now = r.now.Add(24 * time.Hour)
		r.want("RFC 8461 §3.2: run out", "failure dns-temporary defer", 3)
		r.record("")
		r.want("run out and gone", "", 3)
		if e := r.entry(); e != nil {
			t.Errorf("the row stays: %+v", e)
		}
		r.host.set(policyText("none", 86400), nil)
		r.record("4")
		r.want("STS-9: none", "none 4 fresh", 4)
		r.record("")
		r.want("STS-9: none, record gone", "", 4)
		if e := r.entry(); e != nil {
			t.Errorf("the row of mode none stays: %+v", e)
		}
		if got := r.cache.Find(t.Context(), delivery.RecipientDomain{}); show(got) != "" {
			t.Errorf("no domain: %v", got)
		}
	})
}

// STS-14: a finding says whether the record was looked up, and every fetch is timed. STS-12:
// a record that cannot be used is told in the log.
func TestLookedAndFetched(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	var fetches []string
	r.cache.Fetched = func(result string, took time.Duration) { fetches = append(fetches, fmt.Sprint(result, " ", took)) }
	if f := r.find(); !f.Looked {
		t.Errorf("no record: %+v", f)
	}
	if f := r.cache.Find(t.Context(), delivery.RecipientDomain{Literal: netip.MustParseAddr("192.0.2.1")}); f.Looked {
		t.Errorf("address literal: %+v", f)
	}
	r.record("1")
	for range 2 { // the second from the cache: the record alone is looked up
		if f := r.find(); !f.Looked {
			t.Errorf("%+v", f)
		}
	}
	r.host.set("", notFound)
	r.record("2")
	r.find()
	if want := []string{"ok 0s", "no-policy 0s"}; !slices.Equal(fetches, want) {
		t.Errorf("fetches %q, want %q", fetches, want)
	}
	r.record("")
	r.text("v=stsv1; id=3")
	r.find()
	if !strings.Contains(r.log.String(), "MTA-STS record cannot be used") || !strings.Contains(r.log.String(), "word=record-syntax") {
		t.Errorf("log: %s", r.log)
	}
}

// TestFailures covers STS-7.
func TestFailures(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		r := newRig(t, s)
		r.record("1")
		r.host.set("", &mtasts.Error{Word: reason.STSFetch, Detail: "bad \xff\x00 bytes", HTTPStatus: 500, Err: errors.New("cause")})
		r.want("first", "failure fetch", 1)
		fetches := 1
		for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
			r.now = r.now.Add(pause*time.Minute - time.Second)
			r.want("still backing off", "failure fetch backoff", fetches)
			r.now = r.now.Add(time.Second)
			fetches++
			r.want(fmt.Sprint("after ", pause, " minutes"), "failure fetch", fetches)
		}
		e := r.entry()
		if e.Failures != fetches || e.Failure.HTTPStatus != 500 || !strings.HasPrefix(e.Failure.Detail, "bad ") {
			t.Errorf("kept %+v", e)
		}
		r.record("2")
		r.want("a new id tries at once", "failure fetch", fetches+1)
		if e = r.entry(); e.Failures != 1 {
			t.Errorf("a new id begins anew: %+v", e)
		}
		r.now = r.now.Add(5 * time.Minute)
		r.host.set(policyText("enforce", 86400), nil)
		r.want("mended", "enforce 2 fresh", fetches+2)
		if e = r.entry(); e.Failure != nil || e.Failures != 0 || string(e.Text) != r.host.text {
			t.Errorf("mended: %+v", e)
		}
	})
}

// TestOneFetch: lookups of one domain at the same time make one fetch (STS-5).
func TestOneFetch(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	r.host.hold = make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := show(r.find()); got != "enforce 1 fresh" {
				t.Errorf("got %q", got)
			}
		})
	}
	for r.host.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(r.host.hold)
	wg.Wait()
	if r.host.count() != 1 {
		t.Errorf("%d fetches", r.host.count())
	}
}

// TestCancelled: whoever is cancelled takes nobody along, and nothing is
// remembered against the domain.
func TestCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	r.host.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan delivery.Finding)
	go func() { first <- r.cache.Find(ctx, aTest) }()
	for r.host.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	second := make(chan delivery.Finding)
	go func() { second <- r.find() }()
	third := make(chan delivery.Finding)
	short, cancelShort := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelShort()
	go func() { third <- r.cache.Find(short, aTest) }()
	if got := show(<-third); got != "failure dns-temporary defer" {
		t.Errorf("who waited and was cancelled: %q", got)
	}
	cancel()
	if got := show(<-first); got != "failure dns-temporary defer" {
		t.Errorf("who led and was cancelled: %q", got)
	}
	if e := r.entry(); e != nil {
		t.Errorf("remembered: %+v", e)
	}
	close(r.host.hold)
	if got := show(<-second); got != "enforce 1 fresh" {
		t.Errorf("who waited: %q", got)
	}
}

// TestNoStore: where the cache cannot be read, the mail waits.
func TestNoStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	if err := r.cache.Store.Close(); err != nil {
		t.Fatal(err)
	}
	r.want("closed store", "failure dns-temporary defer", 0)
}

// TestRefresh covers STS-10.
func TestRefresh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		r := newRig(t, s)
		r.record("1")
		r.want("fetched", "enforce 1 fresh", 1)
		start := r.now
		day := 24 * time.Hour
		r.now = start.Add(day - time.Hour*13/10)
		r.refresh()
		if e := r.entry(); !e.LastChecked.Equal(start) {
			t.Errorf("not due, and yet checked: %+v", e)
		}
		r.now = start.Add(day)
		r.refresh()
		if e := r.entry(); !e.LastChecked.Equal(r.now) || r.host.count() != 1 {
			t.Errorf("checked: %+v, %d fetches", e, r.host.count())
		}
		// Half of max_age has gone: HTTPS too, though the id is the same.
		for r.now.Before(start.Add(84 * time.Hour)) {
			r.now = r.now.Add(time.Hour)
			r.refresh()
		}
		if e := r.entry(); r.host.count() != 2 || !e.Fetched.Equal(r.now) || !e.LastUsed.Equal(start) {
			t.Errorf("half of max_age: %+v, %d fetches", e, r.host.count())
		}
		// A new id is fetched at the next check.
		r.record("2")
		r.host.set(policyText("testing", 604800), nil)
		r.now = r.now.Add(day)
		r.refresh()
		if e := r.entry(); e.ID != "2" || e.Policy.Mode != mtasts.ModeTesting || string(e.Text) != r.host.text {
			t.Errorf("new id: %+v", e)
		}
		if r.log.Len() > 0 {
			t.Errorf("logged %s", r.log)
		}
	})
}

// TestRefreshFails: a policy whose host fails is fetched again and again until
// it runs out, and the log says so (STS-10).
func TestRefreshFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	r.want("fetched", "enforce 1 fresh", 1)
	r.host.set("", notFound)
	for range 168 {
		if show(r.cache.Find(t.Context(), aTest)) != "enforce 1 fresh" {
			t.Fatalf("lost the policy at %v", r.now)
		}
		r.now = r.now.Add(time.Hour)
		r.refresh()
	}
	if n := r.host.count(); n < 60 || n > 100 {
		t.Errorf("%d fetches in the second half of a week", n)
	}
	if !strings.Contains(r.log.String(), "word=no-policy") {
		t.Errorf("log: %s", r.log)
	}
	n := r.host.count()
	r.want("run out", "failure no-policy", n+1)
	// Without mail the row goes, and nothing is fetched any more.
	r.now = r.now.Add(26 * time.Hour)
	r.refresh()
	if e := r.entry(); e != nil || r.host.count() != n+1 {
		t.Errorf("a row of no use stays: %+v, %d fetches", e, r.host.count())
	}
}

// TestRefreshRecord: faults of the record alone, and rows that go.
func TestRefreshRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, mode string
		fault      func(r *rig)
		logged     string
		due        time.Duration
		gone       bool
	}{
		{"gone", "enforce", func(r *rig) { r.record("") }, "no-record", 23 * time.Hour, false},
		{"gone, none", "none", func(r *rig) { r.record("") }, "", 0, true},
		{"DNS failure", "testing", func(r *rig) { r.dns.Fail(dnstest.Failure{Name: recordName}) }, "dns-temporary", time.Hour, false},
		{"DNS failure, none", "none", func(r *rig) { r.dns.Fail(dnstest.Failure{Name: recordName}) }, "", time.Hour, false},
		{"two records", "enforce", func(r *rig) { r.text("v=STSv1; id=9;") }, "multiple-records", 23 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storetest.Open(t))
			r.host.set(policyText(tt.mode, 604800), nil)
			r.record("1")
			r.find()
			tt.fault(r)
			r.now = r.now.Add(24 * time.Hour)
			r.refresh()
			e := r.entry()
			if (e == nil) != tt.gone || r.host.count() != 1 {
				t.Fatalf("row %+v, %d fetches", e, r.host.count())
			}
			if e != nil && e.Due.Sub(r.now).Round(time.Hour) != tt.due {
				t.Errorf("due in %v, want %v", e.Due.Sub(r.now), tt.due)
			}
			if logged := r.log.String(); (logged != "") != (tt.logged != "") || !strings.Contains(logged, tt.logged) {
				t.Errorf("logged %q, want %q", logged, tt.logged)
			}
		})
	}
}

// TestUnused: rows go after 180 days without mail (STS-10).
func TestUnused(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	r.find()
	start := r.now
	for r.now.Before(start.Add(179 * 24 * time.Hour)) {
		r.now = r.now.Add(12 * time.Hour)
		r.refresh()
	}
	e := r.entry()
	if e == nil || !r.now.Before(e.ValidUntil) || !e.LastUsed.Equal(start) {
		t.Fatalf("after 179 days: %+v", e)
	}
	r.find()
	if e = r.entry(); !e.LastUsed.Equal(r.now) {
		t.Errorf("use is not written down: %+v", e)
	}
	r.now = r.now.Add(181 * 24 * time.Hour)
	r.refresh()
	if e = r.entry(); e != nil {
		t.Errorf("after 181 days without use: %+v", e)
	}
}

// TestClaim: machines that refresh at the same time share the work.
func TestClaim(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		r := newRig(t, s)
		const domains = 20
		for i := range domains {
			name := fmt.Sprintf("d%d.test", i)
			if err := r.dns.Add("test", "_mta-sts."+name+`. 60 IN TXT "v=STSv1; id=1;"`); err != nil {
				t.Fatal(err)
			}
			r.cache.Find(t.Context(), delivery.RecipientDomain{Name: dns.MustParse(name)})
		}
		r.now = r.now.Add(4 * 24 * time.Hour)
		other := &Cache{Store: s, DNS: r.cache.DNS, Fetcher: r.host, Now: r.cache.Now, Rand: r.cache.Rand}
		var wg sync.WaitGroup
		for _, c := range []*Cache{r.cache, other} {
			wg.Go(func() {
				if err := c.RefreshDue(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := r.host.count(); n != 2*domains {
			t.Errorf("%d fetches of %d domains", n, domains)
		}
	})
}

// TestRun: shutdown interrupts a fetch at once (STS-10).
func TestRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("1")
	r.find()
	r.now = r.now.Add(4 * 24 * time.Hour)
	r.host.hold = make(chan struct{})
	r.cache.Every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.cache.Run(ctx) }()
	for r.host.count() < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("Run goes on after its context has ended")
	}
	if e := r.entry(); e == nil || e.Failure != nil || r.log.Len() > 0 {
		t.Errorf("shutdown counts as a failure: %+v, %s", e, r.log)
	}
}

// TestCommands: what an operator can do.
func TestCommands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		r := newRig(t, s)
		ctx := t.Context()
		if _, err := r.cache.Refresh(ctx, aTest.Name); err == nil {
			t.Error("refresh without a record: no error")
		}
		r.record("1")
		r.host.set("", notFound)
		if _, err := r.cache.Refresh(ctx, aTest.Name); err == nil {
			t.Error("refresh without a policy: no error")
		}
		r.host.set(policyText("enforce", 86400), nil)
		// An operator need not wait for the backoff.
		f, err := r.cache.Refresh(ctx, aTest.Name)
		if err != nil || show(f) != "enforce 1 fresh" {
			t.Errorf("refresh: %q, %v", show(f), err)
		}
		list, err := r.cache.List(ctx)
		if err != nil || len(list) != 1 || list[0].Domain != aTest.Name || list[0].Policy == nil || !list[0].ValidUntil.Equal(r.now.Add(24*time.Hour)) {
			t.Errorf("list: %+v, %v", list, err)
		}
		for _, want := range []bool{true, false} {
			if got, err := r.cache.Forget(ctx, aTest.Name); got != want || err != nil {
				t.Errorf("forget: %v, %v", got, err)
			}
		}
	})
}

func BenchmarkFindCached(b *testing.B) {
	answer := dns.Answer[string]{Records: []string{"v=STSv1; id=1;"}}
	c := &Cache{
		Store: storetest.Open(b), Fetcher: &host{text: policyText("enforce", 604800)},
		DNS: &fixedTXT{answer: answer},
	}
	for b.Loop() {
		if f := c.Find(b.Context(), aTest); f.Policy == nil {
			b.Fatal(show(f))
		}
	}
}

// fixedTXT answers every TXT question alike.
type fixedTXT struct {
	dns.Resolver
	answer dns.Answer[string]
}

func (f *fixedTXT) LookupTXT(context.Context, dns.Name) (dns.Answer[string], error) {
	return f.answer, nil
}
