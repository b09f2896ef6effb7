//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// TestSignals: SIGHUP reloads and never ends the server, SIGUSR1 has everything logged
// for a while, SIGTERM drains (OPS-10, OPS-2). A log whose reader has gone is no reason
// to end.
func TestSignals(t *testing.T) {
	t.Parallel()
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "signal-test-password"}
	k.setup("")
	conf := filepath.Join(k.dir, "waxwing.toml")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	original := strings.Replace(string(b), `level = "error"`, `level = "info"`, 1)
	if err := os.WriteFile(conf, []byte(original), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := k.waxwing("serve")
	logged := &lockedBuffer{}
	cmd.Stderr = logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	wait := func(want string) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !strings.Contains(logged.String(), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the log lacks %q:\n%s", want, logged.String())
			}
		}
		logged.Reset()
	}
	signal := func(s syscall.Signal, change func(string) string, want string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(change(original)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		wait(want)
	}
	wait("msg=serving")
	same := func(s string) string { return s }
	signal(syscall.SIGHUP, same, `msg=reloaded`)
	signal(syscall.SIGHUP, func(s string) string { return "nonsense = 1\n" + s }, `unknown key`)
	signal(syscall.SIGHUP, func(s string) string { return strings.Replace(s, "messages_per_day = 0", "messages_per_day = 5", 1) }, `need a restart of the server" keys=limits.messages_per_day`)
	signal(syscall.SIGUSR1, same, `level=DEBUG for=10m`)
	signal(syscall.SIGPIPE, same, "")
	signal(syscall.SIGTERM, same, "msg=draining")
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v:\n%s", err, logged.String())
	}
}

// TestLogReaderGoes: a log whose reader has gone, such as a pipe to a program that ended,
// is written to in vain; the server serves on and drains as ever (OPS-10).
func TestLogReaderGoes(t *testing.T) {
	t.Parallel()
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "signal-test-password"}
	k.setup("")
	conf := filepath.Join(k.dir, "waxwing.toml")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(strings.Replace(string(b), `level = "error"`, `level = "info"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := k.waxwing("serve")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	w.Close()
	seen := ""
	for buf := make([]byte, 4096); !strings.Contains(seen, "msg=serving"); {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("the server ended: %v, %s", err, seen)
		}
		seen += string(buf[:n])
	}
	r.Close()
	for range 3 { // each logs into the closed pipe
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
