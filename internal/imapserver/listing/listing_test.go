package listing

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// can is a match as a naive reading has it: can[i], that the pattern so far matches name[:i].
func can(pattern, name string) bool {
	can := make([]bool, len(name)+1)
	can[0] = true
	for p := range len(pattern) {
		c := pattern[p]
		if c == '*' || c == '%' {
			for i := range len(name) {
				can[i+1] = can[i+1] || can[i] && (c == '*' || name[i] != '/')
			}
			continue
		}
		for i := len(name) - 1; i >= 0; i-- {
			can[i+1] = can[i] && name[i] == c
		}
		can[0] = false
	}
	return can[len(name)]
}

func FuzzMatch(f *testing.F) {
	f.Add("*a%b*", "xa/yb")
	f.Add(strings.Repeat("*%", 100), strings.Repeat("a/", 100))
	f.Add(strings.Repeat("%/", 100)+"%", strings.Repeat("a/", 100)+"b")
	f.Add(strings.Repeat("a", 64)+"%b", strings.Repeat("a", 200)+"b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 2000 || len(name) > maxName || strings.EqualFold(pattern[:min(5, len(pattern))], "INBOX") {
			t.Skip()
		}
		m := newMatcher([]string{pattern})
		for range 2 { // the second time, what is left of the first must not matter
			if got, want := m.any(name), can(pattern, name); got != want {
				t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
			}
		}
	})
}

// As many patterns as a LIST can have are tried with as many names as an account can have in a moment, whatever they are
// made of (IMP-3).
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	level := strings.Repeat("a", 250)
	var all Account
	for i := range 5000 {
		all.Boxes = append(all.Boxes, mailbox.Box{Name: fmt.Sprintf("%s%04d", level, i), Subscribed: true})
	}
	var patterns []string
	for range 100 {
		patterns = append(patterns, strings.Repeat("*a", MaxPatterns/200)+"b")
	}
	from := time.Now()
	if got := List(all, patterns, []string{"SUBSCRIBED", "RECURSIVEMATCH"}); len(got) > 0 {
		t.Errorf("%d names", len(got))
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
