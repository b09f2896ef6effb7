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
	domains              int
	works, peers         string
	alone                bool // Waxwing alone, and no work that needs a network of its own
	profile              string
	dir                  string
}

// figure is what one run came to.
type figure struct {
	Server  string  `json:"server"`
	Work    string  `json:"work"`
	Rate    float64 `json:"messages_per_s"`
	CPU     float64 `json:"cpu_s_per_1000"` // of the server with all its processes
	PeakMiB int64   `json:"peak_pss_mib"`
	Conns   int     `json:"connections,omitempty"` // that the sink saw
	MaxOpen int     `json:"most_open,omitempty"`   // of them at one time
}

// peer is a server under measurement.
type peer interface {
	name() string
	// start starts it for a kind of work and returns the root of its processes.
	start(ctx context.Context, work string) (pid int, err error)
	// load are the flags for mailperf load.
	load(work string) []string
	// release lets a queue go that was filled while nothing could be delivered,
	// and returns the root of the processes, which may be new.
	release(ctx context.Context) (pid int, err error)
	// drained waits until nothing is left to do.
	drained(ctx context.Context) error
	// roots are the processes whose trees are measured, where pid is the server.
	roots(pid int) string
	// proven is an error unless the n messages of verified are in the mailbox, and verified.
	proven(ctx context.Context, n int) error
	stop()
}

// The kinds of work.
const (
	accept   = "accept"   // take messages in, durably
	verified = "verified" // accept, signed mail of many senders, verified by SPF, DKIM and DMARC, into a mailbox
	relay    = "relay"    // take in and pass on to one host over TLS
	mx       = "mx"       // deliver a filled queue to many domains with DANE, a connection each, to hosts with Postfix's key exchange
	mx50     = "mx50"     // the same with every reply of theirs 50 ms late
	box      = "box"      // take messages in and have them in a mailbox, where Postfix has Dovecot beside it
	boxsieve = "boxsieve" // box with a script of the account that files half of them, and for Waxwing with its full-text index
	mxpq     = "mxpq"     // mx to hosts that take the post-quantum key exchange, which Debian's Postfix has none of
)

// manyDomains reports whether a work delivers to many domains.
func manyDomains(work string) bool {
	_, ok := validation(work)
	return ok || work == mx50 || work == mxpq
}

// validating is who validates DNSSEC in a work that is mx otherwise. Those but mx itself are
// measured only if they are named, of Waxwing alone.
type validating struct {
	own     bool // Waxwing, over a signed zone
	known   bool // measured once all domains have been delivered to, and what DNS said of them is over
	unbound bool // answers come by way of a real unbound, which validates unless Waxwing does; the time of both counts
}

// validation reads the name of such a work: mx and then own, known and unbound, as far as they apply.
func validation(work string) (v validating, ok bool) {
	rest, ok := strings.CutPrefix(work, mx)
	rest, v.own = strings.CutPrefix(rest, "own")
	rest, v.known = strings.CutPrefix(rest, "known")
	rest, v.unbound = strings.CutPrefix(rest, "unbound")
	return v, ok && rest == ""
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory with waxwing and mailperf")
	flag.StringVar(&o.scripts, "scripts", "bench", "directory with postfix_instance.sh")
	flag.IntVar(&o.pairs, "pairs", 5, "runs of each server, in turn")
	flag.IntVar(&o.n, "n", 8000, "messages a run of accept, verified and relay")
	flag.IntVar(&o.size, "size", 10240, "octets a message")
	flag.IntVar(&o.sess, "sessions", 20, "parallel sessions")
	flag.IntVar(&o.domains, "domains", 3000, "domains, a message each, of mx")
	flag.StringVar(&o.works, "works", "accept,verified,relay,mx,mx50,mxpq", "what to measure")
	flag.StringVar(&o.peers, "peers", "waxwing,postfix,postfix+dovecot", "what is measured")
	flag.StringVar(&o.profile, "profile", "", "write Waxwing's CPU profiles into this directory")
	flag.BoolVar(&o.alone, "alone", false, "measure Waxwing alone, and no delivery to many domains")
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
	if why := postfixMissing(); why != "" || o.alone {
		fmt.Printf("Postfix is not measured. %s\n", why)
	} else {
		peers = append(peers, &postfix{o: o})
	}
	works := strings.Split(o.works, ",")
	if boxWork(works) {
		if why := lmtpMissing(works); why != "" || o.alone {
			fmt.Printf("Postfix with Dovecot is not measured. %s\n", why)
		} else {
			peers = append(peers, &lmtp{postfix: postfix{o: o}})
		}
	}
	peers = slices.DeleteFunc(peers, func(p peer) bool { return !slices.Contains(strings.Split(o.peers, ","), p.name()) })
	var all []figure
	if o.alone {
		works = slices.DeleteFunc(works, func(w string) bool { return manyDomains(w) })
	}
	if slices.Contains(works, verified) {
		if err := o.corpus(ctx); err != nil {
			return err
		}
	}
	for _, work := range works {
		for pair := range o.pairs {
			for _, p := range peers {
				if why := filtersMissing(); work == verified && p.name() == "postfix" && why != "" {
					fmt.Printf("Postfix does not verify. %s\n", why)
					continue
				}
				if !has(p, work) {
					continue
				}
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
	return summary(works, all)
}

// boxWork reports that some of the works are about mailboxes.
func boxWork(works []string) bool {
	return slices.Contains(works, box) || slices.Contains(works, boxsieve)
}

// has reports that a server does a kind of work: Postfix alone keeps no mailboxes to compare with, and with Dovecot it
// does nothing else that is not measured of it alone.
func has(p peer, work string) bool {
	switch p.name() {
	case "postfix":
		v, _ := validation(work)
		return work != box && work != boxsieve && v == validating{}
	case "postfix+dovecot":
		return work == box || work == boxsieve
	}
	return true
}

// measure is one run of one server, started afresh.
func measure(ctx context.Context, o options, p peer, work string) (figure, error) {
	defer p.stop()
	pid, err := p.start(ctx, work)
	if err != nil {
		return figure{}, err
	}
	r := &running{o: o, peer: p, work: work, pid: pid}
	defer r.kill()
	switch work {
	case accept:
		err = r.accept(ctx)
	case verified:
		err = r.verified(ctx)
	case relay:
		err = r.relay(ctx)
	case box, boxsieve:
		err = r.boxes(ctx)
	default:
		err = r.many(ctx)
	}
	if err != nil {
		return figure{}, err
	}
	if r.work != verified { // it has been
		err = r.watched(ctx)
	}
	return r.figure, err
}

// running is one run under way.
type running struct {
	o    options
	peer peer
	work string
	pid  int

	watch, sink, dns, unbound *exec.Cmd
	watchOut                  strings.Builder
	sinkOut                   strings.Builder
	figure                    figure
}

func (r *running) tool(ctx context.Context, out *strings.Builder, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.o.bin, "mailperf"), args...)
	cmd.Stderr = os.Stderr
	if out != nil {
		cmd.Stdout = out
	}
	return cmd, cmd.Start()
}

func (r *running) kill() {
	for _, c := range []*exec.Cmd{r.watch, r.sink, r.dns, r.unbound} {
		if c != nil && c.Process != nil && c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	}
}

func (r *running) startWatch(ctx context.Context) (err error) {
	roots := r.peer.roots(r.pid)
	if r.unbound != nil {
		roots += fmt.Sprintf(",%d", r.unbound.Process.Pid)
	}
	r.watch, err = r.tool(ctx, &r.watchOut, "watch", "-pid", roots, "-every", "500ms")
	return err
}

// sinkWorld is what stands behind the peer: n messages are taken, for domains on addrs addresses.
type sinkWorld struct {
	n, addrs, domains int
	secure            bool // its zones are signed
	who               validating
	records           string // a file with records of senders
	extra             []string
}

// startSink starts the host or hosts that take the mail, and the DNS that leads there.
func (r *running) startSink(ctx context.Context, w sinkWorld) (err error) {
	cert := filepath.Join(r.o.dir, "sink.pem")
	sink, dns := r.o.world()
	args := append([]string{"sink", "-addr", sink.String(), "-starttls", "-certout", cert, "-n", fmt.Sprint(w.n), "-addrs", fmt.Sprint(w.addrs), "-limit", "300s"}, w.extra...)
	if r.sink, err = r.tool(ctx, &r.sinkOut, args...); err != nil {
		return err
	}
	if err := waitPort(ctx, sink.String()); err != nil {
		return err
	}
	args = []string{"dns", "-addr", dns.String(), "-addrs", fmt.Sprint(w.addrs), "-n", fmt.Sprint(w.domains + 1)} // they are counted from 1
	if w.records != "" {
		args = append(args, "-records", w.records)
	}
	if w.secure {
		args = append(args, "-secure", "-cert", cert)
	}
	if w.who.own || w.who.unbound {
		args = append(args, "-own")
	}
	if w.who.unbound {
		args = append(args, "-signed-for-all")
	}
	if w.who.known {
		args = append(args, "-ttl", "1")
	}
	if r.dns, err = r.tool(ctx, nil, args...); err != nil {
		return err
	}
	if err := waitPort(ctx, dns.String()); err != nil || !w.who.unbound {
		return err
	}
	return r.startUnbound(ctx, !w.who.own)
}

// startUnbound starts a resolver that forwards to the DNS of the work.
func (r *running) startUnbound(ctx context.Context, validates bool) error {
	_, dns := r.o.world()
	modules := "module-config: iterator"
	if validates {
		anchor, err := rootAnchor()
		if err != nil {
			return err
		}
		modules = "module-config: \"validator iterator\"\n trust-anchor: \"" + strings.ReplaceAll(anchor, "\t", " ") + "\""
	}
	conf := filepath.Join(r.o.dir, "unbound.conf")
	text := fmt.Sprintf(unboundConfig, unboundAddr.Addr(), unboundAddr.Port(), modules, dns.Addr(), dns.Port())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	r.unbound = exec.CommandContext(ctx, "unbound", "-d", "-c", conf)
	r.unbound.Stderr = os.Stderr
	if err := r.unbound.Start(); err != nil {
		return fmt.Errorf("unbound: %w", err)
	}
	return waitPort(ctx, unboundAddr.String())
}

func (r *running) accept(ctx context.Context) (err error) {
	// The DNS is there for what accepting looks up of senders.
	if err := r.startSink(ctx, sinkWorld{addrs: 1, domains: 1}); err != nil {
		return err
	}
	if err := r.startWatch(ctx); err != nil {
		return err
	}
	r.figure.Rate, err = r.o.load(ctx, r.o.n, r.peer.load(accept))
	return err
}

// corpus writes the messages of verified, once for all runs: signing takes longer than verifying.
func (o options) corpus(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(o.bin, "mailperf"), "corpus", "-dir", o.dir, "-n", fmt.Sprint(o.n), "-size", fmt.Sprint(o.size))
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// verified is accept with messages of which each is verified.
func (r *running) verified(ctx context.Context) error {
	if err := r.startSink(ctx, sinkWorld{addrs: 1, domains: 1, records: filepath.Join(r.o.dir, "records")}); err != nil {
		return err
	}
	if err := r.startWatch(ctx); err != nil {
		return err
	}
	flags := append(r.peer.load(verified), "-helo", "load.service.example", "-corpus", filepath.Join(r.o.dir, "messages"))
	var err error
	if r.figure.Rate, err = r.o.load(ctx, r.o.n, flags); err != nil {
		return err
	}
	if err := r.watched(ctx); err != nil {
		return err
	}
	return r.peer.proven(ctx, r.o.n)
}

func (r *running) relay(ctx context.Context) error {
	if err := r.startSink(ctx, sinkWorld{n: r.o.n, addrs: 1, domains: 1}); err != nil {
		return err
	}
	if err := r.startWatch(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := r.o.load(ctx, r.o.n, r.peer.load(relay)); err != nil {
		return err
	}
	return r.endToEnd(begin, r.o.n)
}

// many fills the queue while there is neither DNS nor anybody to deliver to, and
// measures from the moment it is let go.
func (r *running) many(ctx context.Context) error {
	if _, err := r.o.load(ctx, r.o.domains, r.peer.load(mx)); err != nil {
		return err
	}
	var hosts []string
	if r.work != mxpq {
		hosts = append(hosts, "-classic")
	}
	if r.work == mx50 {
		hosts = append(hosts, "-delay", "50ms")
	}
	who, _ := validation(r.work)
	n := r.o.domains
	if who.known {
		n *= 2
		hosts = append(hosts, "-tickets=false") // each handshake is a whole one, as the first is
	}
	if err := r.startSink(ctx, sinkWorld{n: n, addrs: 500, domains: r.o.domains, secure: true, who: who, extra: hosts}); err != nil {
		return err
	}
	if who.known {
		if err := r.acquaint(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	var err error
	if r.pid, err = r.peer.release(ctx); err != nil {
		return err
	}
	if err := r.startWatch(ctx); err != nil {
		return err
	}
	return r.endToEnd(begin, r.o.domains)
}

// acquaint delivers to all domains once, and fills the queue again.
func (r *running) acquaint(ctx context.Context) error {
	if _, err := r.peer.release(ctx); err != nil {
		return err
	}
	if err := r.peer.drained(ctx); err != nil {
		return err
	}
	_, err := r.o.load(ctx, r.o.domains, r.peer.load(mx))
	return err
}

// endToEnd waits for the sink and works out the rate up to its last message.
func (r *running) endToEnd(begin time.Time, n int) error {
	if err := r.sink.Wait(); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	var s struct {
		Messages int     `json:"messages"`
		Last     float64 `json:"last_unix,string"`
		TLS      int     `json:"tls"`
		Conns    int     `json:"conns"`
		MaxOpen  int     `json:"max_open"`
	}
	if err := json.Unmarshal([]byte(r.sinkOut.String()), &s); err != nil {
		return fmt.Errorf("sink: %w: %s", err, r.sinkOut.String())
	}
	if s.Messages < n { // there may be more, that came before
		return fmt.Errorf("sink: only %d of %d messages arrived", s.Messages, n)
	}
	if s.TLS == 0 {
		return fmt.Errorf("sink: no connection used TLS")
	}
	r.figure.Conns, r.figure.MaxOpen = s.Conns, s.MaxOpen
	r.figure.Rate = float64(n) / (s.Last - float64(begin.UnixNano())/1e9)
	return nil
}

// watched waits until the server has nothing left to do and adds what it used.
func (r *running) watched(ctx context.Context) error {
	if err := r.peer.drained(ctx); err != nil {
		return err
	}
	r.watch.Process.Signal(syscall.SIGTERM)
	if err := r.watch.Wait(); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	var w struct {
		CPU  float64 `json:"cpu_s"`
		Peak int64   `json:"peak_pss_mib"`
	}
	if err := json.Unmarshal([]byte(r.watchOut.String()), &w); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	n := r.o.n
	if manyDomains(r.work) {
		n = r.o.domains
	}
	r.figure.Server, r.figure.Work = r.peer.name(), r.work
	r.figure.CPU, r.figure.PeakMiB = w.CPU/float64(n)*1000, w.Peak
	return nil
}

// load drives the server and returns messages per second as the client saw them.
func (o options) load(ctx context.Context, n int, flags []string) (float64, error) {
	args := append([]string{"load", "-s", fmt.Sprint(o.sess), "-n", fmt.Sprint(n), "-per", "0", "-size", fmt.Sprint(o.size), "-limit", "100s"}, flags...)
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
	if l.Sent != n {
		return 0, fmt.Errorf("load: only %d of %d messages were accepted: %s", l.Sent, n, l.First)
	}
	return l.Rate, nil
}

// median of one figure over the runs of a server at a work; 0 without runs.
func median(all []figure, server, work string, get func(figure) float64) float64 {
	var v []float64
	for _, f := range all {
		if f.Server == server && f.Work == work {
			v = append(v, get(f))
		}
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// summary prints the medians and the ratios of Waxwing to Postfix.
func summary(works []string, all []figure) error {
	tw := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\nwork\tserver\tmessages/s\tCPU s per 1,000\tpeak MiB\tconnections\tmost open\t")
	rate := func(f figure) float64 { return f.Rate }
	cpu := func(f figure) float64 { return f.CPU }
	for _, work := range works {
		for _, s := range []string{"waxwing", "postfix", "postfix+dovecot"} {
			if r := median(all, s, work, rate); r > 0 {
				fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.3f\t%.0f\t%.0f\t%.0f\t\n", work, s, r, median(all, s, work, cpu),
					median(all, s, work, func(f figure) float64 { return float64(f.PeakMiB) }),
					median(all, s, work, func(f figure) float64 { return float64(f.Conns) }),
					median(all, s, work, func(f figure) float64 { return float64(f.MaxOpen) }))
			}
		}
		for _, s := range []string{"postfix", "postfix+dovecot"} {
			if p := median(all, s, work, rate); p > 0 {
				fmt.Fprintf(tw, "%s\tratio\t%.2f\t%.2f\t\t\t\t\n", work, median(all, "waxwing", work, rate)/p, median(all, "waxwing", work, cpu)/median(all, s, work, cpu))
			}
		}
	}
	return tw.Flush()
}
