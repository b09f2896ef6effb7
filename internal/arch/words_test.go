package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
)

// reasonWord finds reason words where they are made: constants, and fields of
// failures and results.
var reasonWord = regexp.MustCompile(`(?:\bdelivery\.Reason\s*=\s*|\bWord:\s*|\bReason:\s*|\bword\w+\s*=\s*|\bdelivery\.(?:Deferred|Failed), )"([a-z][a-z0-9-]*)"`)

// TestReasonsAreExplained: every reason word of the program has a meaning in
// package policy, so that explain, queue and reports never show a bare word.
func TestReasonsAreExplained(t *testing.T) {
	t.Parallel()
	missing := map[string]string{}
	count := 0
	for _, dir := range []string{"session", "transport", "queue", "destination", "policy", "stspolicy"} {
		root := filepath.Join("..", dir)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range reasonWord.FindAllStringSubmatch(string(b), -1) {
				count++
				if meaning, _ := policy.Explain(delivery.Reason(m[1])); meaning == "" {
					missing[m[1]] = path
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count < 50 {
		t.Errorf("only %d reason words were found: does the test still see them?", count)
	}
	var list []string
	for w, path := range missing {
		list = append(list, w+" ("+path+")")
	}
	slices.Sort(list)
	for _, w := range list {
		t.Errorf("policy.Explain does not know the word %s", w)
	}
}
