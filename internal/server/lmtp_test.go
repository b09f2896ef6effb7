package server

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"waxwing/internal/config"
)

// INB-14: LMTP over a unix socket of the mode that is set, without TLS; the mail arrives, each
// recipient with a reply of its own.
func TestLMTPSocket(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	dir, err := os.MkdirTemp("", "lmtp") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	cfg.Listen = append(cfg.Listen, config.Listen{Kind: config.LMTP, Socket: path, SocketMode: "0600"})
	s := run(t, cfg)
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	p := &peer{t, c, bufio.NewReader(c)}
	for _, d := range []struct{ line, want string }{
		{"", "220"}, {"LHLO here", "250"}, {"STARTTLS", "5"}, {"MAIL FROM:<a@x.test>", "250"}, {"RCPT TO:<you@example.test>", "250"}, {"RCPT TO:<nobody@example.test>", "550"}, {"DATA", "354"},
		{"Subject: hi\r\n\r\nhi\r\n.", "250"}, {"QUIT", "221"},
	} {
		p.say(d.line, d.want)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left")
	}
}
