package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// OPS-2: a companion is kept to its own files, and so without new privileges, unless it
// hands its reports to a program: Postfix's sendmail calls one with set-group-ID, which
// gets nowhere from a confined process.
func TestCompanionOfAProgram(t *testing.T) {
	t.Parallel()
	if v, err := ll.LandlockGetABIVersion(); err != nil || v < 1 {
		t.Skip("this kernel has no Landlock")
	}
	for relay, confined := range map[string]bool{"127.0.0.1:25": true, "": true, "/usr/sbin/sendmail": false} {
		k := &killed{t: t, dir: t.TempDir()}
		text := fmt.Sprintf("hostname = \"mx.example.org\"\ndata_dir = \"data\"\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n"+
			"[companion]\ndatagrams = %q\nreport_relay = %q\n", filepath.Join(k.dir, "tlsrpt.sock"), relay)
		if err := os.WriteFile(filepath.Join(k.dir, "waxwing.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.command("", "store", "init")
		cmd, log := k.waxwing("companion", "--config", "waxwing.toml"), &lockedBuffer{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		said(t, log, "msg=serving", 1)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^NoNewPrivs:\t(\d)$`).FindSubmatch(status)
		if m == nil || (string(m[1]) == "1") != confined {
			t.Errorf("with report_relay = %q: %s, confined should be %v:\n%s", relay, m, confined, log.String())
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("ended with %v: %s", err, log.String())
		}
	}
}
