package control

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/health"
	"waxwing/internal/logline"
	"waxwing/internal/smtptrace"
	"waxwing/smtp"
)

func running() *Running {
	return &Running{Levels: logline.NewLevels(config.Log{Level: "info"}, time.Now), Traces: &smtptrace.Hub{Now: time.Now}, Milters: func() map[string]health.MilterAnswer {
		return map[string]health.MilterAnswer{"av": {At: time.Unix(5, 0).UTC(), Result: "accepted", Took: time.Millisecond}}
	}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func say(r *Running, text string) bool {
	t := r.Traces.Transcript(smtptrace.Peer{Listener: "mx", Remote: netip.MustParseAddrPort("192.0.2.1:4711")})
	if t != nil {
		t.Line(smtp.FromClient, text)
	}
	return t != nil
}

// TestTrace (OPS-1): lines reach the command as they are said, and the watch ends with the
// command, with its time, and with a command that reads nothing.
func TestTrace(t *testing.T) {
	t.Parallel()
	r := running()
	c, err := Dial(t.Context(), serveRunning(t, r))
	if err != nil {
		t.Fatal(err)
	}
	ended := func(why string) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); r.Traces.Watched(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: the watch goes on", why)
			}
			say(r, "NOOP")
		}
	}
	q := smtptrace.Request{Peer: "192.0.2.1"}
	ctx, cancel := context.WithCancel(t.Context())
	got := []string{}
	if err := c.Trace(ctx, q, func() { say(r, "EHLO a"); say(r, "QUIT") }, func(l smtptrace.Line) error {
		if got = append(got, l.Text); l.Text == "QUIT" {
			cancel()
		}
		return nil
	}); err != nil || strings.Join(got, " ") != "EHLO a QUIT" {
		t.Errorf("%q, %v", got, err)
	}
	ended("the command is gone")
	q.For = 50 * time.Millisecond
	if err := c.Trace(t.Context(), q, func() {}, func(smtptrace.Line) error { return nil }); err != nil {
		t.Error(err)
	}
	ended("its time is over")

	// A reader that is asleep holds up nobody, and nothing but its lines is lost.
	q.For = 2 * time.Second
	res, err := c.post(t.Context(), traceOp, q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	start := time.Now()
	for range 20000 {
		say(r, "NOOP "+strings.Repeat("x", 500))
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("speaking took %s", d)
	}
	lost, read := 0, 0
	for dec := json.NewDecoder(res.Body); ; read++ {
		var l smtptrace.Line
		if dec.Decode(&l) != nil {
			break
		}
		lost += l.Lost
	}
	if lost == 0 || read > 5000 {
		t.Errorf("%d lines were read, %d lost", read, lost)
	}
	ended("a reader that slept")
}

// What cannot be traced is refused with the reason, before and behind the socket.
func TestTraceRefused(t *testing.T) {
	t.Parallel()
	r := running()
	c, err := Dial(t.Context(), serveRunning(t, r))
	if err != nil {
		t.Fatal(err)
	}
	none := func(smtptrace.Line) error { return nil }
	if err := c.Trace(t.Context(), smtptrace.Request{Peer: "192.0.2.0/99"}, func() {}, none); err == nil || !strings.Contains(err.Error(), "is no network") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 8 {
		begun := make(chan struct{})
		go c.Trace(ctx, smtptrace.Request{Peer: "192.0.2.1"}, func() { close(begun) }, none)
		<-begun
	}
	if err := c.Trace(t.Context(), smtptrace.Request{Peer: "192.0.2.1"}, func() {}, none); err == nil || err.Error() != smtptrace.ErrBusy.Error() {
		t.Errorf("one too many: %v", err)
	}
	// Who may not control the server may not listen either.
	q := httpRequest(t, peer{uid: 12345})
	if f := admit(q); f == nil || f.Word != wordPeer {
		t.Errorf("%+v", f)
	}
}

func httpRequest(t *testing.T, p peer) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, p), http.MethodPost, "/"+traceOp, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLogLevels (OPS-1): levels are shown and changed over the socket.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	r := running()
	c, err := Dial(t.Context(), serveRunning(t, r))
	if err != nil {
		t.Fatal(err)
	}
	debug := slog.LevelDebug
	of := func(levels []logline.AreaLevel, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range levels {
			if l.Area == config.LogQueue {
				return fmt.Sprint(l.Level, " ", l.By, " ", l.Until.IsZero())
			}
		}
		return "none"
	}
	if got := of(c.LogLevels(t.Context())); got != "info log.level true" {
		t.Error(got)
	}
	if got := of(c.SetLogLevel(t.Context(), LevelChange{Area: "queue", Level: &debug, For: time.Hour})); got != "debug command false" {
		t.Error(got)
	}
	if got := of(c.SetLogLevel(t.Context(), LevelChange{Area: "all", Level: &debug})); got != "debug command true" {
		t.Error(got)
	}
	if got := of(c.SetLogLevel(t.Context(), LevelChange{Area: "queue"})); got != "info log.level true" {
		t.Error(got)
	}
	for _, bad := range []LevelChange{{Area: "mail"}, {Area: "queue", Level: &debug, For: -1}} {
		if _, err := c.SetLogLevel(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// JNK-3: a server that runs tells the last answers of its milters.
func TestMilterAnswers(t *testing.T) {
	t.Parallel()
	r := running()
	c, err := Dial(t.Context(), serveRunning(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.MilterAnswers(t.Context()); err != nil || len(got) != 1 || got["av"] != r.Milters()["av"] {
		t.Errorf("%v, %v", got, err)
	}
}
