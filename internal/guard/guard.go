// Package guard keeps a panic from ending the server (OPS-9). A Guard contains
// panics where the work of one stranger, or one turn of a service, begins. A
// Group carries a panic from the goroutines that share one piece of work to the
// goroutine that waits for them, so that it reaches the Guard of that work and
// no result that is half made is used.
//
// Every goroutine of the server is started here; internal/arch has a test for that.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Guard contains panics, logs them with their stack, and counts them. A nil
// *Guard does the same with slog.Default and counts nothing. It is safe for
// concurrent use.
type Guard struct {
	Log   *slog.Logger    // nil: slog.Default
	Count func(area Area) // is told of each panic; nil: nobody
}

// Panic is a panic that was contained. As an error it was logged already.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// maxValue bounds how much of a panic's value is told: it may hold what a peer sent.
const maxValue = 200

// Error is the panic's value on one line, without the stack.
func (p *Panic) Error() string {
	s := []rune(fmt.Sprint(p.Value))
	if len(s) > maxValue {
		s = append(s[:maxValue-1], '…')
	}
	return "panic: " + string(s)
}

// caught makes a Panic of what recover returned. One that a Group threw again
// keeps the stack of where it began.
func caught(v any) *Panic {
	if p, ok := v.(*Panic); ok {
		return p
	}
	return &Panic{Value: v, Stack: debug.Stack()}
}

// Contained reports that err is, or joins, a panic that was contained: it is in
// the log already.
func Contained(err error) bool {
	var p *Panic
	return errors.As(err, &p)
}

// Try runs fn. A panic of it is logged, with attrs, and returned as a *Panic.
func (g *Guard) Try(area Area, fn func() error, attrs ...any) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = g.contain(area, v, attrs)
		}
	}()
	return fn()
}

// Do runs fn, and reports whether it ended without a panic.
func (g *Guard) Do(area Area, fn func(), attrs ...any) bool {
	return g.Try(area, func() error { fn(); return nil }, attrs...) == nil
}

// Go runs fn on a goroutine of its own.
func (g *Guard) Go(area Area, fn func(), attrs ...any) {
	go g.Do(area, fn, attrs...)
}

// In runs fn on a goroutine of its own that wg waits for.
func (g *Guard) In(wg *sync.WaitGroup, area Area, fn func(), attrs ...any) {
	wg.Go(func() { g.Do(area, fn, attrs...) })
}

// Func is fn for those who call it on a goroutine of their own, such as time.AfterFunc.
func (g *Guard) Func(area Area, fn func()) func() {
	return func() { g.Do(area, fn) }
}

func (g *Guard) contain(area Area, v any, attrs []any) *Panic {
	p := caught(v)
	log := slog.Default()
	if g != nil && g.Count != nil {
		g.Count(area)
	}
	if g != nil && g.Log != nil {
		log = g.Log
	}
	args := append([]any{"area", string(area)}, attrs...)
	log.Error("panic contained", append(args, "panic", p.Error(), "stack", string(p.Stack))...)
	return p
}

// Pauses before a service that panicked runs again. One that ran for a while had
// recovered: its next pause is the first again.
const (
	firstPause   = time.Second
	longestPause = time.Minute
	recovered    = 10 * time.Minute
)

// Keep runs a service until it returns or ctx ends, again after each panic: in a
// second, and then after pauses that double up to a minute. The error is the service's.
func (g *Guard) Keep(ctx context.Context, area Area, run func(context.Context) error) error {
	pause := firstPause
	for {
		begun := time.Now() // how long it ran, whatever a test makes of the date
		err := g.Try(area, func() error { return run(ctx) })
		if !Contained(err) {
			return err
		}
		if time.Since(begun) >= recovered {
			pause = firstPause
		}
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, longestPause)
	}
}

// sleep reports whether the whole pause went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Group runs functions that share one piece of work. Its zero value is ready.
type Group struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	first *Panic
}

// Go runs fn on a goroutine of its own.
func (g *Group) Go(fn func()) {
	g.wg.Go(func() { g.Do(fn) })
}

// Do runs fn on this goroutine. A panic of it waits for Wait, so that what comes
// next is still done.
func (g *Group) Do(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.first == nil {
				g.first = caught(v)
			}
		}
	}()
	fn()
}

// Wait returns when all functions have ended, and panics if one of them did.
func (g *Group) Wait() {
	g.wg.Wait()
	g.mu.Lock()
	p := g.first
	g.mu.Unlock()
	if p != nil {
		panic(p)
	}
}
