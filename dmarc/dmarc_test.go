package dmarc

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waxwing/dns"
)

// tree is a resolver of _dmarc records, by domain, and of domains that exist.
type tree struct {
	dns.Resolver
	records map[string][]string
	exists  map[string]bool
	fails   map[string]bool
	asked   []string
}

func (t *tree) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	domain := strings.TrimPrefix(n.ASCII(), "_dmarc.")
	t.asked = append(t.asked, domain)
	if t.fails[domain] {
		return dns.Answer[string]{}, &dns.Error{Name: n, Type: "TXT", RCode: "SERVFAIL"}
	}
	return dns.Answer[string]{Name: n, Records: t.records[domain], Security: dns.Secure}, nil
}

func (t *tree) LookupMX(_ context.Context, n dns.Name) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{Name: n, Security: dns.Secure}, nil
}

func (t *tree) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	a := dns.Answer[netip.Addr]{Name: n, Security: dns.Secure}
	if t.exists[n.ASCII()] {
		a.Records = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	return a, nil
}

func (t *tree) LookupAAAA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Name: n, Security: dns.Secure}, nil
}

// TestTargets is the example of RFC 9989 §4.10, and that of §5.1.8.
func TestTargets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		"mail.a.b.c.d.e.f.g.example.com":       "mail.a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com d.e.f.g.example.com e.f.g.example.com f.g.example.com g.example.com example.com com",
		"a.b.c.d.e.f.example.com":              "a.b.c.d.e.f.example.com b.c.d.e.f.example.com c.d.e.f.example.com d.e.f.example.com e.f.example.com f.example.com example.com com",
		"com":                                  "com",
	} {
		var got []string
		for _, n := range Targets(dns.MustParse(in)) {
			got = append(got, n.ASCII())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v\nwant %s", in, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	type want struct {
		p, sp, np Policy
		usable    bool
		rua       int
		problems  int
	}
	for text, w := range map[string]want{
		"v=DMARC1; p=reject":                                      {PolicyReject, "", "", true, 0, 0},
		"v=DMARC1;p=reject;sp=none;np=quarantine;":                {PolicyReject, PolicyNone, PolicyQuarantine, true, 0, 0},
		"V = DMARC1 ; P = Reject ; t=y; psd=n; adkim=s":           {PolicyReject, "", "", true, 0, 0},
		"v=DMARC1; rua=mailto:a@example.org":                      {PolicyNone, "", "", true, 1, 0}, // §4.10.1
		"v=DMARC1":                                                {"", "", "", false, 0, 0},
		"v=DMARC1; p=nonsense; rua=mailto:a@example.org":          {PolicyNone, "", "", true, 1, 1},
		"v=DMARC1; p=nonsense":                                    {"", "", "", false, 0, 1},
		"v=DMARC1; p=reject; sp=x; rua=mailto:a@example.org":      {PolicyNone, "", "", true, 1, 1},
		"v=DMARC1; p=reject; sp=x":                                {PolicyReject, "", "", false, 0, 1},
		"v=DMARC1; p=none; rua=mailto:a@b.org!10m , https://c/d,": {PolicyNone, "", "", true, 2, 1},
		"v=DMARC1; p=none; pct=50; ri=3600; rf=afrf; fo=1:d:s":    {PolicyNone, "", "", true, 0, 0},
		"v=DMARC1; p=none; fo=0:1; adkim=x; unknown=1; p=reject":  {PolicyNone, "", "", true, 0, 3},
		"v=DMARC1; p=none; garbage":                               {PolicyNone, "", "", true, 0, 1},
	} {
		r, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := want{r.Policy, r.Subdomains, r.NonExistent, r.Usable, len(r.RUA), len(r.Problems)}
		if got != w {
			t.Errorf("%s: %+v (%q), want %+v", text, got, r.Problems, w)
		}
	}
	for _, text := range []string{"", "v=DMARC2; p=none", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=spf1 -all", "v=DMARC1x"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q counts as a record", text)
		}
	}
}

// naive is the organizational domain and the policy's domain as a reader of RFC
// 9989 §4.10 would find them by hand, from a list of labels.
func naive(domain string, records map[string]string) (org, policy string) {
	psd := func(d string) string {
		switch r := records[d]; {
		case r == "":
			return "-"
		case strings.Contains(r, "psd="):
			return string(r[strings.Index(r, "psd=")+4])
		}
		return "u"
	}
	names := []string{domain}
	l := strings.Split(domain, ".")
	l = l[max(1, len(l)-7):]
	for ; len(l) > 0; l = l[1:] {
		names = append(names, strings.Join(l, "."))
	}
	var with []string
	for _, n := range names {
		if p := psd(n); p != "-" {
			with = append(with, n)
			if p != "u" {
				break
			}
		}
	}
	org = domain
	if len(with) > 0 {
		org = with[len(with)-1]
	}
	for _, n := range with {
		if psd(n) == "n" {
			org = n
			break
		}
		if psd(n) == "y" && n != domain {
			all := strings.Split(domain, ".")
			org = strings.Join(all[len(all)-len(strings.Split(n, "."))-1:], ".")
			break
		}
	}
	switch {
	case records[domain] != "":
		return org, domain
	case slices.Contains(with, org):
		return org, org
	case len(with) > 0 && psd(with[len(with)-1]) == "y":
		return org, with[len(with)-1]
	}
	return org, ""
}

// TestTreeWalk holds the walk against the naive reading, over generated trees.
func TestTreeWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 12).Draw(t, "labels")
		domain := strings.Join(append(labels, "com"), ".")
		records := map[string]string{}
		tr := &tree{records: map[string][]string{}}
		for d := domain; d != ""; _, d, _ = strings.Cut(d, ".") {
			text := rapid.SampledFrom([]string{"", "", "v=DMARC1; p=reject", "v=DMARC1; p=none; psd=n", "v=DMARC1; p=none; psd=y", "v=DMARC1; p=none; psd=u"}).Draw(t, d)
			if text != "" {
				records[d] = text
				tr.records[d] = []string{"unrelated", text}
			}
		}
		w, err := WalkTree(t.Context(), tr, dns.MustParse(domain))
		if err != nil || len(tr.asked) > maxQueries {
			t.Fatalf("%v, %d questions", err, len(tr.asked))
		}
		org, policy := naive(domain, records)
		f, ok := w.Policy()
		if w.Organizational().ASCII() != org || f.Domain.ASCII() != policy || ok != (policy != "") {
			t.Fatalf("%s with %v: organizational %s and policy of %q; want %s and %q", domain, records, w.Organizational(), f.Domain, org, policy)
		}
	})
}

// naiveCheck is the result, the policy's domain and what is asked for, as a reader of RFC 9989
// §4.4, §4.10 and §4.7 would find them by hand.
func naiveCheck(from string, ids []string, strict, exists bool, records map[string]string) string {
	org, at := naive(from, records)
	if at == "" {
		return "none   "
	}
	tag := func(name string) string {
		_, rest, _ := strings.Cut(records[at], " "+name+"=")
		value, _, _ := strings.Cut(rest, ";")
		return value
	}
	policy := tag("p")
	if sp := tag("sp"); at != from && sp != "" {
		policy = sp
	}
	if np := tag("np"); at != from && !exists && np != "" {
		policy = np
	}
	apply := policy
	if tag("t") == "y" {
		apply = map[string]string{"reject": "quarantine", "quarantine": "none", "none": "none"}[policy]
	}
	for _, id := range ids {
		if o, _ := naive(id, records); id == from || !strict && o == org {
			return fmt.Sprintf("pass %s %s %s", at, policy, apply)
		}
	}
	return fmt.Sprintf("fail %s %s %s", at, policy, apply)
}

// TestCheckTrees holds the whole check against the naive reading, over generated trees: p, sp, np,
// t and psd at every height, authors that exist or not, identifiers beside, above and below.
func TestCheckTrees(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	property := func(t *rapid.T) {
		label := rapid.SampledFrom([]string{"a", "b"})
		name := func(what string) string {
			return strings.Join(append(rapid.SliceOfN(label, 0, 9).Draw(t, what), "c", "com"), ".")
		}
		policy := func(what string) string {
			return rapid.SampledFrom([]string{"none", "quarantine", "reject"}).Draw(t, what)
		}
		strict := rapid.Bool().Draw(t, "strict")
		ids := rapid.SliceOfN(rapid.Custom(func(*rapid.T) string { return name("id") }), 0, 3).Draw(t, "ids")
		from := name("from")
		if len(ids) > 0 && rapid.Bool().Draw(t, "below") {
			from = rapid.SampledFrom([]string{"a.", "b.", "a.b."}).Draw(t, "prefix") + ids[0]
		}
		bare := rapid.IntRange(0, 3).Draw(t, "bare") == 0 // else trees without a record are too rare to be met
		records, tr := map[string]string{}, &tree{records: map[string][]string{}, exists: map[string]bool{}}
		for _, n := range append(slices.Clone(ids), from) {
			for d := n; d != ""; _, d, _ = strings.Cut(d, ".") {
				if bare || records[d] != "" || !rapid.Bool().Draw(t, "record at "+d) {
					continue
				}
				text := "v=DMARC1; p=" + policy("p")
				for _, tag := range []string{"sp", "np"} {
					if rapid.Bool().Draw(t, tag+" there") {
						text += "; " + tag + "=" + policy(tag)
					}
				}
				text += rapid.SampledFrom([]string{"", "; t=y", "; t=n"}).Draw(t, "t")
				text += rapid.SampledFrom([]string{"", "", "", "; psd=n", "; psd=y", "; psd=u"}).Draw(t, "psd")
				if strict {
					text += "; adkim=s; aspf=s"
				}
				records[d], tr.records[d] = text, []string{text}
			}
		}
		tr.exists[from] = rapid.Bool().Draw(t, "exists")
		who := Identifiers{From: dns.MustParse(from)}
		for i, id := range ids {
			if i == 0 {
				who.SPF = dns.MustParse(id)
				continue
			}
			who.DKIM = append(who.DKIM, dns.MustParse(id))
		}
		out := Check(t.Context(), tr, who)
		want := naiveCheck(from, ids, strict, tr.exists[from], records)
		if got := fmt.Sprintf("%s %s %s %s", out.Result, out.Domain, out.Policy, out.Apply); got != want {
			t.Fatalf("%s with %q in %v: %q, want %q", from, ids, records, got, want)
		}
		seen[string(out.Result)]++
	}
	oneSided := func() bool { return seen["pass"] == 0 || seen["fail"] == 0 || seen["none"] == 0 }
	// A hundred trees, with -short twenty; and until every result was met.
	for n := 0; n == 0 || n < 100 && oneSided(); n++ {
		rapid.Check(t, property)
	}
	if oneSided() {
		t.Errorf("one-sided trees: %v", seen)
	}
}

func names(list string) (out []dns.Name) {
	for s := range strings.FieldsSeq(list) {
		out = append(out, dns.MustParse(s))
	}
	return out
}

func TestCheck(t *testing.T) {
	t.Parallel()
	records := map[string][]string{
		"example.com":      {"v=DMARC1; p=reject; sp=quarantine; np=reject"},
		"test.example":     {"v=DMARC1; p=reject; t=y"},
		"soft.example":     {"v=DMARC1; p=quarantine; t=y; adkim=s; aspf=s"},
		"two.example":      {"v=DMARC1; p=reject", "v=DMARC1; p=none"},
		"bank.example":     {"v=DMARC1; p=none; psd=y; np=reject"},
		"unusable.example": {"v=DMARC1; sp=reject"},
		"dept.uni.example": {"v=DMARC1; p=none; psd=n"},
		"uni.example":      {"v=DMARC1; p=reject"},
		"own.broken.org":   {"v=DMARC1; p=reject"},
	}
	for _, tt := range []struct{ from, spf, dkim, want string }{
		{"example.com", "", "", "fail example.com reject reject"},
		{"example.com", "bounce.example.com", "", "pass example.com reject reject"},
		{"example.com", "other.net", "mail.example.com", "pass example.com reject reject"},
		{"example.com", "other.net", "other.net", "fail example.com reject reject"},
		{"sub.example.com", "", "", "fail example.com quarantine quarantine"},
		{"none.example.com", "", "", "fail example.com reject reject"},
		{"test.example", "", "", "fail test.example reject quarantine"},
		{"soft.example", "x.soft.example", "x.soft.example", "fail soft.example quarantine none"},
		{"soft.example", "", "x.soft.example soft.example", "pass soft.example quarantine none"},
		{"two.example", "", "", "none   "},
		{"nothing.org", "nothing.org", "", "none   "},
		{"shop.bank.example", "", "", "fail bank.example reject reject"}, // does not exist, policy of the suffix
		{"unusable.example", "", "", "none   "},
		{"x.dept.uni.example", "dept.uni.example", "", "pass dept.uni.example none none"},
		{"x.dept.uni.example", "uni.example", "", "fail dept.uni.example none none"}, // an organization of its own
		{"broken.org", "", "", "temperror   "},
		{"example.com", "broken.org", "", "fail example.com reject reject"}, // a stranger's broken DNS changes nothing
		{"example.com", "broken.example.com", "", "temperror example.com reject reject"},
		{"example.com", "", "broken.example.com", "temperror example.com reject reject"},
		{"example.com", "broken.example.com", "example.com", "pass example.com reject reject"},
		{"example.com", "?x.example.com", "", "temperror example.com reject reject"},
		{"example.com", "", "?example.com", "temperror example.com reject reject"},
		{"example.com", "?example.com", "example.com", "pass example.com reject reject"},
		{"example.com", "?other.net", "?other.net", "fail example.com reject reject"},
		{"lame.example.com", "", "", "temperror example.com reject reject"},           // a name whose DNS is broken is no way around the policy above
		{"own.broken.org", "own.broken.org", "", "pass own.broken.org reject reject"}, // which needs no walk
		{"own.broken.org", "", "", "temperror own.broken.org reject reject"},
		{"soft.example", "?x.soft.example", "?x.soft.example", "fail soft.example quarantine none"},
	} {
		tr := &tree{records: records, exists: map[string]bool{"sub.example.com": true, "x.dept.uni.example": true}, fails: map[string]bool{"broken.org": true, "broken.example.com": true, "lame.example.com": true}}
		ids := Identifiers{From: dns.MustParse(tt.from)}
		if d, unknown := strings.CutPrefix(tt.dkim, "?"); unknown {
			ids.UnknownDKIM = names(d)
		} else {
			ids.DKIM = names(d)
		}
		if d, unknown := strings.CutPrefix(tt.spf, "?"); unknown {
			ids.UnknownSPF = dns.MustParse(d)
		} else if d != "" {
			ids.SPF = dns.MustParse(d)
		}
		out := Check(t.Context(), tr, ids)
		if got := fmt.Sprintf("%s %s %s %s", out.Result, out.Domain, out.Policy, out.Apply); got != tt.want {
			t.Errorf("%s with SPF %q and DKIM %q: %q (%s), want %q", tt.from, tt.spf, tt.dkim, got, out.Problem, tt.want)
		}
	}
}

// FuzzParse: a record that is parsed, parses the same when its tags are written anew.
func FuzzParse(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=quarantine; rua=mailto:a@b.org!10m; fo=1:d; t=y; psd=n; adkim=s; aspf=r; ri=60")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if len(r.RUA) > maxURIs || len(r.Problems) > 10 || r.Usable && r.Policy == "" {
			t.Fatalf("%+v", r)
		}
		again, err := Parse(" " + strings.ReplaceAll(text, ";", " ; ") + " ")
		if err != nil {
			t.Fatalf("with blanks: %v", err)
		}
		r.Text, again.Text = "", ""
		if len(r.Problems) == 0 && !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v\nwith blanks %+v", r, again)
		}
	})
}
