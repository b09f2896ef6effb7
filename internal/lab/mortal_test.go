package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// errKilled is of whatever a dead machine would do: its rooms do not wait for the store to come back.
var errKilled = fmt.Errorf("killed: %w", store.ErrClosed)

// wire joins one life of a machine to the network, until it is cut.
type wire struct {
	net *Network

	mu   sync.Mutex
	cut  bool
	open []io.Closer // connections and listeners
}

func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := w.net.DialContext(ctx, network, address)
	return w.connected(nc, err)
}

func (w *wire) ListenAt(network, address string) (net.Listener, error) {
	l, err := w.net.ListenAt(network, address)
	if err == nil && !w.joined(l) {
		err = errKilled
	}
	return wired{l, w}, err
}

type wired struct {
	net.Listener
	w *wire
}

func (l wired) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return l.w.connected(nc, err)
}

func (w *wire) connected(nc net.Conn, err error) (net.Conn, error) {
	if err == nil && !w.joined(nc) {
		nc, err = nil, errKilled
	}
	return nc, err
}

// joined says whether c is on the network; it is closed if the wire is cut.
func (w *wire) joined(c io.Closer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, c)
	if w.cut {
		c.Close()
	}
	return !w.cut
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.open {
		c.Close()
	}
}

// life is what a machine does until it is killed, at a commit of its store: before it is made, or
// right after it. Nothing that follows reaches anybody, or the disk that the next life finds.
type life struct {
	m    *mortal
	wire *wire
	dir  string

	mu    sync.Mutex
	left  int // commits until it is killed; 0: it is not
	after bool
	dead  bool
	fault error // of what the test does
}

// commit stands around the commits of its store. One that writes nothing is none: the next life
// finds the same either way.
func (l *life) commit(commit func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errKilled
	}
	if l.left == 1 && !l.after {
		l.keep()
	}
	written := l.written()
	if err := commit(); err != nil {
		return err
	}
	if l.written() == written {
		return nil
	}
	l.m.made()
	if l.left--; l.left != 0 {
		return nil
	}
	l.wire.sever()
	if l.after {
		l.keep()
	}
	l.dead = true
	return errKilled
}

// written is when its store was written to last.
func (l *life) written() time.Time {
	info, err := os.Stat(filepath.Join(l.dir, "data", "waxwing.db-wal"))
	if err != nil {
		l.fault = errors.Join(l.fault, err)
		return time.Time{}
	}
	return info.ModTime()
}

// keep keeps what is on disk now for the next life.
func (l *life) keep() {
	to := filepath.Join(l.m.dirOf(l.m.lives+1), "data")
	err := os.RemoveAll(to)
	if err == nil {
		err = os.CopyFS(to, plainFiles{os.DirFS(filepath.Join(l.dir, "data"))})
	}
	l.fault = errors.Join(l.fault, err)
}

func (l *life) killed() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead, l.fault
}

// plainFiles leaves out sockets.
type plainFiles struct{ fs.FS }

func (p plainFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(p.FS, name)
	var out []fs.DirEntry
	for _, e := range all {
		if e.IsDir() || e.Type().IsRegular() {
			out = append(out, e)
		}
	}
	return out, err
}

// mortal is a Waxwing that is killed again and again, and started again from what is on disk.
type mortal struct {
	*Machine // as it lives now
	t        *testing.T
	ctx      context.Context
	base     string
	life     *life
	lives    int
	mortem   sync.WaitGroup     // servers of earlier lives that are ending
	fate     func() (int, bool) // after how many commits the next life ends, and how
	mu       sync.Mutex
	commits  int
}

func (m *mortal) made() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
}

func (m *mortal) dirOf(n int) string { return filepath.Join(m.base, fmt.Sprint(n)) }

// newMortal starts a machine that nothing kills before it is told its fate.
func (n *Internet) newMortal(ctx context.Context, t *testing.T, domain, account string, hosts ...string) *mortal {
	t.Helper()
	m := &mortal{t: t, ctx: ctx, base: t.TempDir(), fate: func() (int, bool) { return 0, false }}
	m.life = &life{m: m, wire: &wire{net: n.Network}, dir: m.dirOf(0)}
	spec := MachineSpec{Domain: domain, Account: account, Dir: m.life.dir, Retry: "1m", Wire: m.life.wire, Commit: m.life.commit,
		Extra: "[limits]\nmessages_per_day = 1000000\nrecipients_per_day = 1000000\n"} // each life takes some ahead, which its death loses
	for _, h := range hosts {
		spec.Hosts = append(spec.Hosts, dns.MustParse(h))
	}
	err := os.Mkdir(spec.Dir, 0o700)
	if err == nil {
		m.Machine, err = n.StartMachine(ctx, spec)
	}
	if err == nil {
		err = m.Stop()
	}
	m.life.keep()
	if err = errors.Join(err, m.life.fault); err != nil {
		t.Fatal(err)
	}
	m.stop = nil
	m.next()
	t.Cleanup(func() {
		m.Stop()
		m.mortem.Wait()
	})
	return m
}

// doom has this life end as fate says, and all that follow.
func (m *mortal) doom(fate func() (int, bool)) {
	m.fate = fate
	m.life.mu.Lock()
	defer m.life.mu.Unlock()
	m.life.left, m.life.after = fate()
}

// revive starts a machine that was killed. It says whether it was.
func (m *mortal) revive() (was bool) {
	m.t.Helper()
	for {
		dead, err := m.life.killed()
		if err != nil {
			m.t.Fatal(err)
		}
		if !dead {
			return was
		}
		was = true
		m.next()
	}
}

var sendmail = regexp.MustCompile(`(?s)\[sendmail\].*?account = "[^"]*"\n`)

// next begins the next life.
func (m *mortal) next() {
	m.t.Helper()
	if old := m.Machine; old.stop != nil {
		m.mortem.Go(func() { old.Stop() })
	}
	text, err := os.ReadFile(m.Config)
	if err != nil {
		m.t.Fatal(err)
	}
	text = sendmail.ReplaceAll(text, nil) // its socket is the first life's
	m.lives++
	l := &life{m: m, wire: &wire{net: m.net.Network}, dir: m.dirOf(m.lives)}
	l.left, l.after = m.fate()
	x := &Machine{Domain: m.Domain, Hostname: m.Hostname, Account: m.Account, Password: m.Password, Dir: l.dir, Config: filepath.Join(l.dir, "waxwing.toml"),
		net: m.net, addr: m.addr, done: make(chan error, 1)}
	if err := os.WriteFile(x.Config, text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	cfg, err := config.Load(x.Config)
	if err != nil {
		m.t.Fatal(err)
	}
	err = x.build(m.ctx, cfg, MachineSpec{Wire: l.wire, Commit: l.commit})
	dead, _ := l.killed()
	if err != nil && !dead {
		m.t.Fatalf("life %d of %s: %v", m.lives, m.Domain, err)
	}
	m.life, m.Machine = l, x
	if err == nil {
		x.Queue.Grace = time.Millisecond // the dead have nothing to wait for
		x.run(m.ctx)
	}
}

// pair is two such machines, and the clock that they share.
type pair struct {
	*Internet
	t                *testing.T
	ctx              context.Context
	sender, receiver *mortal
	day              time.Time // midnight UTC of the running day
	forged           int64     // mails in the name of sender.test that were refused
}

// until waits until done says so of machines that live. Where nothing goes on, time does; how long
// that takes to be seen depends on how fast this machine is.
func (p *pair) until(what string, done func() bool) {
	p.t.Helper()
	seen, since := -1, time.Now()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(3 * time.Millisecond) {
		died := p.sender.revive()
		died = p.receiver.revive() || died
		asked := time.Now()
		if !died && done() {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s did not come about within two minutes; it is %s", what, p.Clock.Now().UTC())
		}
		n := p.commits()
		if died || n != seen {
			seen, since = n, time.Now()
		}
		if time.Since(since) > max(40*time.Millisecond, 20*time.Since(asked)) {
			p.Clock.Advance(p.idle())
			p.sender.Queue.Wake()
			p.receiver.Queue.Wake()
			since = time.Now()
		}
	}
}

// idle is for how long nothing will happen: until the next mail is due, or where there may be
// something else, such as a dead machine's lease, five minutes.
func (p *pair) idle() time.Duration {
	const step = 5 * time.Minute
	var due time.Time
	for _, m := range []*mortal{p.sender, p.receiver} {
		list, err := spool.List(p.ctx, m.Queue.Store, spool.Filter{})
		for _, it := range list {
			if it.State != spool.Waiting {
				return step
			}
			if due.IsZero() || it.Due.Before(due) {
				due = it.Due
			}
		}
		if err != nil {
			return step
		}
	}
	if wait := due.Sub(p.Clock.Now()); wait > 0 {
		return wait
	}
	return step
}

func (p *pair) commits() int {
	n := 0
	for _, m := range []*mortal{p.sender, p.receiver} {
		m.mu.Lock()
		n += m.commits
		m.mu.Unlock()
	}
	return n
}

// lived says whether a call of m went well; an error is its death's, or the test's.
func (p *pair) lived(m *mortal, err error) bool {
	p.t.Helper()
	if dead, _ := m.life.killed(); err != nil && !dead {
		p.t.Fatal(err)
	}
	return err == nil
}
