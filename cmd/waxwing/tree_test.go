package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSpelled: a flag may have one dash or two; what only looks like one stays as it is.
func TestSpelled(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"queue list -json -limit 5":                            "queue list --json --limit 5",
		"queue list --json --limit=5":                          "queue list --json --limit=5",
		"queue list -domain=a.test":                            "queue list --domain=a.test",
		"queue hold -why -json -everything":                    "queue hold --why -json --everything", // the reason is "-json"
		"queue show -- -json":                                  "queue show -- -json",
		"queue list -h":                                        "queue list -h",
		"lab -v -exit":                                         "lab -v --exit",
		"tlsrpt suppress add a@b.test -days 3":                 "tlsrpt suppress add a@b.test --days 3",
		"help queue list":                                      "queue list --help",
		"sendmail -t -oi -f a@b.test":                          "sendmail -t -oi -f a@b.test", // it reads its own
		"nonsense -json":                                       "nonsense --json",
		"__complete queue list -config x -domain":              "__complete queue list --config x -domain",
		"__completeNoDesc queue list -config x -domain=a":      "__completeNoDesc queue list --config x --domain=a",
		"__complete sendmail -t -":                             "__complete sendmail -t -",
		"account limit joe -messages none -recipients default": "account limit joe --messages none --recipients default",
	} {
		if got := strings.Join(spelled(tree(), strings.Fields(in)), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestParseUse: the line that help shows says how many arguments there are.
func TestParseUse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]usage{
		"count":                                {name: "count"},
		"list [FILTERS]":                       {name: "list"},
		"check [--config FILE]":                {name: "check"},
		"list [ACCOUNT]":                       {name: "list", words: []string{"ACCOUNT"}},
		"add ADDRESS ACCOUNT":                  {name: "add", words: []string{"ADDRESS", "ACCOUNT"}, required: 2},
		"show ID …":                            {name: "show", words: []string{"ID"}, required: 1, several: true},
		"set-tls NEED [ID …]":                  {name: "set-tls", words: []string{"NEED", "ID"}, required: 1, several: true},
		"verify HOST[:PORT]|DOMAIN":            {name: "verify", words: []string{"HOST[:PORT]|DOMAIN"}, required: 1},
		"add NAME --kind KIND …":               {name: "add", words: []string{"NAME"}, required: 1},
		"quickstart ADDRESS --local [--dir D]": {name: "quickstart", words: []string{"ADDRESS"}, required: 1},
	} {
		got := parseUse(line)
		if got.name != want.name || !slices.Equal(got.words, want.words) || got.required != want.required || got.several != want.several {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	u := parseUse("set-tls NEED [ID …]")
	for n, ok := range []bool{false, true, true, true} {
		if err := u.check(make([]string, n)); (err == nil) != ok {
			t.Errorf("%d arguments: %v", n, err)
		}
	}
}

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
		if c := call(t, strings.Fields(args)...); c.code != exitUsage || !strings.Contains(c.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, c, want)
		}
	}
	if c := call(t, "queue", "list", "--zzz"); strings.Contains(c.stderr, "did you mean") {
		t.Errorf("%+v", c)
	}
}

// TestEveryCommandIsToldOf: each command stands in a file of its name, help has a group for
// it, and each has a line that says what it does. What examples show is there.
func TestEveryCommandIsToldOf(t *testing.T) {
	t.Parallel()
	for _, c := range tree().Commands() {
		if c.GroupID == "" {
			t.Errorf("%s is in no group", c.Name())
		}
		if _, err := os.Stat(c.Name() + ".go"); err != nil {
			t.Error(err)
		}
	}
	for _, l := range descend(tree(), nil, true) {
		c, _ := below(tree(), l)
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
