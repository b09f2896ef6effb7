package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/queue"
	"waxwing/internal/store"
)

// parse is a configuration with a certificate, on free ports.
func parse(t *testing.T, kinds ...config.Kind) *config.Config {
	t.Helper()
	dir := t.TempDir()
	text := "hostname = \"mail.example.test\"\n"
	for _, k := range kinds {
		text += fmt.Sprintf("[[listen]]\naddress = \"127.0.0.1:0\"\nkind = %q\n", k)
	}
	text += "[tls]\nlocal_ca = true\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n" +
		"[incoming]\nverify = false\n" // no resolver is there
	cfg, err := config.Parse(filepath.Join(dir, "waxwing.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	if err := certs.MakeLocal(files, time.Now(), "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a server that runs; stop ends it and returns what Run did.
type running struct {
	*Server
	log  *lines
	stop func() error
}

func run(t *testing.T, cfg *config.Config) running {
	t.Helper()
	log := &lines{}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newServer(ctx, Options{Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	for _, err := range []error{s.Accounts.AddDomain(ctx, dns.MustParse("example.test")), s.Accounts.AddAccount(ctx, "you", "a-good-password"),
		s.Accounts.AddAddress(ctx, "you@example.test", "you")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r := running{Server: s, log: log, stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() { r.stop() })
	return r
}

// peer is a client that speaks lines.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr net.Addr) *peer {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &peer{t, c, bufio.NewReader(c)}
}

// say sends a line, unless it is empty, and wants a reply that begins with want. The whole reply is returned.
func (p *peer) say(line, want string) string {
	p.t.Helper()
	if line != "" {
		fmt.Fprintf(p, "%s\r\n", line)
	}
	var all string
	for {
		l, err := p.r.ReadString('\n')
		all += l
		if err != nil || len(l) < 4 {
			p.t.Fatalf("%q: %q, %v", line, all, err)
		}
		if l[3] == ' ' {
			break
		}
	}
	if !strings.HasPrefix(all, want) {
		p.t.Fatalf("%q: %q, want %s", line, all, want)
	}
	return all
}

// TestNew: every listener serves what its kind says.
func TestNew(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX, config.Submission, config.Submissions, config.Metrics))
	if a := s.Addr(config.HTTPS); a != nil {
		t.Errorf("https listens on %s", a)
	}

	mx := dial(t, s.Addr(config.MX))
	mx.say("", "220 mail.example.test")
	if ext := mx.say("EHLO client.test", "250"); !strings.Contains(ext, "STARTTLS") || strings.Contains(ext, "AUTH") {
		t.Errorf("mx offers %q", ext)
	}
	mx.say("MAIL FROM:<you@example.test>", "250")
	mx.say("RCPT TO:<a@elsewhere.test>", "550 5.7.1")

	sub := dial(t, s.Addr(config.Submission))
	sub.say("", "220")
	if ext := sub.say("EHLO client.test", "250"); !strings.Contains(ext, "STARTTLS") || strings.Contains(ext, "AUTH") {
		t.Errorf("submission offers %q before TLS", ext)
	}
	sub.say("MAIL FROM:<you@example.test>", "530")

	subs := dial(t, s.Addr(config.Submissions))
	subs.Conn = tls.Client(subs.Conn, &tls.Config{InsecureSkipVerify: true})
	subs.r = bufio.NewReader(subs.Conn)
	subs.say("", "220")
	if ext := subs.say("EHLO client.test", "250"); !strings.Contains(ext, "AUTH ") || !strings.Contains(ext, "PLAIN") || strings.Contains(ext, "STARTTLS") {
		t.Errorf("submissions offers %q", ext)
	}

	resp, err := http.Get("http://" + s.Addr(config.Metrics).String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(b, []byte("waxwing_")) {
		t.Errorf("metrics: %v: %s", err, b)
	}
	if err := s.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	for _, want := range []string{"kind=mx address=127.0.0.1:", "kind=metrics", "msg=serving hostname=mail.example.test listeners=4", "msg=draining"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, s.log)
		}
	}
}

// TestNewFails: what cannot be had is told, with what to do, and nothing stays bound.
func TestNewFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"kind": {func(c *config.Config) { c.Listen[1].Kind = "gopher" },
			[]string{`kind "gopher" is not served by this version`, "take its [[listen]] table out"}},
		"port": {func(c *config.Config) { c.Listen[1].Address = taken.Addr().(*net.TCPAddr).AddrPort() },
			[]string{"listen for submission: ", taken.Addr().String(), "address already in use", "another program has the port"}},
		"no certificate": {func(c *config.Config) { c.TLS.LocalCA = false },
			[]string{"submission needs a certificate", "tls.cert_file and tls.key_file"}},
		"certificate gone": {func(c *config.Config) { cert, _, _ := c.TLSFiles(); os.Remove(cert) },
			[]string{"no such file", "waxwing quickstart --local"}},
		"data directory": {func(c *config.Config) { cert, _, _ := c.TLSFiles(); c.DataDir = cert },
			[]string{"data_dir", "not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := parse(t, config.MX, config.Submission)
			c.change(cfg)
			var bound []net.Listener
			listen := func(network, address string) (net.Listener, error) {
				l, err := net.Listen(network, address)
				if err == nil {
					bound = append(bound, l)
				}
				return l, err
			}
			s, err := newServer(t.Context(), Options{Config: cfg, Listen: listen})
			if err == nil {
				s.Close()
				t.Fatal("built")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nwants %q", err, w)
				}
			}
			for _, l := range bound {
				if l.Close() == nil {
					t.Errorf("%s stayed bound", l.Addr())
				}
			}
		})
	}
}

// TestDrain: when the context ends, idle clients are told, a message under way
// is still taken, and Run returns nothing (OPS-2).
func TestDrain(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	s := run(t, cfg)
	addr := s.Addr(config.MX)
	idle, busy := dial(t, addr), dial(t, addr)
	idle.say("", "220")
	idle.say("EHLO client.test", "250")
	busy.say("", "220")
	busy.say("EHLO client.test", "250")
	busy.say("MAIL FROM:<>", "250")
	busy.say("RCPT TO:<you@example.test>", "250")
	busy.say("DATA", "354")
	fmt.Fprint(busy, "Subject: under way\r\n\r\nfirst line\r\n")

	done := make(chan error, 1)
	go func() { done <- s.stop() }()
	idle.say("", "421")
	if c, err := net.DialTimeout("tcp", addr.String(), time.Second); err == nil {
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		if l, err := bufio.NewReader(c).ReadString('\n'); err == nil && strings.HasPrefix(l, "220") {
			t.Errorf("a new client is greeted with %q", l)
		}
		c.Close()
	}
	busy.say("last line\r\n.", "250")
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
	// Accepted is kept, whether delivered before the end or not.
	s2 := run2(t, cfg)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got, err := s2.Mailboxes.List(t.Context(), "you", "INBOX", 10)
		if err == nil && len(got) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the mailbox has %v, %v", got, err)
		}
	}
}

// run2 runs a server on the store of another that has ended.
func run2(t *testing.T, cfg *config.Config) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newServer(ctx, Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// TestWatch: what another process queues and announces is delivered at once.
func TestWatch(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	s := run(t, cfg)
	time.Sleep(1500 * time.Millisecond) // past the first look, which always wakes
	other, err := datadir.OpenStore(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d, err := delivery.ParseRecipientDomain("example.test")
	if err != nil {
		t.Fatal(err)
	}
	content := delivery.Bytes("Subject: from a command\r\n\r\nHello.\r\n")
	env := &delivery.Envelope{Accepted: time.Now(), Size: int64(len(content)),
		Recipients: []delivery.Recipient{{Address: "you@example.test", Domain: d, Local: true}}}
	// A queue of its own, as commands have it: its wake does not reach the server.
	q := &queue.Queue{Store: other, Owner: "command"}
	if err := other.Write(t.Context(), func(tx *store.Tx) error {
		if err := q.EnqueueTx(tx, env, content); err != nil {
			return err
		}
		return tx.Raise(QueueArea)
	}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for {
		got, err := s.Mailboxes.List(t.Context(), "you", "INBOX", 10)
		if err == nil && len(got) == 1 {
			break
		}
		if time.Since(start) > 4*time.Second {
			t.Fatalf("nothing after %s: %v", time.Since(start), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A store that is replaced is noticed within seconds, also while no mail comes.
func TestStoreRemoved(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	s := run(t, cfg)
	if err := os.Remove(filepath.Join(cfg.DataDir, "waxwing.db")); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); !strings.Contains(s.log.String(), "the store is not what was opened"); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the log says nothing of it: " + s.log.String())
		}
	}
}

// TestListenerFails: a listener that ends by itself ends the server, with its name.
func TestListenerFails(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX, config.Metrics))
	c := dial(t, s.Addr(config.MX)) // so that it is known to serve
	c.say("", "220")
	c.Close()
	addr := s.Addr(config.Metrics).String()
	for _, l := range s.listeners {
		if l.kind == config.Metrics {
			l.Close()
		}
	}
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(s.log.String(), "draining"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it goes on without its listener")
		}
	}
	err := s.stop()
	if err == nil || !strings.Contains(err.Error(), "listener "+addr) {
		t.Errorf("run: %v", err)
	}
}
