// Command abuse measures what strangers can do to a Waxwing: how much memory it
// holds under each of several attacks, and how much of their throughput well-behaved
// clients keep meanwhile. bench/abuse.sh builds what it needs; docs/performance.md
// says what the figures mean. It talks to loopback addresses only, each 127.x.y.0/24 a
// network of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are one call's settings.
type options struct {
	bin    string        // directory with waxwing
	parts  []string      // what to measure
	span   time.Duration // of each throughput run
	rest   time.Duration // until what is still held is measured
	idle   int           // idle connections
	large  int64         // octets of a large message
	budget int64         // the bar for peak memory, in MiB
	limit  time.Duration // for each part
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "flood" {
		flood(os.Args[2:])
		return
	}
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory with waxwing")
	parts := flag.String("parts", "memory,mix,flood", "what to measure")
	flag.DurationVar(&o.span, "span", 3*time.Second, "of each run for throughput")
	flag.DurationVar(&o.rest, "rest", 10*time.Second, "after an attack, until what is still held is measured")
	flag.IntVar(&o.idle, "idle", 2000, "idle connections")
	flag.Int64Var(&o.large, "large", 50<<20, "octets of a large message")
	flag.Int64Var(&o.budget, "budget", 300, "MiB that the server's peak must stay under")
	flag.DurationVar(&o.limit, "limit", 5*time.Minute, "for each part")
	flag.Parse()
	o.parts = strings.Split(*parts, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	good, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
	if !good {
		os.Exit(3)
	}
}

// run measures, and reports whether all is within its bars.
func run(ctx context.Context, o options) (good bool, err error) {
	good = true
	for _, part := range []struct {
		name string
		run  func(context.Context, options) (bool, error)
	}{{"memory", memory}, {"mix", mix}, {"flood", floods}} {
		if !slices.Contains(o.parts, part.name) {
			continue
		}
		ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("its time of %s is over", o.limit))
		ok, err := part.run(ctx, o)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel()
		if err != nil {
			return false, fmt.Errorf("%s: %w", part.name, err)
		}
		good = good && ok
	}
	return good, nil
}

// met says whether a bar was met.
func met(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}
