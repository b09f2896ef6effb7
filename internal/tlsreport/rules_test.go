package tlsreport

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every rule of TLS reporting has a test that cites it.
func TestEveryRuleIsCited(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile(`RPT-(\d+)`)
	cited := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".txtar") || d.Name() == "rules_test.go":
			return nil
		}
		src, err := os.ReadFile(path)
		for _, m := range rule.FindAllSubmatch(src, -1) {
			cited[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 20; n++ {
		if !cited[fmt.Sprint(n)] {
			t.Errorf("no test cites RPT-%d", n)
		}
	}
}
