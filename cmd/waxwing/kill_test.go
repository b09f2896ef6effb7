package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/freeport"
	"waxwing/internal/store/storetest"
	wsmtp "waxwing/smtp"
	"waxwing/smtpserver"
)

// TestKill kills a serving waxwing with SIGKILL dozens of times under load.
// Every message that was answered with 250 must have been delivered or stand in
// the queue; a copy too many may come only from the window that
// docs/message-flow.md allows: taken by the sink before a kill, settled by nobody.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a server dozens of times; not with -short")
	}
	t.Run("sqlite", func(t *testing.T) { killRounds(t, "", 36) })
	t.Run("postgres", func(t *testing.T) {
		killRounds(t, storetest.Postgres(t), 12)
	})
}

// killed is one test: a machine, a sink for its mail, and what was promised.
type killed struct {
	t        *testing.T
	dir      string
	mx, sub  string
	password string
	sink     *countingSink
	round    atomic.Int64

	mu    sync.Mutex
	acked map[string]bool // ids answered with 250
	next  atomic.Int64
}

func killRounds(t *testing.T, postgres string, rounds int) {
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "kill-test-password"}
	k.setup(postgres)
	for range rounds {
		k.round.Add(1)
		k.once()
	}
	k.round.Add(1)
	k.settle()
	k.check()
}

func (k *killed) setup(postgres string) {
	t := k.t
	k.sink = startSink(t, &k.round)
	zones, err := dnstest.Start(dnstest.Zone{Name: "sink.test", Security: dns.Insecure,
		Records: []string{"@ MX 10 mx", "mx A 127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zones.Close)
	k.mx, k.sub = freeport.Addr(t), freeport.Addr(t)
	k.command("", "quickstart", "-local", "-dir", k.dir, "you@local.test")
	conf := fmt.Sprintf(`hostname = "mail.local.test"
data_dir = "data"
postgres = %q
[[listen]]
address = %q
kind = "mx"
[[listen]]
address = %q
kind = "submission"
[tls]
local_ca = true
[resolver]
servers = [%q]
selftest = { signed = "", bogus = "", large = "" }
[delivery]
allow_private = true
port = %d
[limits]
messages_per_day = 0
recipients_per_day = 0
[log]
level = "error"
`, postgres, k.mx, k.sub, zones.Addr(), k.sink.port)
	if err := os.WriteFile(filepath.Join(k.dir, "waxwing.toml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if postgres != "" {
		k.command("", "store", "init")
		k.command("", "domain", "add", "local.test")
		k.command(k.password+"\n", "account", "add", "you")
		k.command("", "address", "add", "you@local.test", "you")
	}
	k.command(k.password+"\n", "account", "password", "you")
	k.command("", "address", "add", "*@local.test", "you")
}

// waxwing is the program as a process.
func (k *killed) waxwing(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = k.dir
	cmd.Env = append(os.Environ(), "WAXWING_RUN=1")
	return cmd
}

func (k *killed) command(stdin string, args ...string) []byte {
	k.t.Helper()
	cmd := k.waxwing(args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		k.t.Fatalf("waxwing %v: %v: %s", args, err, stderr.String())
	}
	return out
}

// serve starts the server and waits until it answers.
func (k *killed) serve() (*exec.Cmd, *lockedBuffer) {
	k.t.Helper()
	cmd := k.waxwing("serve")
	stderr := &lockedBuffer{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", k.sub)
		if err == nil {
			c.Close()
			return cmd, stderr
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			cmd.Wait()
			k.t.Fatalf("serve does not listen: %v: %s", err, stderr.String())
		}
	}
}

// once starts the server, loads it, and kills it at a random moment.
func (k *killed) once() {
	k.t.Helper()
	cmd, stderr := k.serve()
	stop := k.load(8)
	// A random moment, counted in messages so that a slow machine shows as much:
	// after some were accepted, and a little later.
	enough := k.count() + 1 + rand.IntN(40)
	for end := time.Now().Add(10 * time.Second); k.count() < enough && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	cmd.Process.Kill()
	cmd.Wait()
	stop()
	if s := stderr.String(); strings.Contains(s, "panic") {
		k.t.Fatalf("serve said: %s", s)
	}
}

// client sends messages over one connection until it breaks.
func (k *killed) client(ctx context.Context, submit bool) {
	addr := k.mx
	if submit {
		addr = k.sub
	}
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		return
	}
	from, to := "someone@elsewhere.test", "anyone@local.test"
	if submit {
		from, to = "you@local.test", "them@sink.test"
		if k.logIn(c) != nil {
			return
		}
	}
	for k.send(c, from, to) == nil {
	}
}

func (k *killed) logIn(c *smtp.Client) error {
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	return c.Auth(smtp.PlainAuth("", "you", k.password, "127.0.0.1"))
}

func (k *killed) send(c *smtp.Client, from, to string) error {
	id := fmt.Sprintf("kill-%d", k.next.Add(1))
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nSubject: %s!\r\nMessage-ID: <%s@client.test>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n%s\r\n",
		from, to, id, id, strings.Repeat("a line of text that nobody reads\r\n", rand.IntN(200)))
	if err := w.Close(); err != nil {
		return err
	}
	k.mu.Lock()
	k.acked[id] = true
	k.mu.Unlock()
	return nil
}

// settle runs the server undisturbed until the queue is empty, and ends it as
// an operator would.
func (k *killed) settle() {
	cmd, stderr := k.serve()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var items []json.RawMessage
		if err := json.Unmarshal(k.command("", "queue", "list", "-json"), &items); err != nil {
			k.t.Fatal(err)
		}
		if len(items) == 0 {
			break
		}
		if time.Now().After(end) {
			k.t.Errorf("after a minute of peace %d recipients still wait, such as %s", len(items), items[0])
			break
		}
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		k.t.Errorf("serve ended with %v: %s", err, stderr.String())
	}
}

func (k *killed) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.acked)
}

var subject = regexp.MustCompile(`(?m)^Subject: (kill-\d+)!`)

// check holds what arrived against what was promised, and counts the copies too many.
func (k *killed) check() (doubled int) {
	t := k.t
	got := map[string]int{}
	inbox := k.subjects(k.inbox())
	for id, n := range inbox {
		got[id] += n
		if n > 1 {
			t.Errorf("%s is %d times in the mailbox: a local delivery and its settling are one transaction", id, n)
		}
	}
	for id, at := range k.sink.all() {
		got[id] += len(at)
		for i := 1; i < len(at); i++ {
			doubled++
			if at[i] == at[i-1] {
				t.Errorf("%s came twice in round %d: no kill stood between", id, at[i])
			}
		}
	}
	lost := 0
	for id := range k.acked {
		if got[id] == 0 {
			lost++
			if lost <= 10 {
				t.Errorf("%s was answered with 250 and is nowhere", id)
			}
		}
	}
	if len(k.acked) < 60 {
		t.Errorf("only %d messages were accepted: too few to show anything", len(k.acked))
	}
	t.Logf("%d rounds: %d messages answered with 250, %d lost, %d arrived, %d in the window between the remote's 250 and our commit",
		k.round.Load(), len(k.acked), lost, len(got), doubled)
	return doubled
}

// inbox is all messages of the mailbox, page by page.
func (k *killed) inbox() (all []struct{ ID delivery.ID }) {
	for before := delivery.ID(0); ; {
		var page []struct{ ID delivery.ID }
		if err := json.Unmarshal(k.command("", "mail", "list", "-json", "-limit", "1000", "-before", fmt.Sprint(before), "you"), &page); err != nil {
			k.t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		before = page[len(page)-1].ID
	}
}

// subjects counts the messages of the mailbox by id.
func (k *killed) subjects(messages []struct{ ID delivery.ID }) map[string]int {
	t := k.t
	counts := map[string]int{}
	ids := make([]string, 0, len(messages))
	for _, m := range messages {
		ids = append(ids, fmt.Sprint(m.ID))
	}
	for len(ids) > 0 {
		n := min(500, len(ids))
		out := k.command("", append([]string{"mail", "show"}, ids[:n]...)...)
		for _, m := range subject.FindAllSubmatch(out, -1) {
			counts[string(m[1])]++
		}
		ids = ids[n:]
	}
	if len(messages) > 0 && len(counts) == 0 {
		t.Error("no message of the mailbox could be read")
	}
	return counts
}

// countingSink takes mail and notes in which round each message came.
type countingSink struct {
	port  int
	round *atomic.Int64

	mu  sync.Mutex
	got map[string][]int64

	busy  sync.RWMutex // locked: it takes nothing now
	waits atomic.Int64 // messages that wait for it
}

func startSink(t *testing.T, round *atomic.Int64) *countingSink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &countingSink{port: l.Addr().(*net.TCPAddr).Port, round: round, got: map[string][]int64{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	srv := &smtpserver.Server{Hostname: "mx.sink.test", Backend: s, Timeouts: smtpserver.Timeouts{Drain: time.Millisecond},
		Limits: smtpserver.Limits{ConnectionsPerAddr: 1000}}
	go func() { defer close(done); srv.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *countingSink) all() map[string][]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *countingSink) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return sinkSession{s}, nil
}

type sinkSession struct{ s *countingSink }

func (sinkSession) Mail(context.Context, wsmtp.MailParams) error { return nil }
func (sinkSession) Rcpt(context.Context, wsmtp.RcptParams) error { return nil }
func (sinkSession) Reset()                                       {}
func (sinkSession) Close()                                       {}

func (x sinkSession) Data(_ context.Context, r io.Reader) (*wsmtp.Reply, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	m := subject.FindSubmatch(b)
	if m == nil {
		return wsmtp.NewReply(554, wsmtp.Enhanced{}, "no subject of the test"), nil
	}
	x.s.waits.Add(1)
	x.s.busy.RLock()
	x.s.waits.Add(-1)
	defer x.s.busy.RUnlock()
	x.s.mu.Lock()
	x.s.got[string(m[1])] = append(x.s.got[string(m[1])], x.s.round.Load())
	x.s.mu.Unlock()
	return wsmtp.NewReply(250, wsmtp.Enhanced{}, "taken"), nil
}
