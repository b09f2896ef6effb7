// Command bench runs Waxwing and Postfix through the same work on the same
// machine, in turn, and prints medians and ratios. bench/run.sh builds what it
// needs; docs/performance.md says what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// options are one call's settings.
type options struct {
	bin, scripts         string
	pairs, n, size, sess int
	dir                  string
}

// figure is what one run came to.
type figure struct {
	Server  string  `json:"server"`
	Work    string  `json:"work"`
	Rate    float64 `json:"messages_per_s"`
	CPU     float64 `json:"cpu_s_per_1000"` // of the server with all its processes
	PeakMiB int64   `json:"peak_pss_mib"`
}

// peer is a server under measurement.
type peer interface {
	name() string
	// start starts it for a kind of work and returns the root of its processes.
	start(ctx context.Context, work string) (pid int, err error)
	// load are the flags for mailperf load.
	load(work string) []string
	// drained waits until nothing is left to do.
	drained(ctx context.Context) error
	stop()
}

const (
	accept = "accept" // take messages in, durably
	relay  = "relay"  // take in and pass on to one host over TLS
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory with waxwing and mailperf")
	flag.StringVar(&o.scripts, "scripts", "bench", "directory with postfix_instance.sh")
	flag.IntVar(&o.pairs, "pairs", 5, "runs of each server, in turn")
	flag.IntVar(&o.n, "n", 8000, "messages a run")
	flag.IntVar(&o.size, "size", 10240, "octets a message")
	flag.IntVar(&o.sess, "sessions", 20, "parallel sessions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	var err error
	if o.dir, err = os.MkdirTemp("", "waxwing-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	if err := os.Chmod(o.dir, 0o755); err != nil { // Postfix drops its privileges
		return err
	}
	peers := []peer{&waxwing{o: o}}
	if why := postfixMissing(); why != "" {
		fmt.Printf("Postfix is not measured: %s\n", why)
	} else {
		peers = append(peers, &postfix{o: o})
	}
	var all []figure
	for _, work := range []string{accept, relay} {
		for pair := range o.pairs {
			for _, p := range peers {
				f, err := measure(ctx, o, p, work)
				if err != nil {
					return fmt.Errorf("%s, %s, run %d: %w", p.name(), work, pair+1, err)
				}
				all = append(all, f)
				b, _ := json.Marshal(f)
				fmt.Println(string(b))
			}
		}
	}
	return summary(all)
}

// measure is one run of one server, started afresh.
func measure(ctx context.Context, o options, p peer, work string) (figure, error) {
	pid, err := p.start(ctx, work)
	if err != nil {
		p.stop()
		return figure{}, err
	}
	defer p.stop()
	var sink *exec.Cmd
	var sinkOut strings.Builder
	if work == relay {
		sink = exec.CommandContext(ctx, filepath.Join(o.bin, "mailperf"), "sink", "-addr", sinkAddr, "-starttls", "-n", fmt.Sprint(o.n), "-limit", "100s")
		sink.Stdout = &sinkOut
		if err := sink.Start(); err != nil {
			return figure{}, err
		}
		defer sink.Process.Kill()
		if err := waitPort(ctx, sinkAddr); err != nil {
			return figure{}, err
		}
	}
	watch := exec.CommandContext(ctx, filepath.Join(o.bin, "mailperf"), "watch", "-pid", fmt.Sprint(pid), "-every", "500ms")
	var watched strings.Builder
	watch.Stdout = &watched
	if err := watch.Start(); err != nil {
		return figure{}, err
	}
	begin := time.Now()
	rate, err := o.load(ctx, p.load(work))
	if err != nil {
		watch.Process.Kill()
		return figure{}, err
	}
	if sink != nil {
		if err := sink.Wait(); err != nil {
			return figure{}, fmt.Errorf("sink: %w", err)
		}
		if rate, err = o.endToEnd(sinkOut.String(), begin); err != nil {
			return figure{}, err
		}
	}
	if err := p.drained(ctx); err != nil {
		return figure{}, err
	}
	watch.Process.Signal(syscall.SIGTERM)
	if err := watch.Wait(); err != nil {
		return figure{}, fmt.Errorf("watch: %w", err)
	}
	var w struct {
		CPU  float64 `json:"cpu_s"`
		Peak int64   `json:"peak_pss_mib"`
	}
	if err := json.Unmarshal([]byte(watched.String()), &w); err != nil {
		return figure{}, fmt.Errorf("watch: %w", err)
	}
	return figure{Server: p.name(), Work: work, Rate: rate, CPU: w.CPU / float64(o.n) * 1000, PeakMiB: w.Peak}, nil
}

// load drives the server and returns messages per second as the client saw them.
func (o options) load(ctx context.Context, flags []string) (float64, error) {
	args := append([]string{"load", "-s", fmt.Sprint(o.sess), "-n", fmt.Sprint(o.n), "-per", "0", "-size", fmt.Sprint(o.size), "-limit", "100s"}, flags...)
	cmd := exec.CommandContext(ctx, filepath.Join(o.bin, "mailperf"), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("load: %w: %s", err, out)
	}
	var l struct {
		Sent  int     `json:"sent"`
		Rate  float64 `json:"rate"`
		First string  `json:"first_error"`
	}
	if err := json.Unmarshal(out, &l); err != nil {
		return 0, fmt.Errorf("load: %w: %s", err, out)
	}
	if l.Sent != o.n {
		return 0, fmt.Errorf("load: only %d of %d messages were accepted: %s", l.Sent, o.n, l.First)
	}
	return l.Rate, nil
}

func (o options) endToEnd(out string, begin time.Time) (float64, error) {
	var s struct {
		Messages int     `json:"messages"`
		Last     float64 `json:"last_unix,string"`
		TLS      int     `json:"tls"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, fmt.Errorf("sink: %w: %s", err, out)
	}
	if s.Messages < o.n {
		return 0, fmt.Errorf("sink: only %d of %d messages arrived", s.Messages, o.n)
	}
	if s.TLS == 0 {
		return 0, fmt.Errorf("sink: no connection used TLS")
	}
	return float64(s.Messages) / (s.Last - float64(begin.UnixNano())/1e9), nil
}

// summary prints the median of each figure and the ratios of Waxwing to Postfix.
func summary(all []figure) error {
	tw := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\nwork\tserver\tmessages/s\tCPU s per 1,000\tpeak MiB\t")
	med := func(server, work string, get func(figure) float64) float64 {
		var v []float64
		for _, f := range all {
			if f.Server == server && f.Work == work {
				v = append(v, get(f))
			}
		}
		slices.Sort(v)
		if len(v) == 0 {
			return 0
		}
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	rate := func(f figure) float64 { return f.Rate }
	cpu := func(f figure) float64 { return f.CPU }
	for _, work := range []string{accept, relay} {
		for _, s := range []string{"waxwing", "postfix"} {
			if r := med(s, work, rate); r > 0 {
				fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.3f\t%.0f\t\n", work, s, r, med(s, work, cpu), med(s, work, func(f figure) float64 { return float64(f.PeakMiB) }))
			}
		}
		if p := med("postfix", work, rate); p > 0 {
			fmt.Fprintf(tw, "%s\tratio\t%.2f\t%.2f\t\t\n", work, med("waxwing", work, rate)/p, med("waxwing", work, cpu)/med("postfix", work, cpu))
		}
	}
	return tw.Flush()
}
