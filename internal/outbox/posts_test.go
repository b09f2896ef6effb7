package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns/dnstest"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// roundTrip answers requests.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answered(r *http.Request) *http.Response {
	return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}, Request: r}
}

// web lets r post to addresses that take everything; what they got is returned.
func web(r *rig) (got func() []string) {
	var mu sync.Mutex
	var all []string
	r.HTTP = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, req.Header.Get("Content-Type")+" "+string(b))
		return answered(req), err
	})}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// Addresses that do not answer hold up their own posts and nothing else: while more
// of them than there are workers keep theirs waiting, the reports of the next day are
// made and mailed, and those that wait are not posted a second time.
func TestSlowAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	asked := make(chan string, 100)
	r.HTTP = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		asked <- req.URL.Host
		<-req.Context().Done()
		return nil, req.Context().Err()
	})}
	for i := range 2 * workers {
		name := fmt.Sprintf("slow%d.test", i)
		r.want(name, "https://"+name+"/ mailto:w@"+name)
		r.see(saturday, place, name)
	}
	r.want("next.test", "mailto:w@next.test")
	r.see(saturday.AddDate(0, 0, 1), place, "next.test")
	if _, err := r.SendDay(t.Context(), SendOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var services sync.WaitGroup
	services.Go(func() { r.check(t, r.RunPosts(ctx)) })
	hosts := map[string]bool{}
	for range workers {
		hosts[<-asked] = true
	}
	r.clock.Set(saturday.Add(49 * time.Hour))
	services.Go(func() { r.check(t, r.Run(ctx)) })
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(r.outcomes(t, saturday.AddDate(0, 0, 1)), "next.test reported"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("slow https addresses hold up the reports by mail")
		}
	}
	if len(hosts) != workers || len(asked) != 0 || len(r.out.All()) != 2*workers+1 {
		t.Errorf("%d addresses were asked, %d once more; %d mails", len(hosts), len(asked), len(r.out.All()))
	}
	stop()
	services.Wait()
}

func (r *rig) check(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

// What is to be posted is posted at once, not when RunPosts would look anyway.
func TestPostsWake(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	got := web(r)
	ctx, stop := context.WithCancel(t.Context())
	var services sync.WaitGroup
	services.Go(func() { r.check(t, r.RunPosts(ctx)) })
	time.Sleep(50 * time.Millisecond) // so that it is asleep
	r.want("a.test", "https://a.test/")
	r.see(saturday, place, "a.test")
	r.step(t)
	for end := time.Now().Add(2 * time.Minute); len(got()) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if len(got()) != 1 {
		t.Errorf("posted %q", got())
	}
	stop()
	services.Wait()
}

func TestRunStops(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	for _, run := range []func(context.Context) error{r.Run, r.RunPosts} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- run(ctx) }()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * time.Minute):
			t.Error("it does not stop")
		}
	}
}

// RPT-11: a post whose lease ended belongs to who has taken it over; what the
// slow machine comes back with no longer counts.
func TestPostTakenOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.want("a.example", "https://a.example/r")
		r.see(saturday, place, "a.example")
		if _, err := r.SendDay(ctx, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		slow, err := r.claimPost(ctx)
		if err != nil || slow == nil {
			t.Fatalf("not claimed: %v", err)
		}
		web(r)
		if r.posts(t); r.sent(t)[0].State != "sending" {
			t.Fatal("posted although another machine is at it")
		}
		r.clock.Set(r.clock.Now().Add(lease + time.Second))
		slower, err := r.claimPost(ctx)
		if err != nil || slower == nil {
			t.Fatalf("not claimed again: %v", err)
		}
		settle := func(p *post, state string) error {
			return s.Write(ctx, func(tx *store.Tx) error { return r.settlePost(tx, p, answer{state: state, note: state}) })
		}
		if err := settle(slow, "failed"); !errors.Is(err, ErrLost) {
			t.Errorf("the slow machine while another is at it: %v, want ErrLost", err)
		}
		if err := settle(slower, "accepted"); err != nil {
			t.Error(err)
		}
		if err := settle(slower, "failed"); !errors.Is(err, ErrLost) {
			t.Errorf("a second time: %v, want ErrLost", err)
		}
		got := r.sent(t)[0]
		if got.State != "delivered" || got.Deliveries[0].Tries != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// OPS-9: a panic in one stage of a run leaves the others to be done, and is contained by
// who runs the service; net/http dials on a goroutine of its own.
func TestPanicInStage(t *testing.T) {
	t.Parallel()
	r, watch := newRig(t, storetest.Open(t)), guardtest.New()
	r.Guard = &watch.Guard
	r.want("a.test", "mailto:w@a.test")
	r.see(saturday, place, "a.test")
	if err := r.plan(t.Context(), dayOf(saturday), saturday, false); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	r.Now = func() time.Time {
		if calls.Add(1) == 1 { // the first of planDays
			panic("clock")
		}
		return r.clock.Now()
	}
	err := watch.Try(guard.Reports, func() error { _, err := r.Step(t.Context()); return err })
	if !guard.Contained(err) || r.outcomes(t, saturday) != "a.test reported" {
		t.Errorf("%v, %s", err, r.outcomes(t, saturday))
	}
	r.Dial, r.AllowPrivate = func(context.Context, string, string) (net.Conn, error) { panic("dial") }, true
	if _, err := r.guarded(t.Context(), "tcp", "127.0.0.1:443"); !guard.Contained(err) {
		t.Errorf("dial: %v", err)
	}
}

// RPT-10: certificates are verified against the roots that are set.
func TestPostRoots(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	strange := &Box{DNS: &dnstest.Resolver{T: t}, AllowPrivate: true, Now: time.Now}
	if a := strange.post(context.Background(), srv.URL, nil); a.state != "waiting" || !strings.Contains(a.note, "certificate") {
		t.Errorf("an unknown authority: %+v", a)
	}
	trusting := &Box{DNS: strange.DNS, AllowPrivate: true, Now: time.Now, Roots: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if a := trusting.post(context.Background(), srv.URL, nil); a.state != "accepted" {
		t.Errorf("with its root: %+v", a)
	}
}
