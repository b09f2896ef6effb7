package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"waxwing/internal/config"
)

// OPS-1: who logs in an area takes it from the closed set of config, so that it has a level
// that can be set, and each area of the set is somebody's.
func TestLogAreas(t *testing.T) {
	whole(t)
	t.Parallel()
	src, err := os.ReadFile(filepath.Join("..", "config", "logarea.go"))
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\t(Log\w+) +LogArea = "`).FindAllStringSubmatch(string(src), -1)
	if len(constants) != len(config.LogAreas()) || len(constants) < 20 {
		t.Errorf("%d constants and %d areas in the table", len(constants), len(config.LogAreas()))
	}
	files, err := filepath.Glob(filepath.Join("..", "server", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"LogServer": true}
	call := regexp.MustCompile(`\.area\(([^)]*)\)`)
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(b), -1) {
			name, ok := strings.CutPrefix(m[1], "config.")
			if !ok {
				t.Errorf("%s: the area %s is none of internal/config/logarea.go", path, m[1])
			}
			used[name] = true
		}
	}
	for _, c := range constants {
		if !used[c[1]] {
			t.Errorf("nobody logs in the area %s", c[1])
		}
	}
}
