package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// busyClients are well-behaved: each a network of its own, message after message.
const (
	busyClients = 20
	firstBusy   = 2600
	slowClients = 200
	firstSlow   = 2300
	keep        = 80 // percent of their throughput that they are to keep
	rounds      = 3  // pairs of runs, alone and not

	perConnection = 500 // messages, of a busy client
)

// busy measures their throughput, in messages a second.
func busy(ctx context.Context, s *server) (float64, error) {
	text, err := s.signed([]byte("From: a@reporter.test\r\nSubject: busy\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and again.\r\n", 160)))
	if err != nil {
		return 0, err
	}
	span := s.o.span
	var done atomic.Int64
	began := time.Now()
	failed, first := each(busyClients, func(i int) error {
		var c *client
		defer func() { c.close() }()
		for n := 0; time.Since(began) < span && ctx.Err() == nil; n++ {
			var err error
			if n%perConnection == 0 {
				c.close()
				c, err = open(ctx, mxAddr, from(firstBusy+i), i%2 == 0)
			}
			if err == nil {
				err = c.message("you@bench.test", text)
			}
			if err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	})
	if failed == busyClients {
		return 0, first
	}
	rate := float64(done.Load()) / time.Since(began).Seconds()
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "abuse: %d of the busy clients broke off: %v\n", failed, first)
	}
	return rate, nil
}

// against compares the busy clients' throughput alone and while something goes on, in
// turn, and returns the medians.
func against(ctx context.Context, s *server, begin func() (end func() string, err error)) (alone, with float64, note string, err error) {
	var as, ws []float64
	for range rounds {
		a, err := busy(ctx, s)
		if err != nil {
			return 0, 0, "", err
		}
		end, err := begin()
		if err != nil {
			return 0, 0, "", err
		}
		w, err := busy(ctx, s)
		note = end()
		if err != nil {
			return 0, 0, "", err
		}
		as, ws = append(as, a), append(ws, w)
	}
	slices.Sort(as)
	slices.Sort(ws)
	return as[rounds/2], ws[rounds/2], note, nil
}

// report prints one line of a throughput table.
func report(t io.Writer, what string, alone, with float64, note string) bool {
	kept := 100 * with / alone
	ok := kept >= keep
	fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f %%\t%s\t%s\n", what, alone, with, kept, met(ok), note)
	return ok
}

func table() *tabwriter.Writer {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Messages a second of %d busy clients\talone\tmeanwhile\tkept\tbar %d %%\t\n", busyClients, keep)
	return t
}

// mix runs the busy clients beside idle and slow ones.
func mix(ctx context.Context, o options) (bool, error) {
	good := true
	t := table()
	defer t.Flush()
	for _, setup := range []struct {
		what        string
		connections int
	}{
		{"there is room for all", 2 * o.idle},
		{"the default of 1000 connections", 1000},
	} {
		s, err := start(ctx, o, setup.connections)
		if err != nil {
			return false, err
		}
		alone, with, note, err := against(ctx, s, func() (func() string, error) {
			cs, refused, _ := crowd(ctx, o.idle, 0, false)
			slow, slowRefused := drip(ctx)
			return func() string {
				closeAll(cs)
				slow()
				return fmt.Sprintf("%d of 40 openers were refused, %d slow ones", refused, slowRefused)
			}, nil
		})
		s.stop()
		if err != nil {
			return false, err
		}
		good = report(t, fmt.Sprintf("%d idle and %d slow connections; %s", o.idle, slowClients, setup.what), alone, with, note) && good
	}
	return good, nil
}

// drip starts clients that send a message octet by octet.
func drip(ctx context.Context) (stop func(), refused int64) {
	ctx, cancel := context.WithCancel(ctx)
	var count atomic.Int64
	ready, done := make(chan struct{}, slowClients), make(chan struct{})
	go func() {
		defer close(done)
		each(slowClients, func(i int) error {
			c, err := open(ctx, mxAddr, from(firstSlow+i), false)
			if err == nil {
				defer c.close()
				err = c.envelope("you@bench.test")
			}
			if err != nil {
				count.Add(1)
			}
			ready <- struct{}{}
			for err == nil && ctx.Err() == nil {
				_, err = io.WriteString(c.nc, "x")
				select {
				case <-time.After(500 * time.Millisecond):
				case <-ctx.Done():
				}
			}
			return err
		})
	}()
	for range slowClients {
		<-ready
	}
	return func() { cancel(); <-done }, count.Load()
}

// floods runs the busy clients while one network floods.
func floods(ctx context.Context, o options) (bool, error) {
	s, err := start(ctx, o, 1000)
	if err != nil {
		return false, err
	}
	defer s.stop()
	good := true
	t := table()
	defer t.Flush()
	for _, kind := range []string{floodConnect, floodNames, floodTLS} {
		alone, with, note, err := against(ctx, s, func() (func() string, error) { return startFlood(ctx, kind) })
		if err != nil {
			return false, err
		}
		good = report(t, map[string]string{floodConnect: "one network floods", floodNames: "one network tries names of recipients",
			floodTLS: "one network floods with TLS handshakes"}[kind], alone, with, note) && good
	}
	return good, nil
}
