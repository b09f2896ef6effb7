package listing

import (
	"strings"
	"testing"

	"waxwing/internal/mailbox"
)

// written shows names: with "-" where there is no mailbox, "+" where some are below, "!" where CHILDINFO is told.
func written(names []Name) string {
	var out []string
	for _, n := range names {
		s := n.Name
		if n.Box == nil {
			s = "-" + s
		}
		if n.Below {
			s += "+"
		}
		if n.Child {
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func boxes() Account {
	return Account{Subscribed: []string{"gone/away", "old"}, Boxes: []mailbox.Box{
		{Name: "INBOX", Subscribed: true}, {Name: "Sent", Use: mailbox.UseSent, Subscribed: true}, {Name: "a"}, {Name: "a/b", Subscribed: true},
		{Name: "a/b/c"}, {Name: "x/y"}, // x was deleted
	}}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ patterns, by, want string }{
		{"*", "", "INBOX Sent a+ a/b+ a/b/c x/y"},
		{"%", "", "INBOX Sent a+ -x+"},
		{"%/%", "", "a/b+ x/y"},
		{"inbox", "", "INBOX"},
		{"a*", "", "a+ a/b+ a/b/c"},
		{"*c", "", "a/b/c"},
		{"a/%/c", "", "a/b/c"},
		{"nothing", "", ""},
		{"*", "SUBSCRIBED", "INBOX Sent a/b+ -gone/away -old"},
		{"%", "SUBSCRIBED", "INBOX Sent -old"},
		{"%", "SUBSCRIBED RECURSIVEMATCH", "INBOX Sent a+! -gone! -old"},
		{"*", "SPECIAL-USE", "Sent"},
		{"INBOX Sent", "", "INBOX Sent"},
	} {
		if got := written(List(boxes(), strings.Fields(tt.patterns), strings.Fields(tt.by))); got != tt.want {
			t.Errorf("LIST (%s) %s: %s, want %s", tt.by, tt.patterns, got, tt.want)
		}
	}
	for patterns, want := range map[string]string{"*": "INBOX Sent a/b -gone/away -old", "%": "INBOX Sent -a -gone -old", "a/%": "a/b"} {
		if got := written(Subscribed(boxes(), strings.Fields(patterns))); got != want {
			t.Errorf("LSUB %s: %s, want %s", patterns, got, want)
		}
	}
}

// A pattern that is all wildcards costs no more than its length times that of the name.
func FuzzMatch(f *testing.F) {
	f.Add("*a%b*", "xa/yb")
	f.Add(strings.Repeat("*%", 100), strings.Repeat("a/", 100))
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 2000 || len(name) > 2000 {
			t.Skip()
		}
		got := match(pattern, name)
		if got && !match("*", name) {
			t.Fatal("* matches all")
		}
		if match(pattern, name) && !match(strings.ReplaceAll(pattern, "%", "*"), name) {
			t.Fatal("* matches what % does")
		}
		if !strings.ContainsAny(pattern, "*%") && got != (pattern == name) {
			t.Fatal("without wildcards, a name is itself")
		}
	})
}
