package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store"
	"waxwing/peers"
)

// OPS-9: with every service panicking, the server stays, serves, and drains.
func TestServicesPanic(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.HTTPS, config.Metrics)
	cfg.Resolver.Selftest.Signed = dns.MustParse("signed.test")
	log := &lines{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := newServer(ctx, Options{Config: cfg, Log: testLog(log)})
	if err != nil {
		t.Fatal(err)
	}
	watch := guardtest.New()
	s.guard.Count = func(a guard.Area) { s.Metrics.Panicked(a); watch.Count(a) }
	// Whoever looks for the rest of itself panics.
	s.Suppression, s.Posture, s.Allowance, s.STS, s.DNS = nil, nil, nil, nil, nil
	s.STSPublish.Store, s.TLSReport.Store = nil, nil
	queue := s.Queue
	s.Queue = nil
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer := func(url, host string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	want := []guard.Area{guard.HTTPS, guard.Posture, guard.Queue, guard.Refresh, guard.Reports, guard.SelfTest, guard.Sweeper, guard.Watcher}
	if status, text := answer("https://"+s.Addr(config.HTTPS).String()+"/.well-known/mta-sts.txt", "mta-sts.a.test"); status != 500 {
		t.Errorf("a request that panics: %d %s", status, text)
	}
	if err := raise(ctx, s); err != nil { // the watcher then wakes the queue
		t.Fatal(err)
	}
	within(t, "each panicked", func() bool {
		seen := watch.Seen()
		return !slices.ContainsFunc(want, func(a guard.Area) bool { return !slices.Contains(seen, a) })
	})
	nc, err := net.Dial("tcp", s.Addr(config.MX).String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if b := make([]byte, 3); true {
		if _, err := io.ReadFull(nc, b); err != nil || string(b) != "220" {
			t.Errorf("the MX listener: %q, %v", b, err)
		}
	}
	_, text := answer("http://"+s.Addr(config.Metrics).String()+"/metrics", "")
	for _, a := range want {
		if line := `waxwing_panics_total{area="` + string(a) + `"} `; !strings.Contains(text, line) || strings.Contains(text, line+"0\n") {
			t.Errorf("%s is not counted", a)
		}
	}
	s.Queue = queue // for Close
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end: %v", err)
	}
	if !slices.Contains(watch.Seen(), guard.Allowance) { // with its last settlement
		t.Errorf("counted: %v", watch.Seen())
	}
	if !strings.Contains(log.String(), "stack=") {
		t.Error("no stack in the log")
	}
}

// OPS-9: a listener whose accepting panics is served again; an error ends the server.
func TestCrew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		watch, failed, n := guardtest.New(), 0, 0
		c := &crew{guard: &watch.Guard, failed: func() { failed++ }}
		c.start(t.Context(), "a", guard.Listener, func(context.Context) error {
			if n++; n < 4 {
				panic("accept")
			}
			return nil
		})
		if err := c.wait(); err != nil || failed != 0 || n != 4 || !watch.Saw(guard.Listener, 3) {
			t.Errorf("%v, failed %d, %d starts, counted %v", err, failed, n, watch.Seen())
		}
		c.start(t.Context(), "b", guard.Listener, func(context.Context) error { return errors.New("no port") })
		if err := c.wait(); err == nil || err.Error() != "b: no port" || failed != 1 {
			t.Errorf("%v, failed %d", err, failed)
		}
	})
}

// OPS-9: an HTTP request that panics is answered 500, and where its answer has begun, the
// connection is broken: half an answer must not look whole.
func TestPanicInHandler(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s := &Server{guard: &watch.Guard}
	srv := httptest.NewServer(s.guarded(guard.Metrics, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			io.WriteString(w, "half of it")
			http.NewResponseController(w).Flush()
		}
		panic("handler")
	})))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/")
	if err != nil || resp.StatusCode != 500 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	resp, err = http.Get(srv.URL + "/half")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half an answer was whole: %q", b)
	}
	if !watch.Saw(guard.Metrics, 2) {
		t.Errorf("counted: %v", watch.Seen())
	}
}

// OPS-9: a connection that cannot be admitted is closed, its place given back, and the
// next one accepted.
func TestPanicInAccept(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	watch, n := guardtest.New(), 0
	l := &gateListener{Listener: inner, guard: &watch.Guard, area: guard.HTTPS, gate: peers.Gate{TLS: true}, limits: peers.Limits{PerClient: 1}, count: func(string) {
		if n++; n < 3 {
			panic("observer")
		}
	}, ended: func() {}}
	defer l.Close()
	for range 3 {
		nc, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	c, err := l.Accept()
	if err != nil || !watch.Saw(guard.HTTPS, 2) || l.gate.Open() != 1 {
		t.Fatalf("%v, counted %v, %d open", err, watch.Seen(), l.gate.Open())
	}
	c.Close()
}

func testLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// raise tells the server of a change by another process.
func raise(ctx context.Context, s *Server) error {
	return s.Store.Write(ctx, func(tx *store.Tx) error { return tx.Raise(QueueArea) })
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
