package server

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
)

// Long messages come in through a file of the data directory, without a name: a /tmp
// may be memory, and is no place for mail.
func TestLongMessagesAreSpooledInDataDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("open files are looked at in /proc, which only Linux has")
	}
	cfg := parse(t, config.MX)
	s := run(t, cfg)
	spool := filepath.Join(cfg.DataDir, "spool")
	if fi, err := os.Stat(spool); err != nil || fi.Mode().Perm() != 0o700 {
		t.Fatalf("the spool: %v, %v", fi, err)
	}
	p := dial(t, s.Addr(config.MX))
	p.say("", "220")
	p.say("EHLO client.test", "250")
	p.say("MAIL FROM:<>", "250")
	p.say("RCPT TO:<you@example.test>", "250")
	p.say("DATA", "354")
	line := strings.Repeat("x", 98)
	text := "Subject: long\r\n\r\n" + strings.Repeat(line+"\r\n", 30_000)
	if _, err := p.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	found := func() bool {
		files, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, spool+"/") && strings.HasSuffix(to, "(deleted)") {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(2 * time.Minute); !found(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no file of the spool is open")
		}
	}
	p.say(".", "250")
	left, err := os.ReadDir(spool)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
