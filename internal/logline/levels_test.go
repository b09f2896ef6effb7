package logline

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/text"
)

// OPS-1: an area's level, over every combination of what may choose it: the strongest source
// that is in force decides, and SIGUSR1 only ever makes more be logged.
func TestDecideLevel(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	untils := []time.Time{{}, now.Add(-1), now, now.Add(1)}
	n := 0
	for _, base := range levels {
		for _, area := range append([]slog.Level{99}, levels...) {
			for _, temporary := range append([]slog.Level{99}, levels...) {
				for _, until := range untils {
					for _, verbose := range untils {
						n++
						c := Choice{Base: base, Areas: map[config.LogArea]slog.Level{}, Temporary: map[config.LogArea]Temporary{}, Verbose: verbose}
						want := AreaLevel{Area: config.LogQueue, Level: Level(base), By: ByLevel}
						if area != 99 {
							c.Areas[config.LogQueue] = area
							want.Level, want.By = Level(area), ByAreas
						}
						if temporary != 99 {
							c.Temporary[config.LogQueue] = Temporary{temporary, until}
							if until.IsZero() || until.After(now) {
								want.Level, want.By, want.Until = Level(temporary), ByCommand, until
							}
						}
						if verbose.After(now) && want.Level != Level(slog.LevelDebug) {
							want.Level, want.By, want.Until = Level(slog.LevelDebug), BySignal, verbose
						}
						if got := c.Decide(config.LogQueue, now); got != want {
							t.Fatalf("%+v: %+v, want %+v", c, got, want)
						}
						// Another area knows nothing of this one's.
						if got := c.Decide(config.LogSMTP, now); got.By == ByAreas || got.By == ByCommand {
							t.Fatalf("%+v: %+v", c, got)
						}
					}
				}
			}
		}
	}
	if n != 4*5*5*4*4 {
		t.Errorf("%d combinations", n)
	}
}

// The next change is the first end that is still to come.
func TestNextChange(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, tt := range []struct{ queue, verbose, want time.Time }{
		{}, {now, now, time.Time{}}, {now.Add(1), time.Time{}, now.Add(1)}, {time.Time{}, now.Add(2), now.Add(2)},
		{now.Add(3), now.Add(2), now.Add(2)}, {now.Add(2), now.Add(3), now.Add(2)}, {now.Add(-1), now.Add(3), now.Add(3)},
	} {
		c := Choice{Temporary: map[config.LogArea]Temporary{config.LogQueue: {Until: tt.queue}}, Verbose: tt.verbose}
		if got := c.Next(now); !got.Equal(tt.want) {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// safe is a buffer for several goroutines.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// OPS-1: each area logs from its own level on, as configuration, command and signal change
// it, and a command's ends by itself.
func TestLevelsOfAreas(t *testing.T) {
	t.Parallel()
	l := NewLevels(config.Log{Level: "warn", Areas: map[config.LogArea]string{config.LogSMTP: "debug"}}, time.Now)
	out := &safe{}
	log := slog.New(New(out, Options{Areas: l}))
	queue, smtp := log.With("area", "queue"), log.With("area", "smtp").With("listener", "mx")
	enabled := func(of *slog.Logger) string {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			if of.Enabled(t.Context(), level) {
				return Level(level).String()
			}
		}
		return "none"
	}
	want := func(when, server, ofQueue, ofSMTP string) {
		t.Helper()
		if got := [3]string{enabled(log), enabled(queue), enabled(smtp)}; got != [3]string{server, ofQueue, ofSMTP} {
			t.Errorf("%s: %q", when, got)
		}
	}
	want("at start", "warn", "warn", "debug")
	l.Set([]config.LogArea{config.LogQueue}, Temporary{Level: slog.LevelInfo})
	want("queue set", "warn", "info", "debug")
	l.Configure(config.Log{Level: "error"})
	want("other configuration: what was set stays", "error", "info", "error")
	l.Verbose(time.Now().Add(time.Hour))
	want("verbose", "debug", "debug", "debug")
	l.Verbose(time.Time{})
	all, ok := AreasOf("all")
	if !ok || len(all) != len(config.LogAreas()) {
		t.Errorf("all is %q", all)
	}
	l.Reset(all)
	want("reset", "error", "error", "error")
	if a := log.With("area", "selftest"); enabled(a) != "error" {
		t.Errorf("an area of a panic alone logs from %s on", enabled(a))
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx, slog.New(slog.NewTextHandler(out, nil))); close(done) }()
	l.Set([]config.LogArea{config.LogQueue}, Temporary{Level: slog.LevelDebug, Until: time.Now().Add(50 * time.Millisecond)})
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(out.String(), "back at its level"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the level never went back")
		}
	}
	want("its time is over", "error", "error", "error")
	cancel()
	<-done
	if _, ok := AreasOf("mail"); ok {
		t.Error("mail is an area")
	}
}

// Every area that the listing shows has a level of its own and is told apart from all others.
func TestAreasAreWhole(t *testing.T) {
	t.Parallel()
	l := NewLevels(config.Log{Level: "error"}, time.Now)
	for i, a := range config.LogAreas() {
		l.Set([]config.LogArea{a.Area}, Temporary{Level: slog.LevelDebug})
		for k, got := range l.List() {
			if want := k <= i; (got.Level == Level(slog.LevelDebug)) != want {
				t.Errorf("%s set: %+v", a.Area, got)
			}
			if got.What == "" {
				t.Errorf("%s says nothing of itself", got.Area)
			}
		}
	}
	if l.Of("queue") == l.Of("smtp") || l.Of("") != l.Of("server") {
		t.Error("areas share a level")
	}
}

// A line below its area's level costs nothing.
func TestDisabledLineIsFree(t *testing.T) {
	log := slog.New(New(&bytes.Buffer{}, Options{Areas: NewLevels(config.Log{Level: "warn"}, time.Now)})).With("area", "smtp")
	if n := testing.AllocsPerRun(100, func() { log.Debug("x") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// OPS-1: on a terminal a line is time of day, level, area, what happened, and the rest; the
// level has a colour where the terminal has colours.
func TestTerminal(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 15, 4, 5, 7e6, time.UTC)
	line := func(to text.Terminal, level slog.Level, msg string, args ...any) string {
		var b bytes.Buffer
		h := New(&b, Options{Terminal: &to})
		r := slog.NewRecord(at, level, msg, 0)
		r.Add(args...)
		if err := h.WithAttrs([]slog.Attr{slog.String("area", "queue")}).Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := line(text.Terminal{}, slog.LevelWarn, "deferred", "message", "1x3r", "text", "a b", "level", "debug", "time", at); got != "15:04:05.007 WARN  queue: deferred message=1x3r text=\"a b\" level=debug time=2026-11-29T15:04:05.007Z\n" {
		t.Errorf("%q", got)
	}
	for level, code := range map[slog.Level]string{slog.LevelError: "1;31", slog.LevelWarn: "33", slog.LevelInfo: "32"} {
		if got := line(text.Terminal{Colour: true}, level, "x"); !strings.HasPrefix(got, "15:04:05.007 \x1b["+code+"m") || !strings.HasSuffix(got, "\x1b[0m queue: x\n") {
			t.Errorf("%s: %q", level, got)
		}
	}
	// What others wrote moves no cursor, and fits as everywhere.
	if got := line(text.Terminal{}, slog.LevelInfo, "x", "text", "\x1b[2J"+strings.Repeat("y", 500)); strings.Contains(got, "\x1b") || len([]rune(got)) > Longest+1 {
		t.Errorf("%q", got)
	}
	// The journal and JSON have no use for it.
	var b bytes.Buffer
	slog.New(New(&b, Options{Terminal: &text.Terminal{Colour: true}, JSON: true})).Info("x")
	if !strings.HasPrefix(b.String(), "{") || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}
