package junk

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/reason"
)

var update = flag.Bool("update", false, "rewrite testdata/decisions.golden and docs/junk-decisions.md")

var limits = Limits{Junk: 10, Reject: 30}

// histories are what an account can have had to do with a sender.
var histories = func() (all []History) {
	for _, written := range []History{{}, {Written: true}, {Written: true, Replied: true}, {WrittenDomain: true}} {
		for mark := Unmarked; mark <= MarkedJunk; mark++ {
			for domain := Unmarked; domain <= MarkedJunk; domain++ {
				for _, received := range []int{0, 1, known} {
					h := written
					h.Mark, h.DomainMark, h.Received = mark, domain, received
					all = append(all, h)
				}
			}
		}
	}
	return all
}()

var opinions = []struct {
	words  Words
	rspamd *Rspamd
}{
	{}, {words: Words{true, 0.001}}, {words: Words{true, 0.5}}, {words: Words{true, 0.95}}, {words: Words{true, 0.9999}},
	{rspamd: &Rspamd{-3, 15, "no action"}}, {rspamd: &Rspamd{40, 15, "reject"}}, {Words{true, 0.9999}, &Rspamd{40, 15, "reject"}},
}

// all calls fn for the whole input space, each kind of evidence at its least and its most.
func all(fn func(Facts)) {
	for _, required := range []reason.Word{"", reason.DMARCQuarantine} {
		for i := -1; i < len(histories); i++ { // -1: not authenticated
			for lists := range 3 {
				for bits := range 16 {
					for milter := range 5 { // none, one that lets pass, one that does not, one that holds, one that is silent
						for _, o := range opinions {
							f := Facts{Required: required, BadHELO: bits&1 > 0, NoReverseName: bits&2 > 0, Words: o.words, Rspamd: o.rspamd}
							if i >= 0 {
								f.Authenticated, f.History = true, histories[i]
							}
							if f.Nobody = bits&8 > 0; f.Nobody && (f.History != History{} || f.Words.Trained) {
								continue // nobody has a history, nor a classifier
							}
							for range lists {
								f.Lists = append(f.Lists, Listing{"list.test", 4})
							}
							if bits&4 > 0 {
								f.Silent = []string{"rspamd"}
							}
							if milter > 0 {
								f.Milters = []Milter{{"av", MilterAction(milter - 1), "found"}}
							}
							fn(f)
						}
					}
				}
			}
		}
	}
}

// The promises of JNK-1, over the whole input space.
func TestInvariants(t *testing.T) {
	t.Parallel()
	n := 0
	all(func(f Facts) {
		n++
		d := Decide(f, limits)
		total := 0
		for _, e := range d.Evidence {
			total += e.Points
			if _, ok := reason.Of(e.Word); !ok {
				t.Errorf("%q is no word", e.Word)
			}
		}
		if total != d.Sum {
			t.Errorf("%+v: the evidence adds up to %d, the sum is %d", f, total, d.Sum)
		}
		mute := f // the same without words
		mute.Words, mute.Rspamd = Words{}, nil
		without := Decide(mute, limits)
		written := f.Authenticated && (f.History.Written || f.History.Replied)
		if written && f.History.Mark != MarkedJunk && d.Action != Inbox && without.Action == Inbox {
			t.Errorf("%+v: words alone keep a sender out to whom the account has written", f)
		}
		if f.Required != "" && d.Action == Inbox {
			t.Errorf("%+v: a sum undoes what DMARC asks for", f)
		}
		if f.Nobody && d.Action != Reject && f.Rspamd != nil && f.Rspamd.Action == "reject" {
			t.Errorf("%+v: what Rspamd refuses travels on", f)
		}
		if d.Action == Reject && without.Action == Inbox && !(f.Nobody && f.Rspamd != nil && f.Rspamd.Action == "reject") {
			t.Errorf("%+v is refused for its words alone", f)
		}
		if len(f.Milters) > 0 {
			none, action := f, f.Milters[0].Action
			none.Milters = nil
			was := Decide(none, limits).Action
			if (action == MilterQuarantines || action == MilterSilent) && d.Action == Inbox {
				t.Errorf("%+v: what a milter, or the want of one, puts aside is let in", f)
			}
			if (action == MilterAccepts || action == MilterHolds) && was != d.Action {
				t.Errorf("%+v: a milter that lets a message pass has a say", f)
			}
			if action == MilterSilent && d.Action == Reject && was != Reject {
				t.Errorf("%+v is refused since a milter is silent", f)
			}
		}
		if never := Decide(f, Limits{Junk: limits.Junk}); never.Action == Reject {
			t.Errorf("%+v is refused where nothing is to be", f)
		}
		more := f // one more list never helps
		more.Lists = append([]Listing{{"more.test", 4}}, f.Lists...)
		if Decide(more, limits).Action < d.Action {
			t.Errorf("%+v: another list lets it in", f)
		}
	})
	if n < 30000 {
		t.Errorf("the input space has %d points", n)
	}
}

// What a stranger brings along as such is no junk: neither a first message, nor one without
// a signature, from a badly configured host.
func TestStrangersAreHeard(t *testing.T) {
	t.Parallel()
	for _, f := range []Facts{{}, {Authenticated: true}, {BadHELO: true, NoReverseName: true}} {
		if d := Decide(f, limits); d.Action != Inbox {
			t.Errorf("%+v: %+v", f, d)
		}
	}
}

// rows of the page: one kind of evidence after the other, then together.
var rows = []struct {
	what string
	f    Facts
}{
	{"a stranger, authenticated", Facts{Authenticated: true}},
	{"a stranger, not authenticated", Facts{}},
	{"the same, from a badly configured host", Facts{BadHELO: true, NoReverseName: true}},
	{"the same, and on a blocklist", Facts{BadHELO: true, NoReverseName: true, Lists: []Listing{{"list.test", 4}}}},
	{"a stranger on one blocklist", Facts{Authenticated: true, Lists: []Listing{{"list.test", 4}}}},
	{"a stranger on three blocklists", Facts{Authenticated: true, Lists: []Listing{{"a.test", 4}, {"b.test", 4}, {"c.test", 4}}}},
	{"a stranger, words of junk", Facts{Authenticated: true, Words: Words{true, 0.9999}}},
	{"a stranger, words likely of junk", Facts{Authenticated: true, Words: Words{true, 0.95}}},
	{"a stranger, Rspamd says reject", Facts{Authenticated: true, Rspamd: &Rspamd{20, 15, "reject"}}},
	{"a stranger, Rspamd says add header", Facts{Authenticated: true, Rspamd: &Rspamd{7, 15, "add header"}}},
	{"a known sender, words of junk", Facts{Authenticated: true, History: History{Received: 9}, Words: Words{true, 0.9999}}},
	{"one at whose domain others were written to, words of junk", Facts{Authenticated: true, History: History{WrittenDomain: true}, Words: Words{true, 0.9999}}},
	{"written to, words of junk, Rspamd says reject", Facts{Authenticated: true, History: History{Written: true}, Words: Words{true, 0.9999}, Rspamd: &Rspamd{20, 15, "reject"}}},
	{"written to, on three blocklists, words of junk", Facts{Authenticated: true, History: History{Written: true}, Lists: []Listing{{"a.test", 4}, {"b.test", 4}, {"c.test", 4}}, Words: Words{true, 0.9999}}},
	{"written to, then marked as junk", Facts{Authenticated: true, History: History{Written: true, Mark: MarkedJunk, Received: 2}}},
	{"marked as no junk, words of junk", Facts{Authenticated: true, History: History{Mark: MarkedGood}, Words: Words{true, 0.9999}}},
	{"marked as junk, words of good mail", Facts{Authenticated: true, History: History{Mark: MarkedJunk}, Words: Words{true, 0.001}}},
	{"a domain marked as junk", Facts{Authenticated: true, History: History{DomainMark: MarkedJunk}}},
	{"a domain marked as junk, words likely of junk", Facts{Authenticated: true, History: History{DomainMark: MarkedJunk}, Words: Words{true, 0.95}}},
	{"DMARC quarantine, written to", Facts{Authenticated: true, History: History{Written: true}, Required: reason.DMARCQuarantine}},
	{"a milter puts aside", Facts{Authenticated: true, Milters: []Milter{{"av", MilterQuarantines, ""}}}},
	{"a milter puts aside, written to", Facts{Authenticated: true, History: History{Replied: true}, Milters: []Milter{{"av", MilterQuarantines, "a virus"}}}},
	{"a milter has the message held, written to", Facts{Authenticated: true, History: History{Replied: true}, Milters: []Milter{{"av", MilterHolds, "a virus"}}}},
	{"a milter is silent, and that is to count as junk, written to", Facts{Authenticated: true, History: History{Replied: true}, Milters: []Milter{{"av", MilterSilent, ""}}}},
	{"a milter lets pass", Facts{Authenticated: true, Milters: []Milter{{"sign", MilterAccepts, "a field added"}}}},
	{"marked as junk, on a blocklist, words of junk", Facts{Authenticated: true, History: History{Mark: MarkedJunk}, Lists: []Listing{{"list.test", 4}}, Words: Words{true, 0.9999}}},
	{"Rspamd is silent, and that is to count as junk", Facts{Authenticated: true, Silent: []string{"rspamd"}}},
	{"for nobody here, Rspamd says add header", Facts{Nobody: true, Authenticated: true, Rspamd: &Rspamd{7, 15, "add header"}}},
	{"for nobody here, Rspamd says reject", Facts{Nobody: true, Authenticated: true, Rspamd: &Rspamd{20, 15, "reject"}}},
}

// TestGolden holds the rows of the page and a digest of the whole input space to what was
// looked at, and makes the page.
func TestGolden(t *testing.T) {
	t.Parallel()
	var golden, page strings.Builder
	page.WriteString(head)
	for _, r := range rows {
		d := Decide(r.f, limits)
		var parts []string
		for _, e := range d.Evidence {
			parts = append(parts, fmt.Sprintf("%s %+d", e.Word, e.Points))
		}
		fmt.Fprintf(&page, "| %s | %s | %d | %s |\n", r.what, strings.Join(parts, ", "), d.Sum, d.Action)
	}
	counts := map[string]int{}
	all(func(f Facts) {
		d := Decide(f, limits)
		milter := "none"
		if len(f.Milters) > 0 {
			milter = [...]string{"accepts", "quarantines", "holds", "silent"}[f.Milters[0].Action]
		}
		counts[fmt.Sprintf("authenticated=%v written=%v mark=%d lists=%d milter=%s required=%s: %s", f.Authenticated, f.History.Written, f.History.Mark, len(f.Lists), milter, f.Required, d.Action)]++
	})
	b, err := json.MarshalIndent(counts, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Write(append(b, '\n'))
	for file, got := range map[string]string{filepath.Join("testdata", "decisions.golden"): golden.String(), filepath.Join("..", "..", "docs", "junk-decisions.md"): page.String()} {
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s is stale: go test ./internal/junk -update, and look at what changed", file)
		}
	}
}

const head = `# What is decided about junk

Made from the code that decides (internal/junk), with the default limits: from 10 points on a message goes into Junk, from 30 on it is
refused, if 10 of them are not opinions about its text (the account's classifier, Rspamd). What DMARC asks for is done whatever the sum.
Against a sender to whom the account has written, and for whom a domain vouches, opinions about the text count for nothing; unless the
account has marked that sender as junk since. What a milter wants put aside is, and so is all mail where one is silent and on_failure is "junk";
what it refuses was refused before, and what is held for it in the queue goes on from there as if it had let it pass.
For those who have no mailbox here (an alias that leads elsewhere, a domain of others) no history counts, and what Rspamd wants refused is refused.

| message | evidence | sum | what is done |
|---|---|--:|---|
`

// The field that tells the decision is one field, whatever a filter said.
func TestField(t *testing.T) {
	t.Parallel()
	d := Decide(Facts{Authenticated: true, Milters: []Milter{{"av", MilterQuarantines, "evil\r\nX: y \x1b[1m ä" + strings.Repeat("x", 5000)}}}, limits)
	kept, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(string(Field(kept)), "\r\n ", " ")
	if !strings.HasPrefix(got, "Waxwing-Junk: junk, 11 of 10; first-contact +1; milter-quarantine +10 (av: evil") || strings.Contains(got, "\nX:") || strings.Contains(got, "\x1b") || len(got) > 3000 {
		t.Errorf("%q", got)
	}
	if why := d.Why(); strings.Count(why, "\n") != 3 || !strings.Contains(why, "  +10 milter-quarantine (av: evil") || strings.Contains(why, "\x1b") {
		t.Errorf("%q", why)
	}
	var back Decision
	if err := json.Unmarshal(kept, &back); err != nil || back.Action != Junk || len(back.Evidence) != 2 || back.Reasons() != "first-contact, milter-quarantine" {
		t.Errorf("%+v, %v", back, err)
	}
	for _, none := range []string{"", "x", `{"action":"none"}`} {
		if f := Field([]byte(none)); f != nil {
			t.Errorf("%q: %q", none, f)
		}
	}
}
