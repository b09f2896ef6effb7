package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var namedTest = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")

// TestSecurityPage: each test by which docs/operating/security.md holds a promise exists.
func TestSecurityPage(t *testing.T) {
	whole(t)
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "operating", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, m := range namedTest.FindAllStringSubmatch(string(page), -1) {
		missing[m[1]] = true
	}
	if len(missing) < 8 {
		t.Errorf("only %d tests are named: does the test still see them?", len(missing))
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for name := range missing {
			if strings.Contains(string(src), "\nfunc "+name+"(t *testing.T)") {
				delete(missing, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range missing {
		t.Errorf("docs/operating/security.md names %s, which does not exist", name)
	}
}
