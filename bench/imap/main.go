// Command imap measures what mail programs do in a large mailbox, on Waxwing and on Debian's Dovecot, in the same run and
// by one client. docs/performance.md explains the figures.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

type options struct {
	messages, idle int
	dir            string
	rest           time.Duration
}

// figure is one line of the table.
type figure struct {
	work  string
	unit  string
	value float64
}

func main() {
	var o options
	bin := flag.String("bin", "", "the waxwing `program`")
	postgres := flag.String("postgres", "", "`URL` of an empty PostgreSQL database, to be measured, too")
	peers := flag.String("peers", "waxwing,dovecot", "which `servers` are measured")
	flag.IntVar(&o.messages, "messages", 100_000, "`messages` in the mailbox")
	flag.IntVar(&o.idle, "idle", 1000, "`sessions` that wait for news")
	flag.DurationVar(&o.rest, "rest", 10*time.Second, "how long they wait while nothing happens")
	flag.StringVar(&o.dir, "dir", "", "a `directory` for the servers' files")
	imported := flag.Int("import", 0, "measure nothing but an import of so many `messages` while the server runs")
	size := flag.Int("size", 8192, "`octets` of each of those")
	flag.Parse()
	servers := map[string]server{"waxwing": &waxwing{bin: *bin}, "dovecot": &dovecot{}, "postgres": &waxwing{bin: *bin, postgres: *postgres}}
	results := map[string][]figure{}
	var order []string
	for _, name := range strings.Split(*peers, ",") {
		s := servers[name]
		if s == nil {
			fatal(fmt.Errorf("there is no server %q", name))
		}
		if w, ok := s.(*waxwing); ok && *imported > 0 {
			m := &importing{w: w, dir: filepath.Join(o.dir, strings.ReplaceAll(w.name(), " ", "-")), messages: *imported, size: *size}
			if err := m.run(context.Background()); err != nil {
				fatal(fmt.Errorf("%s: import: %w", w.name(), err))
			}
			order, results[w.name()] = append(order, w.name()), m.figures
			continue
		}
		figures, err := measure(context.Background(), s, o)
		if err != nil {
			fatal(fmt.Errorf("%s: %w", s.name(), err))
		}
		order, results[s.name()] = append(order, s.name()), figures
	}
	show(order, results)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func show(order []string, results map[string][]figure) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "work\tunit")
	for _, name := range order {
		fmt.Fprintf(w, "\t%s", name)
	}
	fmt.Fprintln(w, "\tratio of the first two")
	for i, f := range results[order[0]] {
		fmt.Fprintf(w, "%s\t%s", f.work, f.unit)
		for _, name := range order {
			fmt.Fprintf(w, "\t%.2f", results[name][i].value)
		}
		if len(order) > 1 {
			fmt.Fprintf(w, "\t%.2f", f.value/results[order[1]][i].value)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// run is one server that is measured.
type run struct {
	o       options
	s       server
	pid     int
	figures []figure
}

func measure(ctx context.Context, s server, o options) ([]figure, error) {
	dir := filepath.Join(o.dir, strings.ReplaceAll(s.name(), " ", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := s.setUp(ctx, dir); err != nil {
		return nil, err
	}
	r := &run{o: o, s: s}
	defer s.stop()
	for _, step := range []func(context.Context) error{r.restart, r.fill, r.restart, r.read, r.change, r.search, r.resync, r.idle} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.figures, nil
}

func (r *run) restart(ctx context.Context) (err error) {
	if r.pid != 0 {
		r.s.stop()
	}
	r.pid, err = r.s.start(ctx)
	return err
}

func (r *run) client() (*client, error) {
	user, password := r.s.login()
	return dial(r.s.addr(), user, password)
}

// selected is a client that looks into the mailbox.
func (r *run) selected() (*client, error) {
	c, err := r.client()
	if err != nil {
		return nil, err
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (r *run) note(work, unit string, value float64) {
	r.figures = append(r.figures, figure{work, unit, value})
}

// times notes the first and the median of the rest of n runs of a command.
func (r *run) times(c *client, work, command string, n int) error {
	var all []time.Duration
	for range n {
		d, _, err := c.timed(command)
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	r.note(work+", first", "ms", ms(all[0]))
	r.note(work, "ms", ms(median(all[1:])))
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// words are what bodies are made of; a search for three of them finds about one message in a thousand.
const vocabulary = 2000

// message is one of about 1 KB.
func message(r *rand.Rand, i int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Date: Mon, 5 Jan 2026 12:%02d:%02d +0000\r\nFrom: Sender %d <s%d@example.org>\r\nTo: you@bench.test\r\nSubject: message %d about word%d\r\nMessage-ID: <%d@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		i/60%60, i%60, i%100, i%100, i, r.IntN(vocabulary), i)
	for b.Len() < 1000 {
		fmt.Fprintf(&b, "word%d ", r.IntN(vocabulary))
		if r.IntN(10) == 0 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

const (
	batch  = 200
	single = 1000 // messages that are appended one by one
)

func (r *run) fill(context.Context) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.close()
	rnd := rand.New(rand.NewPCG(1, 2))
	from := time.Now()
	for i := range min(single, r.o.messages) {
		if err := c.appendAll("INBOX", [][]byte{message(rnd, i)}); err != nil {
			return err
		}
	}
	r.note("append, one by one", "ms each", ms(time.Since(from))/float64(min(single, r.o.messages)))
	from = time.Now()
	for i := single; i < r.o.messages; i += batch {
		var all [][]byte
		for k := i; k < min(i+batch, r.o.messages); k++ {
			all = append(all, message(rnd, k))
		}
		if err := c.appendAll("INBOX", all); err != nil {
			return err
		}
	}
	if r.o.messages > single {
		r.note("append, 200 in a command", "ms each", ms(time.Since(from))/float64(r.o.messages-single))
	}
	return nil
}

func (r *run) read(context.Context) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.close()
	if err := r.times(c, "SELECT", "SELECT INBOX", 20); err != nil {
		return err
	}
	before, _ := memory(r.pid)
	if err := r.times(c, "FETCH 1:* (UID FLAGS)", "FETCH 1:* (UID FLAGS)", 10); err != nil {
		return err
	}
	after, _ := memory(r.pid)
	r.note("memory grown by that", "MiB", float64(after-before)/1024)
	return r.times(c, "the 50 newest, ENVELOPE BODYSTRUCTURE", fmt.Sprintf("FETCH %d:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", r.o.messages-49), 20)
}

func (r *run) change(context.Context) error {
	c, err := r.selected()
	if err != nil {
		return err
	}
	defer c.close()
	var all []time.Duration
	for i := range 6 {
		d, _, err := c.timed(fmt.Sprintf("STORE 1:%d %cFLAGS (\\Flagged)", min(10_000, r.o.messages), "+-"[i%2]))
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	r.note("STORE on 10,000", "ms", ms(median(all)))
	return nil
}

func (r *run) search(context.Context) error {
	c, err := r.selected()
	if err != nil {
		return err
	}
	defer c.close()
	if err := r.times(c, "SEARCH UNSEEN", "SEARCH UNSEEN", 6); err != nil {
		return err
	}
	if w, ok := r.s.(*waxwing); ok { // what has come is indexed in the background
		if err := w.indexed(c); err != nil {
			return err
		}
	}
	return r.times(c, "SEARCH BODY of three words", "SEARCH BODY word7 BODY word77 BODY word777", 4)
}

// indexed waits until searches have become as fast as they get.
func (w *waxwing) indexed(c *client) error {
	from := time.Now()
	for range 100 {
		d, _, err := c.timed("SEARCH BODY word7 BODY word77 BODY word777")
		if err != nil {
			return err
		}
		if d < 20*time.Millisecond {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Fprintf(os.Stderr, "%s: indexed %s after the search began\n", w.name(), time.Since(from).Round(time.Second))
	return nil
}

// resync is what a program costs that has been away while a hundred messages changed.
func (r *run) resync(context.Context) error {
	away, err := r.client()
	if err != nil {
		return err
	}
	defer away.close()
	other, err := r.selected()
	if err != nil {
		return err
	}
	defer other.close()
	if _, err := away.do("ENABLE QRESYNC"); err != nil {
		return err
	}
	var all []time.Duration
	for i := range 6 {
		_, a, err := away.timed("SELECT INBOX")
		if err != nil {
			return err
		}
		validity, modseq := code(a, "UIDVALIDITY "), code(a, "HIGHESTMODSEQ ")
		if _, err := away.do("UNSELECT"); err != nil {
			return err
		}
		for k := range 100 {
			if _, err := other.do(fmt.Sprintf("STORE %d %cFLAGS.SILENT (\\Answered)", 1+k*(r.o.messages/100), "+-"[i%2])); err != nil {
				return err
			}
		}
		d, b, err := away.timed(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", validity, modseq))
		if err != nil {
			return err
		}
		if n := strings.Count(strings.Join(b.kept, "\n"), " FETCH "); n < 80 {
			return fmt.Errorf("a resync tells of %d changes, want 100", n)
		}
		all = append(all, d)
	}
	r.note("resync by QRESYNC after 100 changes", "ms", ms(median(all)))
	return nil
}

// code is the number behind a response code.
func code(a answer, name string) string {
	for _, l := range a.kept {
		if _, rest, ok := strings.Cut(l, "["+name); ok {
			n, _, _ := strings.Cut(rest, "]")
			if _, err := strconv.ParseUint(n, 10, 64); err == nil {
				return n
			}
		}
	}
	return "0"
}

// settled is the memory of the server once it gives no more of it back: a collection comes after two minutes at the
// latest, and pages go back to the system after it. With a short o.rest, which is only to see that all works, nobody
// waits for that, and the figure says nothing.
func (r *run) settled() (kib int64) {
	kib, _ = memory(r.pid)
	if r.o.rest < 5*time.Second {
		return kib
	}
	const quiet = 130 * time.Second
	for fell := time.Now(); time.Since(fell) < quiet; time.Sleep(time.Second) {
		now, _ := memory(r.pid)
		if now < kib*99/100 {
			fell = time.Now()
		}
		kib = min(kib, now)
	}
	return kib
}

func (r *run) idle(context.Context) error {
	before := r.settled()
	var waiting []*client
	defer func() {
		for _, c := range waiting {
			c.close()
		}
	}()
	for range r.o.idle {
		c, err := r.selected()
		if err != nil {
			return err
		}
		waiting = append(waiting, c)
		if err := c.idle(); err != nil {
			return err
		}
	}
	after := r.settled()
	_, cpu := memory(r.pid)
	r.note("memory of a session that waits", "KiB", float64(after-before)/float64(r.o.idle))
	time.Sleep(r.o.rest)
	_, later := memory(r.pid)
	r.note("processor time while all wait", "ms/s", (later-cpu)*1000/r.o.rest.Seconds())
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.close()
	from := time.Now()
	if err := c.appendAll("INBOX", [][]byte{message(rand.New(rand.NewPCG(3, 4)), 0)}); err != nil {
		return err
	}
	for _, w := range waiting {
		if err := w.heard(); err != nil {
			return err
		}
	}
	r.note("until the last of them hears of a message", "ms", ms(time.Since(from)))
	return nil
}
