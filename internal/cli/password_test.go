package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file with a password that everybody can read is not used.
func TestPasswordFileIsForNobodyElse(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "waxwing-password-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte("secret\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir, file fs.FileMode
		open      bool
	}{{0o755, 0o600, false}, {0o755, 0o640, false}, {0o700, 0o644, false}, {0o755, 0o644, true}} {
		if err := os.Chmod(dir, tt.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.file); err != nil {
			t.Fatal(err)
		}
		password, err := firstLine(file)
		if refused := err != nil && strings.Contains(err.Error(), "everybody on this machine can read "+file); refused != tt.open || !tt.open && password != "secret" {
			t.Errorf("mode %o below %o: %q, %v", tt.file, tt.dir, password, err)
		}
	}
}
