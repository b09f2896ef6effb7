package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// caseRow is a line of docs/cases.md.
var caseRow = regexp.MustCompile("(?m)^\\| \\[[^]]+\\]\\(\\.\\./([^)]+)\\) \\| `(Test\\w+)` in `([^`]+)` \\|$")

// TestCasesAreHeld: every input that failed in use is there, and so is the test that
// reads it, by its name or with all of its folder.
func TestCasesAreHeld(t *testing.T) {
	whole(t)
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "cases.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := caseRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) < 28 || len(rows) != strings.Count(string(page), "\n| [") {
		t.Errorf("%d cases were read", len(rows))
	}
	for _, r := range rows {
		file, name, test := r[1], r[2], r[3]
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("%v", err)
		}
		src, err := os.ReadFile(filepath.Join(root, test))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		folder := filepath.Base(filepath.Dir(file)) + "/"
		if !strings.Contains(string(src), "func "+name+"(") || !strings.Contains(string(src), filepath.Base(file)) && !strings.Contains(string(src), folder) {
			t.Errorf("%s: %s in %s does not read it", file, name, test)
		}
	}
}
