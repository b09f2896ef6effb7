package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
			if why := untrue(t, m[1]); why != "" {
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
func untrue(t *testing.T, line string) string {
	line, _, _ = strings.Cut(line, "  ") // behind two spaces stands what it does
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	if words[0] == "sendmail" || words[0] == "help" || strings.HasSuffix(words[0], "…") {
		return ""
	}
	c, ok := commandNamed(strings.Trim(words[0], ".,:;"))
	if !ok {
		return "there is no such command"
	}
	call0 := []string{c.name}
	for _, w := range words[1:] {
		if len(c.actions) == 0 {
			break
		}
		a, ok := c.action([]string{strings.Trim(w, ".,:;")})
		if !ok {
			if w == strings.ToUpper(w) || strings.HasPrefix(w, "-") || strings.ContainsAny(w, "|…") {
				break // a placeholder, or several actions
			}
			return "there is no action " + w
		}
		call0 = append(call0, a.verb)
		if below, ok := commandNamed(c.name + " " + a.verb); ok {
			c = below
			continue
		}
		break
	}
	help := call(t, append(call0, "-h")...).stdout
	for _, f := range flagRe.FindAllStringSubmatch(line, -1) {
		if f[1] != "h" && f[1] != "help" && !strings.Contains(help, "  -"+f[1]) {
			return "there is no flag -" + f[1]
		}
	}
	return ""
}

func TestUntrue(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"queue list -all":                     "",
		"queue closed          what is down":  "",
		"queue nonsense ID":                   "no action",
		"nonsense":                            "no such command",
		"dkim add example.org -xyz":           "no flag -xyz",
		"queue count -domain a.test":          "no flag -domain",
		"tlsrpt suppress add -days N ADDRESS": "",
		"tlsrpt suppress lift ADDRESS":        "no action",
		"explain --connect a@b.test":          "",
		"lab -exit -colour":                   "no flag -colour",
	} {
		if got := untrue(t, line); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
