package guard

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a guard whose log and counts can be looked at.
func watched() (*Guard, *bytes.Buffer, map[Area]int) {
	var log bytes.Buffer
	counts := map[Area]int{}
	var mu sync.Mutex
	return &Guard{Log: slog.New(slog.NewTextHandler(&log, nil)), Count: func(a Area) {
		mu.Lock()
		defer mu.Unlock()
		counts[a]++
	}}, &log, counts
}

func explode() { panic("boom") }

// OPS-9: a panic is logged with its stack, counted by its area, and returned.
func TestTry(t *testing.T) {
	t.Parallel()
	g, log, counts := watched()
	err := g.Try(SMTP, func() error { explode(); return nil }, "remote", "192.0.2.1:25")
	var p *Panic
	if !errors.As(err, &p) || !Contained(err) || err.Error() != "panic: boom" {
		t.Errorf("the error is %v", err)
	}
	if counts[SMTP] != 1 || len(counts) != 1 {
		t.Errorf("counted: %v", counts)
	}
	for _, want := range []string{"area=smtp", "remote=192.0.2.1:25", `panic="panic: boom"`, "guard.explode"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	own := errors.New("own")
	if err := g.Try(SMTP, func() error { return own }); err != own || Contained(err) || counts[SMTP] != 1 {
		t.Errorf("an ordinary error: %v, %v", err, counts)
	}
	if !g.Do(SMTP, func() {}) || g.Do(SMTP, explode) || counts[SMTP] != 2 {
		t.Errorf("Do: %v", counts)
	}
}

// A panic's value may hold whatever a peer has sent.
func TestLongValue(t *testing.T) {
	t.Parallel()
	g, _, _ := watched()
	err := g.Try(SMTP, func() error { panic(strings.Repeat("ä", 5000)) })
	if n := len([]rune(err.Error())); n != len("panic: ")+maxValue || !strings.HasSuffix(err.Error(), "…") {
		t.Errorf("%d characters: %v", n, err)
	}
}

// A Guard that nobody made contains panics too.
func TestNil(t *testing.T) {
	t.Parallel()
	var g *Guard
	if err := g.Try(SMTP, func() error { panic(nil) }); !Contained(err) {
		t.Errorf("the error is %v", err)
	}
}

// Goroutines: each way of starting one.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, counts := watched()
		var wg sync.WaitGroup
		g.Go(Queue, explode)
		g.In(&wg, Queue, explode)
		wg.Wait()
		time.AfterFunc(time.Second, g.Func(Queue, explode))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if counts[Queue] != 3 {
			t.Errorf("counted: %v", counts)
		}
	})
}

// OPS-9: a service runs again after a second, doubling to a minute, and from the
// beginning after it ran well for a while.
func TestKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, counts := watched()
		var starts []time.Duration
		begun := time.Now()
		done := errors.New("done")
		err := g.Keep(t.Context(), Queue, func(context.Context) error {
			starts = append(starts, time.Since(begun))
			begun = time.Now()
			switch len(starts) {
			case 9:
				time.Sleep(recovered)
				begun = time.Now()
			case 11:
				return done
			}
			panic("again")
		})
		want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60, 1, 2}
		for i := range want {
			if starts[i] != want[i]*time.Second {
				t.Errorf("start %d after %v, want %v s", i, starts[i], int64(want[i]))
			}
		}
		if err != done || counts[Queue] != 10 {
			t.Errorf("%v, %v", err, counts)
		}
	})
}

// A server that is told to stop does not wait for the pause.
func TestKeepEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := watched()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		begun := time.Now()
		if err := g.Keep(ctx, Queue, func(context.Context) error { panic("again") }); err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d != 90*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A panic of one of a group reaches the one who waits, with its own stack, after
// all have ended.
func TestGroup(t *testing.T) {
	t.Parallel()
	g, log, counts := watched()
	done := false
	err := g.Try(Delivery, func() error {
		var all Group
		all.Go(explode)
		all.Do(explode)
		all.Do(func() { done = true })
		all.Wait()
		t.Error("Wait returned")
		return nil
	})
	if err == nil || err.Error() != "panic: boom" || !done || counts[Delivery] != 1 {
		t.Errorf("%v, %v, %v", err, done, counts)
	}
	if !strings.Contains(log.String(), "guard.explode") {
		t.Errorf("the stack is not that of the panic: %s", log)
	}
	var fine Group
	fine.Go(func() {})
	fine.Wait()
}
