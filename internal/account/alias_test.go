package account_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/account"
)

// graph is aliases at l.test, accounts a to d there, and everybody else elsewhere.
func graph(aliases map[string]string) *account.Graph {
	g := &account.Graph{Aliases: map[string]account.Alias{}, Targets: map[string]account.Target{}, Hosted: map[string]bool{}}
	for name, members := range aliases {
		a := account.Alias{Address: name, Members: strings.Fields(members), SenderCopy: true}
		g.Aliases[name] = a
		for _, m := range a.Members {
			local, domain, _ := strings.Cut(m, "@")
			g.Hosted[m] = domain == "l.test"
			switch _, alias := aliases[m]; {
			case alias:
				g.Targets[m] = account.Target{Alias: m, Address: m}
			case g.Hosted[m] && local <= "d":
				g.Targets[m] = account.Target{Account: local, Mailbox: account.Inbox, Address: m}
			}
		}
	}
	return g
}

// TestExpand (ACC-1): chains are followed, loops end, everybody gets the mail once.
func TestExpand(t *testing.T) {
	t.Parallel()
	g := graph(map[string]string{
		"x@l.test": "a@l.test o@else.test y@l.test gone@l.test",
		"y@l.test": "a@l.test b@l.test o@else.test p@else.test x@l.test z@l.test",
		"z@l.test": "z@l.test c@l.test",
	})
	g.Targets["b@l.test"] = account.Target{Account: "b", Address: "*@l.test"} // by the catchall
	e := g.Expand("x@l.test", account.Poster{Account: "a", Address: "a@l.test"})
	if got := e.Inside[1].Address; got != "b@l.test" {
		t.Errorf("b gets it as %s", got)
	}
	var inside []string
	for _, in := range e.Inside {
		inside = append(inside, in.Account)
	}
	if got := fmt.Sprint(inside, e.Outside, e.Missing, e.Spared, e.TooMany); got != "[a b c] [o@else.test p@else.test] [gone@l.test] false false" {
		t.Error(got)
	}
	a := g.Aliases["x@l.test"]
	a.SenderCopy = false
	g.Aliases["x@l.test"] = a
	for from, want := range map[account.Poster]int{{Account: "b"}: 4, {Address: "O@else.test"}: 4, {}: 5, {Account: "d", Address: "d@l.test"}: 5} {
		if e := g.Expand("x@l.test", from); len(e.Inside)+len(e.Outside) != want || e.Spared != (want == 4) {
			t.Errorf("%+v: %+v", from, e)
		}
	}
}

// Over all aliases of three that can be members of each other: Expand ends with each address
// once, and Loop finds a way back if there is one.
func TestExpandSpace(t *testing.T) {
	t.Parallel()
	names := []string{"x@l.test", "y@l.test", "z@l.test"}
	for bits := range 1 << 9 {
		aliases := map[string]string{}
		edges := map[string][]string{}
		for i, from := range names {
			aliases[from] = string(rune('a'+i)) + "@l.test o@else.test"
			for j, to := range names {
				if bits>>(3*i+j)&1 == 1 {
					aliases[from] += " " + to
					edges[from] = append(edges[from], to)
				}
			}
		}
		g := graph(aliases)
		reach := map[string]bool{}
		for next := slices.Clone(edges["x@l.test"]); len(next) > 0; next = next[1:] {
			if !reach[next[0]] {
				reach[next[0]] = true
				next = append(next, edges[next[0]]...)
			}
		}
		loop := g.Loop("x@l.test")
		if (loop != nil) != reach["x@l.test"] || loop != nil && (loop[0] != "x@l.test" || loop[len(loop)-1] != "x@l.test") {
			t.Errorf("%v: loop %v", aliases, loop)
		}
		want := 1
		for _, other := range names[1:] {
			if reach[other] {
				want++
			}
		}
		if e := g.Expand("x@l.test", account.Poster{}); len(e.Inside) != want || len(e.Outside) != 1 {
			t.Errorf("%v: %+v", aliases, e)
		}
	}
}

func TestExpandBound(t *testing.T) {
	t.Parallel()
	all := map[string]string{"x@l.test": ""}
	for i := range 6 {
		name := fmt.Sprintf("y%d@l.test", i)
		all["x@l.test"] += " " + name
		for j := range account.MaxMembers {
			all[name] += fmt.Sprintf(" o%d-%d@else.test", i, j)
		}
	}
	if e := graph(all).Expand("x@l.test", account.Poster{}); !e.TooMany || len(e.Outside) > account.MaxExpanded+1 {
		t.Errorf("%d, %v", len(e.Outside), e.TooMany)
	}
}

// TestAdmit (ACC-1): over who may post and who does.
func TestAdmit(t *testing.T) {
	t.Parallel()
	g := graph(map[string]string{"x@l.test": "a@l.test y@l.test", "y@l.test": "b@l.test o@else.test"})
	member, outside, listed, stranger := account.Poster{Account: "b", Address: "b.else@l.test"}, account.Poster{Address: "O@else.test"}, account.Poster{Address: "boss@Corp.test"}, account.Poster{Address: "eve@evil.test"}
	for _, c := range []struct {
		posting account.Posting
		want    [5]account.Admission // member, outside, listed, stranger, null
	}{
		{account.PostAnyone, [5]account.Admission{}},
		{account.PostMembers, [5]account.Admission{1, 1, 2, 2, 2}},
		{account.PostListed, [5]account.Admission{2, 2, 1, 2, 2}},
	} {
		a := g.Aliases["x@l.test"]
		a.Posting, a.Posters = c.posting, []string{"@corp.test", "secretary@l.test"}
		g.Aliases["x@l.test"] = a
		var got [5]account.Admission
		for i, p := range []account.Poster{member, outside, listed, stranger, {}} {
			got[i] = g.Admit("x@l.test", p)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.posting, got, c.want)
		}
	}
}

// An alias that leads to nobody who takes mail admits nobody.
func TestAdmitClosed(t *testing.T) {
	t.Parallel()
	g := graph(map[string]string{"x@l.test": "gone@l.test y@l.test", "y@l.test": "a@l.test"})
	if got := g.Admit("x@l.test", account.Poster{}); got != account.AdmitAnyone {
		t.Error(got)
	}
	g.Targets["a@l.test"] = account.Target{Account: "a", Refused: true}
	for _, root := range []string{"x@l.test", "y@l.test", "none@l.test"} {
		if got := g.Admit(root, account.Poster{Account: "a"}); got != account.AdmitClosed {
			t.Errorf("%s: %v", root, got)
		}
	}
}

func TestAliasCheck(t *testing.T) {
	t.Parallel()
	many := make([]string, account.MaxMembers+1)
	for _, c := range []struct {
		a  account.Alias
		ok bool
	}{
		{account.Alias{Members: []string{"a@l.test"}, Posting: account.PostAnyone}, true},
		{account.Alias{Members: many[1:], Posting: account.PostMembers}, true},
		{account.Alias{Members: many, Posting: account.PostMembers}, false},
		{account.Alias{Posting: account.PostAnyone}, false},
		{account.Alias{Members: many[1:], Posting: account.PostListed}, false},
		{account.Alias{Members: many[1:], Posting: account.PostListed, Posters: many}, false},
		{account.Alias{Members: many[1:], Posting: account.PostListed, Posters: many[1:]}, true},
		{account.Alias{Members: many[1:], Posting: account.PostMembers, Posters: many[1:]}, false},
	} {
		if err := c.a.Check(); (err == nil) != c.ok {
			t.Errorf("%d members, %s, %d posters: %v", len(c.a.Members), c.a.Posting, len(c.a.Posters), err)
		}
	}
}

// TestLocalRules (ACC-2).
func TestLocalRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		separators, local string
		want              []account.Split
	}{
		{"+", "joe+a+b", []account.Split{{Base: "joe+a", Detail: "b"}, {Base: "joe", Detail: "a+b"}}},
		{"+-", "ann-marie+list", []account.Split{{Base: "ann-marie", Detail: "list"}, {Base: "ann", Detail: "marie+list"}}},
		{"", "joe+a", nil}, {"+", "+joe", nil}, {"+", "joe", nil}, {"+", "joe+", []account.Split{{Base: "joe"}}},
	} {
		if got := (account.LocalRules{Separators: c.separators}).Splits(c.local); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q by %q: %v, want %v", c.local, c.separators, got, c.want)
		}
	}
	for s, ok := range map[string]bool{"": true, "+": true, "+-_=~": true, "++": false, ".": false, "a": false, "ö": false, "+-_=~#": false, "@": false, " ": false} {
		if err := (account.LocalRules{Separators: s}).Check(); (err == nil) != ok {
			t.Errorf("separators %q: %v", s, err)
		}
	}
	for in, want := range map[string]string{"Joe": "Joe", "PostMaster": "postmaster", "JO\u0308": "J\u00d6"} {
		if got := (account.LocalRules{CaseSensitive: true}).Normalize(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
