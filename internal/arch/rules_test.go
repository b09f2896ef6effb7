package arch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	definition = regexp.MustCompile(`(?m)^### ([A-Z]{3,4}-\d+): \S`)
	citation   = regexp.MustCompile(`\b([A-Z]{3,4})-(\d+)\b`)
	span       = regexp.MustCompile(`\b([A-Z]{3,4})-(\d+) to (?:[A-Z]{3,4}-)?(\d+)\b`)
)

// standards are what looks like a rule's number and is a name that others gave.
var standards = map[string]bool{"SHA": true, "UTF": true, "ISO": true, "CRC": true, "RFC": true, "ECMA": true}

// definedRules are the rules of docs/rules with the page that defines each.
func definedRules(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "rules", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages of rules: %v", err)
	}
	defined := map[string]string{}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range definition.FindAllStringSubmatch(string(b), -1) {
			if other := defined[m[1]]; other != "" {
				t.Errorf("%s is defined in %s and in %s", m[1], other, page)
			}
			defined[m[1]] = page
		}
	}
	return defined
}

// citedRules are the rules that the tree's files name, with one file of each:
// everywhere, and in tests and lab stories alone.
func citedRules(t *testing.T) (anywhere, inTests map[string]string) {
	t.Helper()
	anywhere, inTests = map[string]string{}, map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slash, name := filepath.ToSlash(path), d.Name()
		if d.IsDir() {
			if path != root && strings.HasPrefix(name, ".") || strings.HasSuffix(slash, "docs/rules") {
				return filepath.SkipDir
			}
			return nil
		}
		test := strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".txtar") || strings.Contains(slash, "internal/lab/")
		switch ext := filepath.Ext(name); {
		case name == "rules_test.go":
			return nil
		case !test && ext != ".go" && ext != ".md" && ext != ".sql" && ext != ".sh":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, rule := range cited(string(b)) {
			if area, _, _ := strings.Cut(rule, "-"); standards[area] {
				continue
			}
			anywhere[rule] = path
			if test {
				inTests[rule] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return anywhere, inTests
}

// TestRules: what is cited is defined in docs/rules, and what is defined there
// is cited by a test.
func TestRules(t *testing.T) {
	whole(t)
	t.Parallel()
	defined := definedRules(t)
	if len(defined) < 100 {
		t.Errorf("only %d rules were found in docs/rules: does the test still see them?", len(defined))
	}
	anywhere, inTests := citedRules(t)
	for _, rule := range sortedKeys(anywhere) {
		if defined[rule] == "" {
			t.Errorf("%s cites %s, which no page of docs/rules defines", anywhere[rule], rule)
		}
	}
	for _, rule := range sortedKeys(defined) {
		if inTests[rule] == "" {
			t.Errorf("%s defines %s, which no test cites", defined[rule], rule)
		}
	}
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// cited are the rules that text names, those of "POL-1 to POL-9" one by one.
func cited(text string) []string {
	out := citation.FindAllString(text, -1)
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		from, _ := strconv.Atoi(m[2])
		to, _ := strconv.Atoi(m[3])
		for i := from; i <= min(to, from+50); i++ {
			out = append(out, fmt.Sprintf("%s-%d", m[1], i))
		}
	}
	return out
}
