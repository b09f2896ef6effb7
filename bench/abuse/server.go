package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
)

// Addresses of the server, on loopback.
const (
	mxAddr  = "127.0.0.1:27025"
	subAddr = "127.0.0.1:27587"
	webAddr = "127.0.0.1:27443"
)

const serverConfig = `hostname = "mail.bench.test"
data_dir = "data"
[[listen]]
address = "` + mxAddr + `"
kind = "mx"
[[listen]]
address = "` + subAddr + `"
kind = "submission"
[[listen]]
address = "` + webAddr + `"
kind = "https"
[tls]
local_ca = true
[resolver]
servers = [%q]
[resolver.selftest]
signed = ""
bogus = ""
large = ""
[delivery]
allow_private = true
[limits]
max_connections = %d
messages_per_day = 0
recipients_per_day = 0
[tlsrpt]
send = false
[log]
level = "error"
`

// server is a Waxwing in a fresh directory.
type server struct {
	o        options
	dir      string
	serve    *exec.Cmd
	password string
	dns      *dnstest.Server
	keys     []dkim.Key // of reporter.test, from where all mail comes
}

// start makes and starts one for so many connections a listener.
func start(ctx context.Context, o options, connections int) (*server, error) {
	s := &server{o: o, password: "bench-" + strconv.Itoa(os.Getpid()) + "-password"}
	if err := s.up(ctx, connections); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) up(ctx context.Context, connections int) error {
	reporter := dnstest.Zone{Name: "reporter.test", Records: []string{`@ TXT "v=spf1 ip4:127.0.0.0/8 -all"`, `_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@reporter.test"`}}
	for _, selector := range []string{"s", "t"} {
		signer, err := dkim.GenerateRSA(2048)
		if err != nil {
			return err
		}
		txt, err := dkim.Record(signer.Public())
		if err != nil {
			return err
		}
		s.keys = append(s.keys, dkim.Key{Domain: dns.MustParse(reporter.Name), Selector: selector, Signer: signer})
		reporter.Records = append(reporter.Records, fmt.Sprintf(`%s._domainkey TXT "%s" "%s"`, selector, txt[:200], txt[200:]))
	}
	var err error
	if s.dns, err = dnstest.Start(reporter, dnstest.Zone{Name: "test"}); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "waxwing-abuse"); err != nil {
		return err
	}
	if err := s.command(ctx, "", "quickstart", "-local", "-dir", s.dir, "you@bench.test"); err != nil {
		return err
	}
	if err := os.WriteFile(s.conf(), fmt.Appendf(nil, serverConfig, s.dns.Addr(), connections), 0o600); err != nil {
		return err
	}
	if err := s.command(ctx, s.password+"\n", "account", "password", "you", "-config", s.conf()); err != nil {
		return err
	}
	s.serve = exec.CommandContext(ctx, filepath.Join(s.o.bin, "waxwing"), "serve", "-config", s.conf())
	s.serve.Stderr = os.Stderr
	if err := s.serve.Start(); err != nil {
		return err
	}
	for _, a := range []string{mxAddr, subAddr, webAddr} {
		if err := waitPort(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// signed is a message with two signatures of its author's domain.
func (s *server) signed(msg []byte) ([]byte, error) {
	field, err := dkim.Sign(msg, s.keys, dkim.SignOptions{})
	return append(field, msg...), err
}

func (s *server) conf() string { return filepath.Join(s.dir, "waxwing.toml") }

func (s *server) command(ctx context.Context, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.o.bin, "waxwing"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("waxwing %s: %w: %s", args[0], err, out)
	}
	return nil
}

func (s *server) stop() {
	if s.serve != nil && s.serve.Process != nil {
		// It may have ended already.
		_ = s.serve.Process.Signal(syscall.SIGTERM)
		_ = s.serve.Wait()
	}
	if s.dns != nil {
		s.dns.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

func waitPort(ctx context.Context, addr string) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nobody listens on %s", addr)
}

// status reads a line of the process's status, in KiB.
func (s *server) status(key string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.serve.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == key+":" {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, errors.New("/proc tells no " + key)
}

// rss is the memory that is resident now, in KiB.
func (s *server) rss() (int64, error) { return s.status("VmRSS") }

// peak is the most since forget was called, in KiB.
func (s *server) peak() (int64, error) { return s.status("VmHWM") }

// forget lets the peak begin anew.
func (s *server) forget() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.serve.Process.Pid), []byte("5"), 0)
}
