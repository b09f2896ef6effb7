package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"waxwing/internal/cli"
)

var (
	// typed is a call of the program as pages and messages show it: at the beginning of a
	// line of code, or in quotes of either kind.
	typed  = regexp.MustCompile("(?m)(?:^(?:    )?|`|\\\\\")(?:\\.\\./)?waxwing ([a-z][^`\"\n\\\\]*)")
	flagRe = regexp.MustCompile(`(?:^|[ \[])--?([a-z][a-z-]*)`)
)

// TestDocsShowWhatThereIs: each command, action and flag that the pages and the
// program's own messages name is there. What they show can be typed.
func TestDocsShowWhatThereIs(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		page := strings.HasSuffix(path, ".md")
		if d.IsDir() || !page && (!strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go")) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range typed.FindAllStringSubmatch(string(b), -1) {
			seen++
			if why := untrue(m[1]); why != "" {
				t.Errorf("%s: \"waxwing %s\": %s", path, m[1], why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 150 {
		t.Errorf("only %d calls were found: does the test still see them?", seen)
	}
}

// untrue is what is not there of a call; "": all of it is.
func untrue(line string) string {
	line, _, _ = strings.Cut(line, "  ") // behind two spaces stands what it does
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	if words[0] == "sendmail" || words[0] == "help" || strings.HasSuffix(words[0], "…") {
		return ""
	}
	for i, w := range words {
		words[i] = strings.Trim(w, ".,:;")
	}
	c, rest := cli.Below(tree(), words)
	switch {
	case !c.HasParent():
		return "there is no such command"
	case c.HasSubCommands() && len(rest) > 0:
		if w := rest[0]; w != strings.ToUpper(w) && !strings.HasPrefix(w, "-") && !strings.ContainsAny(w, "|…/") { // a placeholder, or several actions
			return "there is no action " + w
		}
	}
	for _, f := range flagRe.FindAllStringSubmatch(line, -1) {
		switch long := strings.Contains(f[0], "--"); {
		case f[1] == "h", f[1] == "help", !long && len(f[1]) == 1 && c.Flags().ShorthandLookup(f[1]) != nil:
		case c.Flags().Lookup(f[1]) == nil:
			return "there is no flag --" + f[1]
		case !long:
			return "flags have two dashes: -" + f[1]
		}
	}
	return ""
}

func TestUntrue(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"queue list --all":                     "",
		"queue list -all":                      "two dashes",
		"queue closed          what is down":   "",
		"queue nonsense ID":                    "no action",
		"nonsense":                             "no such command",
		"dkim add example.org --xyz":           "no flag --xyz",
		"queue count --domain a.test":          "no flag --domain",
		"tlsrpt suppress add --days N ADDRESS": "",
		"tlsrpt suppress lift ADDRESS":         "no action",
		"explain --connect a@b.test":           "",
		"lab --exit --colour":                  "no flag --colour",
		"lab -v -x":                            "no flag --x",
	} {
		if got := untrue(line); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
