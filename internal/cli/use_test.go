package cli

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// small is a tree of a few commands.
func small() *cobra.Command {
	p := &Program{}
	verb := func(use string, flags ...string) Verb {
		return Verb{Use: use, Short: "do it", JSON: true, Run: func(context.Context, []string) error { return nil }, Flags: func(fs *pflag.FlagSet) {
			for _, f := range flags {
				fs.String(f, "", "its value")
			}
		}}
	}
	lab := verb("lab")
	lab.Flags = func(fs *pflag.FlagSet) {
		fs.BoolP("verbose", "v", false, "")
		fs.Bool("exit", false, "")
	}
	hold := verb("hold [ID …]", "why")
	own := &cobra.Command{Use: "sendmail", DisableFlagParsing: true, Run: func(*cobra.Command, []string) {}}
	suppress := p.Noun("suppress", "it", verb("add ADDRESS", "days"))
	tlsrpt := p.Noun("tlsrpt", "it")
	tlsrpt.AddCommand(suppress)
	return p.Root("waxwing", "a mail server", Group{ID: "all", Title: "All:", Commands: []*cobra.Command{
		p.Noun("queue", "it", verb("list [FILTERS]", "limit", "domain"), hold, verb("show ID …")),
		p.Noun("account", "it", verb("limit ACCOUNT", "messages", "recipients")), tlsrpt, p.Command(lab), own}})
}

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
		if got := strings.Join(spelled(small(), strings.Fields(in)), " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestParseUse: the line that help shows says how many arguments there are.
func TestParseUse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Use{
		"count":                                {Name: "count"},
		"list [FILTERS]":                       {Name: "list"},
		"check [--config FILE]":                {Name: "check"},
		"list [ACCOUNT]":                       {Name: "list", Words: []string{"ACCOUNT"}},
		"add ADDRESS ACCOUNT":                  {Name: "add", Words: []string{"ADDRESS", "ACCOUNT"}, Required: 2},
		"show ID …":                            {Name: "show", Words: []string{"ID"}, Required: 1, Several: true},
		"set-tls NEED [ID …]":                  {Name: "set-tls", Words: []string{"NEED", "ID"}, Required: 1, Several: true},
		"verify HOST[:PORT]|DOMAIN":            {Name: "verify", Words: []string{"HOST[:PORT]|DOMAIN"}, Required: 1},
		"add NAME --kind KIND …":               {Name: "add", Words: []string{"NAME"}, Required: 1},
		"quickstart ADDRESS --local [--dir D]": {Name: "quickstart", Words: []string{"ADDRESS"}, Required: 1},
	} {
		got := ParseUse(line)
		if got.Name != want.Name || !slices.Equal(got.Words, want.Words) || got.Required != want.Required || got.Several != want.Several {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	u := ParseUse("set-tls NEED [ID …]")
	for n, ok := range []bool{false, true, true, true} {
		if err := u.check(make([]string, n)); (err == nil) != ok {
			t.Errorf("%d arguments: %v", n, err)
		}
	}
}
