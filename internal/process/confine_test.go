package process_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/config"
	"waxwing/internal/process"
)

// OPS-2: a server that is confined reads and writes what is its own, and nothing else; so
// does what takes it over.
func TestConfine(t *testing.T) {
	if dir := os.Getenv("CONFINE_IN"); dir != "" {
		confined(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"data", "etc", "certs", "archive", "other"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, d, "file"), nil, 0o600))
	}
	must(t, os.Symlink(filepath.Join(dir, "archive", "file"), filepath.Join(dir, "certs", "link")))
	cmd := exec.Command(os.Args[0], "-test.run=^TestConfine$", "-test.v")
	cmd.Env = append(os.Environ(), "CONFINE_IN="+dir)
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v: %s", err, out)
	case strings.Contains(string(out), "no Landlock"):
		t.Skip("this kernel has no Landlock")
	}
}

// confined is what is tried in a process of its own.
func confined(t *testing.T, dir string) {
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	cfg := &config.Config{DataDir: at("data"), TLS: config.TLS{CertFile: at("certs", "link")}}
	rooms := process.RoomsOf(cfg, at("etc", "waxwing.toml"), os.Args[0])
	is, err := process.Confine(rooms)
	must(t, err)
	if !is {
		t.Skip("no Landlock")
	}
	again, err := process.Confine(rooms) // as the next program does
	if !again || err != nil {
		t.Errorf("confined again: %v, %v", again, err)
	}
	for _, path := range []string{at("data", "file"), at("etc", "file"), at("certs", "file"), at("certs", "link"), "/etc/passwd", "/proc/self/stat", os.Args[0]} {
		if _, err := os.ReadFile(path); err != nil {
			t.Errorf("its own: %v", err)
		}
	}
	for _, path := range []string{at("other", "file"), "/bin/sh"} {
		if _, err := os.ReadFile(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("read %s: %v", path, err)
		}
	}
	must(t, os.WriteFile(at("data", "new"), nil, 0o600))
	must(t, os.Rename(at("data", "new"), at("data", "newer")))
	must(t, os.Mkdir(at("data", "dir"), 0o700))
	for _, path := range []string{at("etc", "new"), at("certs", "new"), at("other", "new"), at("new"), "/etc/waxwing-test-of-landlock"} {
		if err := os.WriteFile(path, nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("write %s: %v", path, err)
		}
	}
	l, err := net.Listen("unix", at("data", "sock"))
	must(t, err)
	l.Close()
	if err := exec.Command("/bin/sh", "-c", "true").Run(); err == nil {
		t.Error("another program was run")
	}
	if err := exec.Command(os.Args[0], "-test.run=^$").Run(); err != nil {
		t.Errorf("the program itself: %v", err)
	}
}
