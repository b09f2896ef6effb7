package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/reportbox"
	"waxwing/internal/turns"
)

// sink answers as its test says and remembers what it got.
type sink struct {
	reason string
	err    error
	got    []string
	from   []netip.Addr
}

func (s *sink) TakePost(_ context.Context, source netip.Addr, body []byte) (string, error) {
	s.got, s.from = append(s.got, string(body)), append(s.from, source)
	return s.reason, s.err
}

func post(h http.Handler, from, mediaType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
	r.RemoteAddr = from
	r.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// RPT-15: what is taken, what is refused for good, and what may come again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const gz = "application/tlsrpt+gzip"
	for name, tt := range map[string]struct {
		sink             sink
		mediaType, body  string
		status           int
		retryAfter, told string
		reached          bool
	}{
		"taken":       {sink{}, gz, "x", 200, "", "taken", true},
		"JSON":        {sink{}, "application/tlsrpt+json; charset=utf-8", "x", 200, "", "taken", true},
		"refused":     {sink{reason: "about no domain of this server"}, gz, "x", 400, "", "about no domain", true},
		"today full":  {sink{err: reportbox.ErrTooMany}, gz, "x", 429, "7201", "too many", true},
		"store down":  {sink{err: errors.New("secret path")}, gz, "x", 503, "61", "try again", true},
		"busy":        {sink{err: fmt.Errorf("no turn: %w", turns.ErrBusy)}, gz, "x", 503, "61", "busy", true},
		"a form":      {sink{}, "application/x-www-form-urlencoded", "x", 415, "", "tlsrpt+gzip", false},
		"no type":     {sink{}, "", "x", 415, "", "tlsrpt+gzip", false},
		"empty":       {sink{}, gz, "", 400, "", "empty", false},
		"beyond 1MiB": {sink{}, gz, strings.Repeat("x", 1<<20+1), 413, "", "1 MiB", false},
	} {
		h := &Handler{Sink: &tt.sink, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC) }}
		w := post(h, "[::ffff:192.0.2.1]:4000", tt.mediaType, tt.body)
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retryAfter || !strings.Contains(w.Body.String(), tt.told) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %q %v", name, w.Code, w.Body, w.Header())
		}
		if (len(tt.sink.got) == 1) != tt.reached || tt.reached && tt.sink.from[0] != netip.MustParseAddr("192.0.2.1") {
			t.Errorf("%s: the sink got %q from %v", name, tt.sink.got, tt.sink.from)
		}
	}
}

// RPT-15: limits per source; an IPv6 /64 is one. The next hour begins anew.
func TestPerSource(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 22, 59, 0, 0, time.UTC)
	h := &Handler{Sink: &sink{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	const gz = "application/tlsrpt+gzip"
	for i := range perHour {
		if w := post(h, "[2001:db8::"+string("0123456789"[i%10])+"]:1", gz, "x"); w.Code != 200 {
			t.Fatalf("request %d: %d", i, w.Code)
		}
	}
	if w := post(h, "[2001:db8::ff]:1", gz, "x"); w.Code != 429 || w.Header().Get("Retry-After") != "61" {
		t.Errorf("beyond the limit: %d %v", w.Code, w.Header())
	}
	if w := post(h, "[2001:db8:0:1::1]:1", gz, "x"); w.Code != 200 {
		t.Errorf("another network: %d", w.Code)
	}
	now = now.Add(time.Minute)
	if w := post(h, "[2001:db8::1]:1", gz, "x"); w.Code != 200 {
		t.Errorf("the next hour: %d", w.Code)
	}
	for i := range maxOfSite { // of one owner
		if w := post(h, fmt.Sprintf("[2001:db8:1:%x::1]:1", i), gz, "x"); w.Code != 200 {
			t.Errorf("network %d of a /48: %d", i, w.Code)
		}
	}
	if w := post(h, "[2001:db8:1:ff::1]:1", gz, "x"); w.Code != 429 {
		t.Errorf("one more network of a /48: %d", w.Code)
	}
	for i := range maxSources { // a flood of networks does not grow the memory
		if leave, _, ok := h.admit(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})); ok {
			leave()
		}
	}
	if len(h.sources) > maxSources {
		t.Errorf("%d sources are remembered", len(h.sources))
	}
	if w := post(h, "[2001:db8::1]:1", gz, "x"); w.Code != 200 {
		t.Errorf("a known source in a flood: %d", w.Code)
	}
}

// slowSink keeps its callers until it is let go.
type slowSink struct{ in, out chan struct{} }

func (s slowSink) TakePost(context.Context, netip.Addr, []byte) (string, error) {
	s.in <- struct{}{}
	<-s.out
	return "", nil
}

// RPT-15: one network has only so many requests answered at a time, and takes
// nobody else's room; what came of each is counted.
func TestAtATime(t *testing.T) {
	t.Parallel()
	s := slowSink{make(chan struct{}, 100), make(chan struct{})}
	var mu sync.Mutex
	counted := map[int]int{}
	h := &Handler{Sink: s, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1e9, 0) }, Count: func(status int) {
		mu.Lock()
		defer mu.Unlock()
		counted[status]++
	}}
	const gz = "application/tlsrpt+gzip"
	var wg sync.WaitGroup
	for range atATime {
		wg.Go(func() {
			if w := post(h, "[2001:db8::1]:1", gz, "x"); w.Code != 200 {
				t.Errorf("within the limit: %d", w.Code)
			}
		})
		<-s.in
	}
	if w := post(h, "[2001:db8::2]:1", gz, "x"); w.Code != 429 || w.Header().Get("Retry-After") != "61" {
		t.Errorf("one more of the network: %d %v", w.Code, w.Header())
	}
	wg.Go(func() {
		if w := post(h, "192.0.2.1:1", gz, "x"); w.Code != 200 {
			t.Errorf("another network: %d", w.Code)
		}
	})
	<-s.in
	close(s.out)
	wg.Wait()
	if w := post(h, "[2001:db8::2]:1", gz, "x"); w.Code != 200 || len(h.open) != 0 {
		t.Errorf("afterwards: %d, %d open", w.Code, len(h.open))
	}
	if len(counted) != 2 || counted[200] != atATime+2 || counted[429] != 1 {
		t.Errorf("counted: %v", counted)
	}
}

// A few networks whose bodies come slowly keep nobody else waiting.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	h := &Handler{Sink: &sink{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1e9, 0) }}
	const gz = "application/tlsrpt+gzip"
	var wg sync.WaitGroup
	var ends []*io.PipeWriter
	for i := range reading / 2 {
		in, out := io.Pipe()
		ends = append(ends, out)
		r := httptest.NewRequest(http.MethodPost, Path, in)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i/atATime)
		r.Header.Set("Content-Type", gz)
		wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), r) })
		if _, err := out.Write([]byte("x")); err != nil { // returns once it is read
			t.Fatal(err)
		}
	}
	if w := post(h, "198.51.100.1:1", gz, "x"); w.Code != 200 {
		t.Errorf("another network: %d", w.Code)
	}
	for _, out := range ends {
		out.CloseWithError(errors.New("gone"))
	}
	wg.Wait()
}
