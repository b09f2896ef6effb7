package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/crew"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
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
	for i := range s.services {
		s.services[i].Run = func(context.Context) error { panic("a service") }
	}
	s.hourly[0].do = func(context.Context) error { panic("a chore") }
	s.STSPublish.Store = nil // whoever looks for it panics
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
	want := []guard.Area{guard.Allowance, guard.Correspondents, guard.HTTPS, guard.Posture, guard.Queue, guard.Refresh, guard.Reports, guard.SelfTest, guard.Sweeper, guard.Watcher}
	if status, text := answer("https://"+s.Addr(config.HTTPS).String()+"/.well-known/mta-sts.txt", "mta-sts.a.test"); status != 500 {
		t.Errorf("a request that panics: %d %s", status, text)
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
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end: %v", err)
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
		c := &crew.Crew{Guard: &watch.Guard, Failed: func() { failed++ }}
		c.Start(t.Context(), crew.Service{Name: "a", Area: guard.Listener, Run: func(context.Context) error {
			if n++; n < 4 {
				panic("accept")
			}
			return nil
		}})
		if err := c.Wait(); err != nil || failed != 0 || n != 4 || !watch.Saw(guard.Listener, 3) {
			t.Errorf("%v, failed %d, %d starts, counted %v", err, failed, n, watch.Seen())
		}
		c.Start(t.Context(), crew.Service{Name: "b", Area: guard.Listener, Run: func(context.Context) error { return errors.New("no port") }})
		if err := c.Wait(); err == nil || err.Error() != "b: no port" || failed != 1 {
			t.Errorf("%v, failed %d", err, failed)
		}
	})
}

func testLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}
