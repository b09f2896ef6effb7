package publication

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waxwing/dns"
)

var update = flag.Bool("update", false, "rewrite the golden table")

var (
	zone = dns.MustParse("example.test")
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// universe are the records that tests draw from.
var universe = []string{"v=spf1 mx -all", "v=spf1 a -all", "v=DMARC1; p=none", "verify=one", "x"}

func drawValues(t *rapid.T, label string) []string {
	all := rapid.SliceOfNDistinct(rapid.SampledFrom(universe), 0, 3, rapid.ID[string]).Draw(t, label)
	slices.Sort(all)
	return all
}

func drawMade(t *rapid.T) *Made {
	if !rapid.Bool().Draw(t, "made") {
		return nil
	}
	m := &Made{Host: rapid.SampledFrom([]string{"mx", "mx", "mx", "other"}).Draw(t, "made host"), Pending: rapid.Bool().Draw(t, "pending"), Released: rapid.IntRange(0, 9).Draw(t, "released") == 0,
		Written: noon.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute, propagation, 100 * time.Hour}).Draw(t, "written"))}
	for _, v := range drawValues(t, "made values") {
		x := Value{Text: v}
		if rapid.Bool().Draw(t, "unwanted") {
			x.Unwanted = noon.Add(-rapid.SampledFrom([]time.Duration{0, time.Hour, 30 * time.Hour}).Draw(t, "unwanted since"))
		}
		m.Values = append(m.Values, x)
	}
	if m.Pending {
		m.Before = drawValues(t, "before")
	}
	return m
}

func drawFacts(t *rapid.T) Facts {
	f := Facts{Key: Key{
		Name: dns.MustParse(rapid.SampledFrom([]string{"example.test", "_x.example.test", "mx.example.test", "example.net"}).Draw(t, "name")),
		Type: rapid.SampledFrom([]string{"TXT", "TXT", "TXT", "TLSA", "CNAME", "CAA", "NS", "SOA", "RRSIG", "DNSKEY"}).Draw(t, "type")},
		Zone: zone, Writable: rapid.SampledFrom([]bool{true, true, true, false}).Draw(t, "writable"), Host: "mx", Made: drawMade(t),
		TakeOver: rapid.SampledFrom([]bool{true, false, false}).Draw(t, "take over"), Gone: drawValues(t, "gone")}
	if rapid.Bool().Draw(t, "wanted") {
		v := drawValues(t, "wanted values")
		if len(v) > 0 { // a set that is wanted has records
			f.Wanted = &Set{Values: v, TTL: 3600, Signed: rapid.Bool().Draw(t, "signed only"), Await: rapid.SampledFrom([]Word{"", "", AwaitPolicy}).Draw(t, "await")}
		}
	}
	f.Stay = rapid.SampledFrom([]Stay{{}, {Least: 24 * time.Hour}, {Least: 24 * time.Hour, Times: 2, Beside: true}}).Draw(t, "stay")
	odd := func(label string) bool { return rapid.IntRange(0, 9).Draw(t, label) == 0 }
	f.Seen = Seen{Values: drawValues(t, "seen"), TTL: time.Hour, Unseen: odd("unseen"), Differ: odd("differ"), Alias: odd("alias"), Other: odd("other"), Signed: rapid.Bool().Draw(t, "signed")}
	f.Shared = odd("shared")
	if f.Made != nil && rapid.Bool().Draw(t, "as made") {
		f.Seen.Values = f.Made.Texts()
	}
	return f
}

// TestInvariants (CRT-5): what must hold of every step, whatever the facts.
func TestInvariants(t *testing.T) {
	t.Parallel()
	acted := map[Action]int{}
	property := func(t *rapid.T) {
		f := drawFacts(t)
		s := Decide(f, noon)
		if Explain(s.Word).Cause == "" {
			t.Fatalf("%q is not explained", s.Word)
		}
		acted[s.Action]++
		if !slices.Equal(s.Was, f.Seen.Values) {
			t.Fatalf("the step goes by %q, seen is %q", s.Was, f.Seen.Values)
		}
		if (s.Action != None) != (Explain(s.Word).Class == Due) {
			t.Fatalf("action %q with word %q", s.Action, s.Word)
		}
		if s.Action == None {
			if !slices.Equal(s.Values, f.Seen.Values) {
				t.Fatalf("nothing is done, and %q becomes %q", f.Seen.Values, s.Values)
			}
			return
		}
		checkAllowed(t, f, s)
		checkKept(t, f, s)
		checkSettles(t, f, s)
	}
	missing := func() (out []Action) {
		for _, a := range []Action{None, Add, Replace, Remove} {
			if acted[a] == 0 {
				out = append(out, a)
			}
		}
		return out
	}
	// A hundred draws each, with -short twenty; and until every action was met.
	for n := 0; n < 30 || n < 3000 && len(missing()) > 0; n++ {
		rapid.Check(t, property)
	}
	if m := missing(); len(m) > 0 {
		t.Errorf("no facts led to %q: the test proves nothing of it", m)
	}
}

// checkAllowed: only what may be written is.
func checkAllowed(t *rapid.T, f Facts, s Step) {
	ours := f.TakeOver || f.Made != nil && f.Made.Host == f.Host
	if f.Made != nil && f.Made.Released && !f.TakeOver {
		t.Fatal("what was left to others is written")
	}
	switch {
	case slices.Contains(forbidden, f.Type):
		t.Fatalf("%s is written", f.Type)
	case !f.Writable, !f.Name.Under(f.Zone):
		t.Fatalf("%s is written outside of the zones", f.Name)
	case f.Seen.Unseen, f.Seen.Differ, f.Seen.Alias:
		t.Fatal("it is written on what was not seen")
	case !ours && (s.Action != Add || len(f.Seen.Values) > 0):
		t.Fatalf("%s of what is not ours", s.Action)
	case s.Action == Add && len(f.Seen.Values) > 0, s.Action == Remove && len(s.Values) > 0, s.Action == Replace && (len(s.Values) == 0 || len(s.Was) == 0):
		t.Fatalf("%s makes %q of %q", s.Action, s.Values, s.Was)
	case f.Shared && !f.TakeOver:
		t.Fatal("what other machines share is written")
	case f.Wanted != nil && f.Wanted.Await != "":
		t.Fatal("it is written before what must come first")
	case f.Wanted != nil && f.Wanted.Signed && !f.Seen.Signed:
		t.Fatal("it is written into a zone that is not signed")
	}
	if f.Made != nil && !f.TakeOver { // what was changed by hand stays
		last := slices.Concat(f.Made.Texts(), f.Made.Before)
		for _, v := range f.Seen.Values {
			if !slices.Contains(last, v) && !slices.Contains(s.Values, v) {
				t.Fatalf("%q, which others wrote, goes", v)
			}
		}
	}
}

// checkKept: what is others', or must stay, stays; what is wanted comes.
func checkKept(t *rapid.T, f Facts, s Step) {
	claimed := (&decision{Facts: f}).claimed()
	for _, v := range f.Seen.Values {
		beside := !slices.ContainsFunc(claimed, func(c string) bool { return role(f.Key, c) == role(f.Key, v) })
		if beside && !slices.Contains(s.Values, v) {
			t.Fatalf("%q stood beside ours, and goes", v)
		}
	}
	if f.Wanted != nil {
		for _, v := range f.Wanted.Values {
			if !slices.Contains(s.Values, v) {
				t.Fatalf("%q is wanted, and does not come", v)
			}
		}
	}
	if f.Made == nil || f.TakeOver || f.Stay.Least == 0 || f.Wanted != nil && !f.Stay.Beside {
		return
	}
	for _, v := range f.Made.Values { // the gate (CRT-6)
		since := noon.Sub(v.Unwanted)
		if v.Unwanted.IsZero() {
			since = 0
		}
		if slices.Contains(f.Seen.Values, v.Text) && !slices.Contains(f.Gone, v.Text) && since < f.Stay.Least && !slices.Contains(s.Values, v.Text) {
			t.Fatalf("%q goes after %s, and stays for %s", v.Text, since, f.Stay.Least)
		}
	}
}

// checkSettles: once a step is done, nothing more is.
func checkSettles(t *rapid.T, f Facts, s Step) {
	f.Made, f.TakeOver = s.Made, false
	if next := Decide(f, noon); next.Word != AwaitServers && next.Action != None {
		t.Fatalf("before the servers show it: %s %s", next.Action, next.Word)
	}
	f.Seen.Values = s.Values
	next := Decide(f, noon)
	if next.Action != None || Explain(next.Word).Class == Conflict {
		t.Fatalf("done, and then %s %s", next.Action, next.Word)
	}
	if next.Made != nil && next.Made.Pending {
		t.Fatal("the servers show it, and it is pending")
	}
}

// row is a line of the golden table.
type row struct {
	about string
	facts Facts
}

func rows() []row {
	txt := Key{dns.MustParse("_dmarc.example.test"), "TXT"}
	apex := Key{zone, "TXT"}
	tlsa := Key{dns.MustParse("_25._tcp.mx.example.test"), "TLSA"}
	alias := Key{dns.MustParse("mta-sts.example.test"), "CNAME"}
	base := func(k Key, seen string, made *Made, wanted ...string) Facts {
		f := Facts{Key: k, Zone: zone, Writable: true, Host: "mx", Made: made, Seen: Seen{Signed: true, TTL: time.Hour}}
		if seen != "" {
			f.Seen.Values = strings.Split(seen, "|")
		}
		if wanted != nil {
			f.Wanted = &Set{Values: wanted, TTL: 3600, Signed: k.Type == "TLSA"}
		}
		return f
	}
	made := func(v ...string) *Made {
		return &Made{Host: "mx", Values: values(v), Written: noon.Add(-48 * time.Hour)}
	}
	with := func(f Facts, fn func(*Facts)) Facts { fn(&f); return f }
	gate := Stay{Least: 24 * time.Hour, Times: 2, Beside: true}
	mail := Stay{Least: 14 * 24 * time.Hour}
	return []row{
		{"nothing there", base(txt, "", nil, "a")},
		{"right, by others", base(txt, "a", nil, "a")},
		{"wrong, by others", base(txt, "b", nil, "a")},
		{"others, taken over", with(base(txt, "b", nil, "a"), func(f *Facts) { f.TakeOver = true })},
		{"ours, right", base(txt, "a", made("a"), "a")},
		{"ours, wanted otherwise", base(txt, "a", made("a"), "b")},
		{"ours, not wanted", base(txt, "a", made("a"))},
		{"ours, gone by hand", base(txt, "", made("a"), "a")},
		{"ours, changed by hand", base(txt, "h", made("a"), "a")},
		{"changed by hand, not wanted", base(txt, "h", made("a"))},
		{"changed by hand, taken over", with(base(txt, "h", made("a"), "a"), func(f *Facts) { f.TakeOver = true })},
		{"a neighbour's text", base(apex, "verify=1", nil, "v=spf1 -all")},
		{"a neighbour's text, taken over", with(base(apex, "verify=1", nil, "v=spf1 -all"), func(f *Facts) { f.TakeOver = true })},
		{"ours beside a neighbour's", base(apex, "verify=1|v=spf1 -all", made("v=spf1 -all"), "v=spf1 mx -all")},
		{"ours beside a neighbour's, not wanted", base(apex, "verify=1|v=spf1 -all", made("v=spf1 -all"))},
		{"just written, not shown", with(base(txt, "", made("a"), "a"), func(f *Facts) { f.Made.Pending, f.Made.Written = true, noon.Add(-time.Minute) })},
		{"written long ago, not shown", with(base(txt, "", made("a"), "a"), func(f *Facts) { f.Made.Pending = true })},
		{"servers differ", with(base(txt, "", made("a"), "b"), func(f *Facts) { f.Seen.Differ = true })},
		{"no server answers", with(base(txt, "", nil, "b"), func(f *Facts) { f.Seen.Unseen = true })},
		{"another zone", with(base(txt, "", nil, "b"), func(f *Facts) { f.Writable = false })},
		{"another machine's", with(base(txt, "c", made("c"), "b"), func(f *Facts) { f.Made.Host = "mx2" })},
		{"shared, nothing there", with(base(txt, "", nil, "a"), func(f *Facts) { f.Shared = true })},
		{"shared, the other machine's alone", with(base(txt, "b", made("b"), "a"), func(f *Facts) { f.Shared = true })},
		{"shared, ours beside the other's", with(base(txt, "a|b", nil, "a"), func(f *Facts) { f.Shared = true })},
		{"shared, not wanted here", with(base(txt, "b", made("b")), func(f *Facts) { f.Shared = true })},
		{"shared, taken over", with(base(txt, "b", made("b"), "a"), func(f *Facts) { f.Shared, f.TakeOver = true, true })},
		{"left to others", with(base(txt, "", made("a"), "a"), func(f *Facts) { f.Made.Released = true })},
		{"left to others, not wanted", with(base(txt, "a", made("a")), func(f *Facts) { f.Made.Released = true })},
		{"left to others, taken back", with(base(txt, "b", made("a"), "a"), func(f *Facts) { f.Made.Released, f.TakeOver = true, true })},
		{"policy not served", with(base(txt, "", nil, "id=1"), func(f *Facts) { f.Wanted.Await = AwaitPolicy })},
		{"new policy not served", with(base(txt, "id=1", made("id=1"), "id=2"), func(f *Facts) { f.Wanted.Await = AwaitPolicy })},
		{"policy withdrawn", base(txt, "id=1", made("id=1"))},
		{"alias in the way", with(base(txt, "", nil, "a"), func(f *Facts) { f.Seen.Alias = true })},
		{"addresses in the way of an alias", with(base(alias, "", nil, "mx.example.test."), func(f *Facts) { f.Seen.Other = true })},
		{"a zone without signatures", with(base(tlsa, "", nil, "k1"), func(f *Facts) { f.Seen.Signed = false })},
		{"TLSA: the next key comes", with(base(tlsa, "k1", made("k1"), "k1", "k2"), func(f *Facts) { f.Stay = gate })},
		{"TLSA: the old key stays", with(base(tlsa, "k1|k2", made("k1", "k2"), "k2", "k3"), func(f *Facts) { f.Stay = gate })},
		{"TLSA: the old key's time is over", with(base(tlsa, "k1|k2", made("k1", "k2"), "k2", "k3"), func(f *Facts) { f.Stay, f.Gone = gate, []string{"k1"} })},
		{"DKIM: the key is gone, its record stays", with(base(txt, "k1", made("k1")), func(f *Facts) { f.Stay = mail })},
		{"DKIM: unwanted for long", with(base(txt, "k1", made("k1")), func(f *Facts) { f.Stay = mail; f.Made.Values[0].Unwanted = noon.Add(-15 * 24 * time.Hour) })},
		{"SOA", base(Key{zone, "SOA"}, "", nil, "a")},
		{"CNAME at the zone's top", base(Key{zone, "CNAME"}, "", nil, "a")},
		{"take over what is not wanted", with(base(txt, "b", nil), func(f *Facts) { f.TakeOver = true })},
	}
}

// TestGolden (CRT-5, CRT-3): the table of what is done.
func TestGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, r := range rows() {
		s := Decide(r.facts, noon)
		mine := "-"
		if s.Made != nil {
			mine = strings.Join(s.Made.Texts(), "|")
		}
		fmt.Fprintf(&b, "%-42s %-8s %-16s %q -> %q, ours %s\n", r.about, s.Action, s.Word, strings.Join(s.Was, "|"), strings.Join(s.Values, "|"), mine)
	}
	const file = "testdata/steps.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("the table differs (go test -update writes it), %v:\n%s", err, b.String())
	}
}
