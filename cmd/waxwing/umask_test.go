package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// All that the program makes in its directories is for its owner alone, whatever the
// umask lets others have: configuration, keys, store, spool, socket, profile.
func TestFilesAreForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(args ...string) *exec.Cmd { // by a shell that takes nothing away from anybody
		cmd := exec.Command("sh", append([]string{"-c", `umask 0; exec "$0" "$@"`, os.Args[0]}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "WAXWING_RUN=1")
		return cmd
	}
	if out, err := open("quickstart", "-local", "you@example.test").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	serve := open("serve", "-cpuprofile", "profile")
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	look := func() {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) || path == dir {
				return nil // gone meanwhile
			}
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err != nil {
				return nil // gone meanwhile
			}
			seen[d.Name()] = true
			if fi.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: mode %v", path, fi.Mode())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "data", "spool")); err == nil {
			// The socket is closed a moment after it is made.
			if fi, err := os.Stat(filepath.Join(dir, "data", "control.sock")); err == nil && fi.Mode().Perm() == 0o600 {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatal("the server does not start")
		}
	}
	look()
	_ = serve.Process.Signal(os.Interrupt)
	if err := serve.Wait(); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	look()
	for _, want := range []string{"waxwing.toml", "data", "waxwing.db", "waxwing.db-wal", "waxwing.db-shm", "tls", "host.key", "spool", "control.sock", "profile"} {
		if !seen[want] {
			t.Errorf("%s was not looked at: %v", want, seen)
		}
	}
}
