package route

import (
	"slices"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

func pat(s string) Pattern {
	if s == "" {
		return Pattern{}
	}
	p, err := ParsePattern(s)
	if err != nil {
		panic(err)
	}
	return p
}

func domain(s string) delivery.RecipientDomain {
	d, err := delivery.ParseRecipientDomain(s)
	if err != nil {
		panic(err)
	}
	return d
}

func name(s string) dns.Name {
	if s == "" {
		return dns.Name{}
	}
	return dns.MustParse(s)
}

func needed(n delivery.TLSNeed) *delivery.TLSNeed { return &n }

// The values of each thing that a choice depends on.
var (
	someScopes = []struct {
		scope Scope
		owner string
	}{{OfAccount, "ann"}, {OfAccount, "bob"}, {OfDomain, "a.test"}, {OfDomain, "b.test"}, {OfServer, ""}}
	somePatterns = []string{"", "a.test", ".a.test", "sub.a.test", "b.test"}
	someNeeds    = []*delivery.TLSNeed{nil, needed(delivery.FollowPolicy), needed(delivery.RequireTLS), needed(delivery.TLSOptional)}
	someDomains  = []string{"", "a.test", "sub.a.test", "xa.test", "b.test"} // "" is the null sender
	someTo       = []string{"[192.0.2.1]", "a.test", "sub.a.test", "xa.test", "b.test"}
	someCounts   = []int{0, 1, 2}
)

func eachRule(fn func(Rule)) {
	for _, s := range someScopes {
		for _, to := range somePatterns {
			for _, from := range somePatterns {
				for _, n := range someCounts {
					for _, need := range someNeeds {
						fn(Rule{ID: 1, Scope: s.scope, Owner: s.owner, Recipient: pat(to), Sender: pat(from), MinAttempts: n, Need: need, Transport: "t"})
					}
				}
			}
		}
	}
}

func eachSubject(fn func(Subject)) {
	for _, account := range []string{"", "ann", "bob"} {
		for _, from := range someDomains {
			for _, to := range someTo {
				for _, n := range someCounts {
					for need := delivery.FollowPolicy; need <= delivery.TLSOptional; need++ {
						fn(Subject{Account: account, Sender: name(from), Recipient: domain(to), Attempts: n, Need: need})
					}
				}
			}
		}
	}
}

// matches says the same as Mismatch in another way: on text.
func matches(r Rule, s Subject) bool {
	fits := func(p, d string) bool {
		switch {
		case p == "":
			return true
		case d == "":
			return false
		case strings.HasPrefix(p, "."):
			return strings.HasSuffix("."+d, p)
		}
		return d == p
	}
	owner := map[Scope]string{OfAccount: s.Account, OfDomain: s.Sender.ASCII(), OfServer: ""}[r.Scope]
	return owner == r.Owner && (r.Scope == OfServer || owner != "") && fits(r.Recipient.String(), s.Recipient.Name.ASCII()) &&
		fits(r.Sender.String(), s.Sender.ASCII()) && s.Attempts >= r.MinAttempts && (r.Need == nil || *r.Need == s.Need)
}

// TRA-4 over the whole space of one rule and every subject: 1,500 rules, 675 subjects.
func TestWholeSpaceOfOneRule(t *testing.T) {
	t.Parallel()
	var subjects []Subject
	eachSubject(func(s Subject) { subjects = append(subjects, s) })
	rules, hits := 0, 0
	eachRule(func(r Rule) {
		rules++
		if err := r.Check(); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		for _, s := range subjects {
			got := Choose([]Rule{r}, s)
			want := matches(r, s)
			if (got.Rule != nil) != want || (Mismatch(&r, s) == "") != want || got.Transport != map[bool]string{true: "t", false: DirectName}[want] || got.Why == "" {
				t.Fatalf("%s\nfor %+v: %+v, want a match: %v", &r, s, got, want)
			}
			if want {
				hits++
			}
		}
	})
	if rules != 1500 || len(subjects) != 675 || hits == 0 {
		t.Errorf("%d rules, %d subjects, %d hits", rules, len(subjects), hits)
	}
}

// A message's own transport wins over every rule.
func TestOwnTransportWins(t *testing.T) {
	t.Parallel()
	eachRule(func(r Rule) {
		s := Subject{Account: r.Owner, Own: "mine", Recipient: domain("a.test"), Sender: name("a.test"), Attempts: 9}
		if got := Choose([]Rule{r}, s); got.Transport != "mine" || got.Rule != nil {
			t.Fatalf("%s: %+v", &r, got)
		}
	})
}

// Account before domain before server, then by position, then by ID; the order
// of the list does not matter.
func TestFirstMatchWins(t *testing.T) {
	t.Parallel()
	s := Subject{Account: "ann", Sender: name("a.test"), Recipient: domain("b.test")}
	ordered := []Rule{
		{ID: 9, Scope: OfAccount, Owner: "bob", Transport: "not-hers"},
		{ID: 8, Scope: OfAccount, Owner: "ann", Recipient: pat("c.test"), Transport: "not-there"},
		{ID: 7, Scope: OfAccount, Owner: "ann", Position: -1, Transport: "t1"},
		{ID: 5, Scope: OfAccount, Owner: "ann", Transport: "t2"},
		{ID: 6, Scope: OfAccount, Owner: "ann", Transport: "t3"},
		{ID: 4, Scope: OfDomain, Owner: "a.test", Transport: "t4"},
		{ID: 3, Scope: OfServer, Position: 1, Transport: "t5"},
		{ID: 2, Scope: OfServer, Position: 2, Transport: "t6"},
	}
	for want := range len(ordered) {
		left := ordered[want:]
		expect := DirectName
		for _, r := range left {
			if strings.HasPrefix(r.Transport, "t") {
				expect = r.Transport
				break
			}
		}
		for range len(left) {
			left = append(slices.Clone(left[1:]), left[0])
			if got := Choose(left, s); got.Transport != expect {
				t.Errorf("from %d on: %s, want %s", want, got.Transport, expect)
			}
			reversed := slices.Clone(left)
			slices.Reverse(reversed)
			if got := Choose(reversed, s); got.Transport != expect {
				t.Errorf("reversed, from %d on: %s, want %s", want, got.Transport, expect)
			}
		}
	}
	for _, r := range ordered {
		if Before(&r, &r) {
			t.Errorf("%d is asked before itself", r.ID)
		}
	}
	if got := Choose(nil, s); got.Transport != DirectName || got.Rule != nil {
		t.Errorf("no rules: %+v", got)
	}
}

func TestSubjectOf(t *testing.T) {
	t.Parallel()
	job := &delivery.Job{Domain: domain("b.test")}
	job.Sender, job.Account, job.Need, job.Transport = `"a@b"@Sub.A.test`, "ann", delivery.RequireTLS, "own"
	job.Recipients = []delivery.Recipient{{Attempts: 5}, {Attempts: 2}, {Attempts: 3}}
	got := SubjectOf(job)
	if got != (Subject{Account: "ann", Sender: name("sub.a.test"), Recipient: domain("b.test"), Attempts: 2, Need: delivery.RequireTLS, Own: "own"}) {
		t.Errorf("%+v", got)
	}
	job.Sender, job.Recipients = "@a.test", nil
	if got := SubjectOf(job); got.Sender != name("a.test") || got.Attempts != 0 {
		t.Errorf("%+v", got)
	}
	for _, sender := range []string{"", "x", "x@[192.0.2.1]", "x@"} {
		job.Sender = sender
		if got := SubjectOf(job); !got.Sender.IsZero() {
			t.Errorf("%q: %v", sender, got.Sender)
		}
	}
}

func TestRuleCheck(t *testing.T) {
	t.Parallel()
	for _, r := range []Rule{
		{Scope: OfAccount, Transport: "t"},
		{Scope: OfServer, Owner: "ann", Transport: "t"},
		{Scope: 3, Owner: "ann", Transport: "t"},
		{Scope: OfServer, Transport: ""},
		{Scope: OfServer, Transport: "a b"},
		{Scope: OfServer, Transport: "t", MinAttempts: -1},
		{Scope: OfServer, Transport: "t", Need: needed(7)},
	} {
		if r.Check() == nil {
			t.Errorf("%+v passes", r)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"a.test", ".a.test", "", ".", "..a", "*.a.test", "bücher.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		again, err := ParsePattern(p.String())
		if err != nil || again != p {
			t.Errorf("%q → %q → %q, %v", s, p, again, err)
		}
		if !p.Matches(p.Domain) {
			t.Errorf("%q does not match its own domain", s)
		}
	})
}
