package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/cli"
)

// TestDidYouMean: what is nearly a command, an action or a flag is named.
func TestDidYouMean(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"qeue":              "did you mean queue?",
		"queue lst":         "did you mean list?",
		"queue list --jsno": "did you mean --json?",
		"queue list -jsno":  "did you mean --json?",
		"tlsrpt supress":    "did you mean suppress?",
	} {
		if c := call(t, strings.Fields(args)...); c.code != cli.ExitUsage || !strings.Contains(c.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, c, want)
		}
	}
	if c := call(t, "queue", "list", "--zzz"); strings.Contains(c.stderr, "did you mean") {
		t.Errorf("%+v", c)
	}
}

// TestEveryCommandIsToldOf: each command stands in a file of its name, in the folder of its group
// in help, and each has a line that says what it does. What examples show is there.
func TestEveryCommandIsToldOf(t *testing.T) {
	t.Parallel()
	for _, c := range tree().Commands() {
		if c.GroupID == "" {
			t.Errorf("%s is in no group", c.Name())
		}
		if _, err := os.Stat(filepath.Join(c.GroupID, c.Name()+".go")); err != nil {
			t.Error(err)
		}
	}
	for _, l := range descend(tree(), nil, true) {
		c, _ := cli.Below(tree(), l)
		if c.Short == "" {
			t.Errorf("%v says nothing of itself", l)
		}
		for line := range strings.Lines(c.Example) {
			if why := untrue(strings.TrimPrefix(strings.TrimSpace(line), "waxwing ")); why != "" {
				t.Errorf("%v: %s: %s", l, strings.TrimSpace(line), why)
			}
		}
	}
}
