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

// rules are the numbered rules of behaviour that the code keeps, by area, with
// the highest number of each. A test that shows one cites it.
var rules = map[string]int{
	"DNS": 8, "STS": 11, "DANE": 6, // lookups, MTA-STS, DANE
	"DST": 4, "POL": 9, "SES": 12, // destination, decision, session
	"QUE": 11, "TRA": 5, // queue, transports and routes
	"RPT": 20, "CMP": 4, // TLS reporting, companion
	"INB": 7, // receiving
}

var (
	citation = regexp.MustCompile(`\b([A-Z]{3,4})-(\d+)\b`)
	span     = regexp.MustCompile(`\b([A-Z]{3,4})-(\d+) to (?:[A-Z]{3,4}-)?(\d+)\b`)
)

// TestRulesAreCited lists the rules that no test cites.
func TestRulesAreCited(t *testing.T) {
	t.Parallel()
	cited := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if name == "rules_test.go" || !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, ".txtar") &&
			!strings.Contains(filepath.ToSlash(path), "internal/lab/") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		cite(cited, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for area, n := range rules {
		for i := 1; i <= n; i++ {
			rule := fmt.Sprintf("%s-%d", area, i)
			if !cited[rule] {
				missing = append(missing, rule)
			}
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("no test cites %s", strings.Join(missing, ", "))
	}
}

// cite notes the rules that text names, those of "POL-1 to POL-9" one by one.
func cite(cited map[string]bool, text string) {
	for _, m := range citation.FindAllString(text, -1) {
		cited[m] = true
	}
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		from, _ := strconv.Atoi(m[2])
		to, _ := strconv.Atoi(m[3])
		for i := from; i <= min(to, from+50); i++ {
			cited[fmt.Sprintf("%s-%d", m[1], i)] = true
		}
	}
}
