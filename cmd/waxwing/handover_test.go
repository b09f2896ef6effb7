//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// loaded is a machine for the tests that change a server while it works.
func loaded(t *testing.T) *killed {
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "change-test-password"}
	k.setup("")
	k.edit(func(s string) string { return strings.Replace(s, `level = "error"`, `level = "info"`, 1) })
	return k
}

// edit changes the configuration.
func (k *killed) edit(change func(string) string) {
	k.t.Helper()
	path := filepath.Join(k.dir, "waxwing.toml")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(change(string(b))), 0o600)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// said waits until the log has so many lines with a text.
func said(t *testing.T, log *lockedBuffer, text string, n int) {
	t.Helper()
	for over := clock(60); strings.Count(log.String(), text) < n; {
		if over() {
			t.Fatalf("the log lacks %q %d times:\n%s", text, n, log.String())
		}
	}
}

// load has clients send over new connections, again and again, until stop is called.
func (k *killed) load(clients int) (stop func()) {
	ctx, cancel := context.WithCancel(k.t.Context())
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				k.client(ctx, i%2 == 0)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// connected has clients sessions of the MX at one time, each handed to send.
func (k *killed) connected(wg *sync.WaitGroup, clients int, send func(c *smtp.Client)) {
	for range clients {
		wg.Go(func() {
			c, err := smtp.Dial(k.mx)
			if err != nil {
				k.t.Error(err)
				return
			}
			defer c.Close()
			send(c)
		})
	}
}

// callers connect again and again, and note who is not let in.
func (k *killed) callers() (stop func() (calls, busy int, faults []string)) {
	ctx, cancel := context.WithCancel(k.t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var faults []string
	var calls, busy atomic.Int64
	call := func(address string) error {
		c, err := net.DialTimeout("tcp", address, time.Minute)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		line, err := bufio.NewReader(c).ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("no greeting: %w", err)
		case strings.HasPrefix(line, "421 "):
			busy.Add(1)
		case !strings.HasPrefix(line, "220 "):
			return fmt.Errorf("greeted with %s", line)
		}
		return nil
	}
	for _, address := range []string{k.mx, k.sub} {
		wg.Go(func() {
			for ctx.Err() == nil {
				calls.Add(1)
				if err := call(address); err != nil {
					mu.Lock()
					faults = append(faults, err.Error())
					mu.Unlock()
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	return func() (int, int, []string) {
		cancel()
		wg.Wait()
		return int(calls.Load()), int(busy.Load()), faults
	}
}

// OPS-2: a new program takes over under load, three times: no connection is refused, and
// nothing that was answered with 250 is lost. The process stays the same, as a service
// manager wants it.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	k := loaded(t)
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	stop, calls := k.load(6), k.callers()
	for i := range 3 {
		k.more(40)
		if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		said(t, log, "msg=serving", i+2)
	}
	k.more(40)
	n, busy, faults := calls()
	stop()
	t.Logf("%d calls, %d answered 421, %d with faults", n, busy, len(faults))
	if len(faults) > 0 || n < 100 {
		t.Errorf("%d calls, faults: %q", n, faults[:min(len(faults), 5)])
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, log.String())
	}
	k.round.Add(1)
	k.settle()
	k.check()
}

// A new program that cannot read the configuration does not take over.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	k := loaded(t)
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	k.edit(func(s string) string { return "nonsense = 1\n" + s })
	cmd.Process.Signal(syscall.SIGUSR2)
	said(t, log, "the new program does not take over", 1)
	stop := k.load(2)
	k.more(5)
	stop()
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, log.String())
	}
}

// OPS-10: SIGHUP under load loses no connection.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	k := loaded(t)
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	k.connected(&wg, 6, func(c *smtp.Client) {
		for ctx.Err() == nil {
			if err := k.send(c, "someone@elsewhere.test", "anyone@local.test"); err != nil {
				t.Errorf("a connection was lost: %v", err)
				return
			}
		}
	})
	for i := range 20 {
		k.more(10)
		cmd.Process.Signal(syscall.SIGHUP)
		said(t, log, "msg=reloaded", i+1)
	}
	cancel()
	wg.Wait()
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, log.String())
	}
}

// manager is a service manager: it hears what a server tells it.
type manager struct {
	conn *net.UnixConn
	mu   sync.Mutex
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m := &manager{conn: c}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	return m
}

// heard waits until the manager has heard a state so many times.
func (m *manager) heard(t *testing.T, state string, n int) {
	t.Helper()
	for over := clock(30); ; {
		m.mu.Lock()
		got := 0
		for _, s := range m.told {
			if s == state {
				got++
			}
		}
		all := slices.Clone(m.told)
		m.mu.Unlock()
		if got >= n {
			return
		}
		if over() {
			t.Fatalf("the manager heard %q, not %d times %s", all, n, state)
		}
	}
}

// OPS-2: systemd's protocols. The server takes the sockets that it is given, by address or
// by name, and leaves them to whoever holds them; it tells when it is ready, reads its
// configuration again, gives way, stops, and that it lives.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	k := loaded(t)
	held := map[string]*os.File{}
	for _, name := range []string{"connection", "submission", "other"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		held[name] = f
		switch name {
		case "connection": // by address
			k.edit(func(s string) string { return strings.Replace(s, k.mx, l.Addr().String(), 1) })
			k.mx = l.Addr().String()
		case "submission": // by name; the configuration has another address
			k.sub = l.Addr().String()
		}
		l.Close()
	}
	m := newManager(t)
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" serve`, os.Args[0]) // it must be the process's own number
	cmd.Dir = k.dir
	cmd.Env = append(os.Environ(), "WAXWING_RUN=1", "NOTIFY_SOCKET="+m.conn.LocalAddr().String(), "WATCHDOG_USEC=300000",
		"LISTEN_FDS=3", "LISTEN_FDNAMES=connection:submission:other")
	cmd.ExtraFiles = []*os.File{held["connection"], held["submission"], held["other"]}
	log := &lockedBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	m.heard(t, "READY=1", 1)
	m.heard(t, "WATCHDOG=1", 3)
	if !strings.Contains(log.String(), "sockets that no [[listen]] names") {
		t.Errorf("nothing is said of the third socket: %s", log.String())
	}
	calls := k.callers()
	k.few(t)
	cmd.Process.Signal(syscall.SIGHUP)
	m.heard(t, "READY=1", 2)
	cmd.Process.Signal(syscall.SIGUSR2)
	m.heard(t, "RELOADING=1", 2)
	m.heard(t, "READY=1", 3)
	k.few(t)
	cmd.Process.Signal(syscall.SIGTERM)
	m.heard(t, "STOPPING=1", 1)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, log.String())
	}
	// Nobody serves now, and yet nobody is refused: the manager holds the sockets.
	c, err := net.Dial("tcp", k.mx)
	if err != nil {
		t.Fatalf("refused while the service is down: %v", err)
	}
	c.Close()
	cmd2 := k.waxwing("serve")
	cmd2.Path, cmd2.Args = cmd.Path, cmd.Args
	cmd2.Env, cmd2.ExtraFiles, cmd2.Stderr = cmd.Env, cmd.ExtraFiles, log
	if err := cmd2.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd2.Process.Kill()
	m.heard(t, "READY=1", 4)
	n, _, faults := calls()
	if n < 20 || len(faults) > 0 {
		t.Errorf("%d calls over a restart, faults: %q", n, faults[:min(len(faults), 5)])
	}
	cmd2.Process.Signal(syscall.SIGTERM)
	cmd2.Wait()
}

// few hands in a few messages.
func (k *killed) few(t *testing.T) {
	t.Helper()
	stop := k.load(2)
	k.more(4)
	stop()
}
