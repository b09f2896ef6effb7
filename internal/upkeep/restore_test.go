package upkeep

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/backup"
	"waxwing/internal/config"
	"waxwing/internal/setup"
)

// TestRestoreElsewhere (OPS-3): whoever can write to a backup has not root write where that
// one likes: of a configuration that names other places, only it is restored at first.
func TestRestoreElsewhere(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("others can write nowhere else")
	}
	dir := t.TempDir()
	evil := filepath.Join(dir, "cron.d", "evil")
	from := filepath.Join(dir, "from.toml")
	text := fmt.Sprintf("hostname = \"mx.example.org\"\ndata_dir = \"data\"\n\n[tls]\ncert_file = %q\nkey_file = %q\n\n[[listen]]\naddress = \"127.0.0.1:2525\"\nkind = \"mx\"\n", evil, evil)
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := &backup.Set{Dir: filepath.Join(dir, "set"), Now: time.Now}
	made, err := set.Make(t.Context(), backup.Source{Snapshot: func(_ context.Context, w io.Writer) error { _, err := w.Write([]byte("x")); return err },
		Files: []backup.Origin{{Role: backup.Config, Path: from}, {Role: backup.Named, Name: "tls.cert_file", Path: from}}})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "etc", "waxwing.toml")
	restore := func() error {
		return (&Restoring{Config: to, Set: set, Backup: made.Manifest, Stderr: io.Discard}).Run(t.Context())
	}
	if err := restore(); err == nil || !strings.Contains(err.Error(), evil) || !strings.Contains(err.Error(), "run this again") {
		t.Errorf("the first time: %v", err)
	}
	if _, err := os.Lstat(evil); err == nil {
		t.Error("root has written where a backup says")
	}
	if err := restore(); err == nil || strings.Contains(err.Error(), "run this again") { // its store is none
		t.Errorf("the second time: %v", err)
	}
	if _, err := os.Lstat(evil); err != nil {
		t.Error(err)
	}
}

// TestBesideIsNotOwn (OPS-3): beside a configuration lies what is the server's only if the
// directory is: of one in /etc, all of /etc would be.
func TestBesideIsNotOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dir    func(dir string) error
		wanted bool // that it is restored at once
	}{
		"not there": {func(string) error { return nil }, true},
		"empty":     {func(dir string) error { return os.Mkdir(dir, 0o755) }, true},
		"of others": {func(dir string) error { return os.MkdirAll(filepath.Join(dir, "cron.d"), 0o755) }, false},
	} {
		dir := filepath.Join(t.TempDir(), "etc")
		if err := c.dir(dir); err != nil {
			t.Fatal(err)
		}
		r := &Restoring{Config: filepath.Join(dir, "waxwing.toml"), own: alone(dir), Backup: &backup.Manifest{Files: []backup.File{{Role: backup.Config}}}, cfg: &config.Config{DataDir: filepath.Join(dir, "cron.d")}}
		if got := r.away(); (len(got) == 0) != c.wanted {
			t.Errorf("%s: elsewhere is %v", name, got)
		}
	}
	if !alone(setup.SystemDir) {
		t.Error("the directory of a server of this machine is none")
	}
}
