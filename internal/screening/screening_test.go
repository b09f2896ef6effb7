package screening

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/config"
	"waxwing/message"
	"waxwing/milter"
	"waxwing/smtp"
)

var update = flag.Bool("update", false, "rewrite docs/milter-decisions.md")

var (
	failures    = []config.OnFailure{"", config.AcceptOnFailure, config.JunkOnFailure, config.DeferOnFailure, config.RejectOnFailure}
	quarantines = []config.Quarantine{"", config.QuarantineJunk, config.QuarantineHold}
	owners      = []config.MailOf{config.OfServers, config.OfAccounts}
)

// said is what a milter can say, by names.
var said = []struct {
	name string
	said Said
}{
	{"continue", Said{}},
	{"accept", Said{Answer: milter.Answer{Verb: milter.Accept}}},
	{"discard", Said{Answer: milter.Answer{Verb: milter.Discard}}},
	{"reject", Said{Answer: milter.Answer{Verb: milter.Reject}}},
	{"tempfail", Said{Answer: milter.Answer{Verb: milter.TempFail}}},
	{"reply 550 5.7.1 no", replies(550, [3]int{5, 7, 1}, "no")},
	{"reply 451 4.3.2 wait", replies(451, [3]int{4, 3, 2}, "wait")},
	{"reply 421 4.3.2 bye", replies(421, [3]int{4, 3, 2}, "bye")},
	{"reply 554, no enhanced code, no text", replies(554, [3]int{}, "")},
	{"no answer", Said{Silent: true}},
	{"no answer, after another verb", Said{Silent: true, Answer: milter.Answer{Verb: milter.Discard}}},
}

func replies(code int, e [3]int, lines ...string) Said {
	return Said{Answer: milter.Answer{Verb: milter.ReplyWith, Reply: milter.Reply{Code: code, Enhanced: e, Lines: lines}}}
}

// JNK-3: the decision for all that a milter can say and an operator can want. Nothing is lost: only
// who says discard has a message thrown away, a silent milter never lets in what it is to be kept
// out for, and what is refused has a reply that a client understands.
func TestDecide(t *testing.T) {
	t.Parallel()
	for _, s := range said {
		for _, f := range failures {
			for _, q := range quarantines {
				for _, of := range owners {
					d := Decide(s.said, Rule{f, q, of})
					at := fmt.Sprint(s.name, f, q, of, ": ", d)
					if (d.Action == Discard) != (s.said.Answer.Verb == milter.Discard && !s.said.Silent) {
						t.Error(at)
					}
					if (d.Action == Refuse) != (d.Reply != nil) {
						t.Error(at)
					}
					if r := d.Reply; r != nil && (r.Positive() || r.Code == 421 || r.Enhanced.Class != r.Code/100 || r.Text() == "" || r.Code < 400) {
						t.Error(at)
					}
					if d.Junk != (s.said.Silent && f == config.JunkOnFailure && of == config.OfServers) {
						t.Error(at)
					}
					lets := d.Action == GoOn || d.Action == LeaveOut
					if s.said.Silent && lets != (f == config.AcceptOnFailure || f == config.JunkOnFailure && of == config.OfServers) || d.Silent != (s.said.Silent && !lets) {
						t.Error(at)
					}
					if s.said.Silent && d.Action == GoOn {
						t.Error(at, " is asked again")
					}
					if want := of == config.OfServers && q != config.QuarantineHold; (Aside(Rule{f, q, of}) == config.QuarantineJunk) != want {
						t.Error(at, " aside")
					}
				}
			}
		}
	}
}

// A milter's own words are bounded and printable.
func TestReplies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		said Said
		want string
	}{
		{replies(550, [3]int{5, 7, 1}, "a\x1b[1m\r\nä", strings.Repeat("x", 400)), "550 5.7.1 a [1m  ? " + strings.Repeat("x", 300)},
		{replies(550, [3]int{5, 7, 1}, slices.Repeat([]string{"x"}, 20)...), "550 5.7.1" + strings.Repeat(" x", 10)},
		{replies(421, [3]int{4, 7, 0}, "bye"), "451 4.7.0 bye"},
		{replies(250, [3]int{2, 0, 0}, "fine"), "550 5.7.1 fine"}, {replies(999, [3]int{}, "x"), "550 5.7.1 x"}, {replies(399, [3]int{}, "x"), "550 5.7.1 x"}, {replies(600, [3]int{}, "x"), "550 5.7.1 x"},
		{replies(400, [3]int{}, "x"), "400 4.7.1 x"}, {replies(599, [3]int{5, 0, 0}, "x"), "599 5.0.0 x"},
		{replies(550, [3]int{}), "550 5.7.1 a filter refuses this"}, {replies(550, [3]int{}, "", " "), "550 5.7.1 a filter refuses this"},
	} {
		if got := Decide(tt.said, Rule{}).Reply.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.said, got, tt.want)
		}
	}
}

const header = "Received: from a\r\nSubject: one\r\nX-A: 1\r\nx-a: 2\r\nX-A: 3\r\n"

func amended(t *testing.T, changes ...milter.Change) (string, Amended) {
	t.Helper()
	h, _, err := message.SplitHeader([]byte(header + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := string(h.Bytes())
	a := Amend(h, changes)
	if string(h.Bytes()) != before {
		t.Error("the header that was given is changed")
	}
	out := string(a.Header.Bytes())
	if again, _, err := message.SplitHeader([]byte(out + "\r\n")); err != nil || len(again.Fields) != len(a.Header.Fields) {
		t.Errorf("%v: %q", err, out)
	}
	if a.Changed != (len(a.Done) > 0) || a.Changed != (out != before) && len(changes) == 1 {
		t.Errorf("%+v", a)
	}
	var words []string
	for _, n := range a.NotDone {
		words = append(words, n.Word)
	}
	return strings.ReplaceAll(out, "\r\n", "|") + strings.Join(words, " "), a
}

// What becomes of a header by each change.
func TestAmendHeader(t *testing.T) {
	t.Parallel()
	const before = "Received: from a|Subject: one|X-A: 1|x-a: 2|X-A: 3|"
	add := func(op milter.Op, n int, name, value string) milter.Change {
		return milter.Change{Op: op, Index: n, Name: name, Value: value}
	}
	with := func(name, value string) string { return before + name + ":" + value + "|" }
	long := strings.Repeat("x", maxFieldSize)
	for _, tt := range []struct {
		changes []milter.Change
		want    string
	}{
		{nil, before},
		{[]milter.Change{add(milter.AddField, 0, "X-B", " b")}, with("X-B", " b")},
		{[]milter.Change{add(milter.AddField, 0, "X-B", "")}, with("X-B", "")},
		{[]milter.Change{add(milter.AddField, 0, "X-B", " b\n\tc\r\n d\n\ne\n \t\n")}, with("X-B", " b|\tc| d|\te")},
		{[]milter.Change{add(milter.AddField, 0, "X-B", "\nInjected: x")}, with("X-B", "|\tInjected: x")},
		{[]milter.Change{add(milter.AddField, 0, "X-B", " b\rInjected: x")}, before + "bad-value"},
		{[]milter.Change{add(milter.AddField, 0, "X-B", " \x1b[1m")}, before + "bad-value"},
		{[]milter.Change{add(milter.AddField, 0, "X-B", " ä")}, with("X-B", " ä")},
		{[]milter.Change{add(milter.AddField, 0, "", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "X:B", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "X\r\nB", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "X B", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "!~", " b")}, with("!~", " b")},
		{[]milter.Change{add(milter.AddField, 0, "X\x7f", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "X-B", long[3:])}, with("X-B", long[3:])},
		{[]milter.Change{add(milter.AddField, 0, "X-B", long[2:])}, before + "too-large"},
		{[]milter.Change{add(milter.AddField, 0, "Xä", " b")}, before + "bad-name"},
		{[]milter.Change{add(milter.AddField, 0, "waxwing-junk", " inbox")}, before + "reserved"},
		{[]milter.Change{add(milter.InsertField, 0, "Received", " from b")}, before + "reserved"},
		{[]milter.Change{add(milter.ChangeField, 1, "received", "")}, before + "reserved"},
		{[]milter.Change{add(milter.ChangeField, 1, "Delivered-To", " x")}, before + "reserved"},
		{[]milter.Change{add(milter.ChangeField, 1, "Return-Path", " x")}, before + "reserved"},
		{[]milter.Change{add(milter.AddField, 0, "X-B", long)}, before + "too-large"},
		{[]milter.Change{add(milter.InsertField, 0, "X-B", " b")}, "X-B: b|" + before},
		{[]milter.Change{add(milter.InsertField, 1, "X-B", " b")}, "X-B: b|" + before},
		{[]milter.Change{add(milter.InsertField, 2, "X-B", " b")}, "Received: from a|X-B: b|Subject: one|X-A: 1|x-a: 2|X-A: 3|"},
		{[]milter.Change{add(milter.InsertField, 99, "X-B", " b")}, with("X-B", " b")},
		{[]milter.Change{add(milter.InsertField, 1, "X-B", " b"), add(milter.InsertField, 1, "X-C", " c")}, "X-C: c|X-B: b|" + before},
		{[]milter.Change{add(milter.ChangeField, 2, "X-A", " two")}, "Received: from a|Subject: one|X-A: 1|X-A: two|X-A: 3|"},
		{[]milter.Change{add(milter.ChangeField, 0, "X-A", " first")}, "Received: from a|Subject: one|X-A: first|x-a: 2|X-A: 3|"},
		{[]milter.Change{add(milter.ChangeField, 4, "X-A", " four")}, with("X-A", " four")},
		{[]milter.Change{add(milter.ChangeField, 4, "X-A", "")}, before + "no-such-field"},
		{[]milter.Change{add(milter.ChangeField, 1, "X-A", " \x00")}, before + "bad-value"},
		// Those that are removed count, as in Sendmail.
		{[]milter.Change{add(milter.ChangeField, 1, "X-A", ""), add(milter.ChangeField, 2, "X-A", ""), add(milter.ChangeField, 3, "X-A", "")}, "Received: from a|Subject: one|"},
		{[]milter.Change{add(milter.ChangeField, 3, "X-A", ""), add(milter.ChangeField, 2, "X-A", ""), add(milter.ChangeField, 1, "X-A", "")}, "Received: from a|Subject: one|"},
		{[]milter.Change{add(milter.ChangeField, 1, "X-A", ""), add(milter.ChangeField, 1, "X-A", "")}, "Received: from a|Subject: one|x-a: 2|X-A: 3|no-such-field"},
	} {
		if got, _ := amended(t, tt.changes...); got != tt.want {
			t.Errorf("%.200v:\n%.300s\nwant\n%.300s", tt.changes, got, tt.want)
		}
	}
}

// However much a milter adds, a header stays within its bounds.
func TestAmendBounds(t *testing.T) {
	t.Parallel()
	var many, large []milter.Change
	for range 2 * message.MaxFields {
		many = append(many, milter.Change{Op: milter.AddField, Name: "X"})
	}
	for range 10 {
		large = append(large, milter.Change{Op: milter.ChangeField, Index: 1, Name: "X", Value: strings.Repeat("x", 60000)}, milter.Change{Op: milter.InsertField, Name: "X", Value: strings.Repeat("x", 60000)})
	}
	h, _, _ := message.SplitHeader([]byte(header + "\r\n"))
	if a := Amend(h, many); len(a.Header.Fields) != message.MaxFields || a.NotDone[0].Word != TooLarge || len(a.NotDone) != message.MaxFields+5 {
		t.Errorf("%d fields", len(a.Header.Fields))
	}
	if a := Amend(h, large); len(a.Header.Bytes()) > message.MaxHeader || len(a.Header.Bytes()) < message.MaxHeader-60010 || len(a.NotDone) == 0 {
		t.Errorf("%d octets", len(a.Header.Bytes()))
	}
	// One that is removed makes room.
	full := Amend(h, large[:9])
	freed := Amend(full.Header, []milter.Change{{Op: milter.ChangeField, Index: 1, Name: "X"}, {Op: milter.AddField, Name: "X", Value: strings.Repeat("x", 60000)}})
	if len(freed.NotDone) != 0 {
		t.Errorf("%+v", freed.NotDone)
	}
}

// The last octet of the largest header is taken, and no more: of a new field and of one that is changed.
func TestAmendToTheBrim(t *testing.T) {
	t.Parallel()
	h, _, _ := message.SplitHeader([]byte(header + "\r\n"))
	for more, word := range map[int]string{0: "", 1: TooLarge} {
		room, c := message.MaxHeader-len(header), milter.Change{Op: milter.AddField, Name: "X"}
		var changes []milter.Change
		for ; room > 0; room -= len("X:\r\n") + len(c.Value) {
			c.Value = strings.Repeat("x", min(room+more, 60000)-len("X:\r\n"))
			changes = append(changes, c)
		}
		a := Amend(h, changes)
		if got := len(a.Header.Bytes()); word == "" && got != message.MaxHeader || word != "" && (got > message.MaxHeader || a.NotDone[0].Word != word) {
			t.Errorf("%d octets, %+v", got, a.NotDone)
		}
	}
	full := Amend(h, []milter.Change{{Op: milter.AddField, Name: "X", Value: "1"}})
	for len(full.Header.Bytes()) < message.MaxHeader {
		n := min(60000, message.MaxHeader-len(full.Header.Bytes()))
		full = Amend(full.Header, []milter.Change{{Op: milter.AddField, Name: "Y", Value: strings.Repeat("y", max(0, n-4))}})
		if len(full.NotDone) > 0 {
			t.Fatalf("%d octets: %+v", len(full.Header.Bytes()), full.NotDone)
		}
	}
	for value, words := range map[string]int{"2": 0, "22": 1} {
		if a := Amend(full.Header, []milter.Change{{Op: milter.ChangeField, Index: 1, Name: "X", Value: value}}); len(a.NotDone) != words {
			t.Errorf("%s: %+v", value, a.NotDone)
		}
	}
}

func TestAmendEnvelope(t *testing.T) {
	t.Parallel()
	_, a := amended(t, milter.Change{Op: milter.AddRecipient, Value: "<A@b.test>"}, milter.Change{Op: milter.RemoveRecipient, Value: " c@d.test "}, milter.Change{Op: milter.ChangeSender, Value: "<>"},
		milter.Change{Op: milter.ChangeSender, Value: "e@f.test"}, milter.Change{Op: milter.Quarantine, Value: "a\nvirus" + strings.Repeat("x", 300)},
		milter.Change{Op: milter.AddRecipient, Value: "<>"}, milter.Change{Op: milter.AddRecipient, Value: "<x@y.test"}, milter.Change{Op: milter.RemoveRecipient, Value: "a b"}, milter.Change{Op: milter.ChangeSender, Value: "x"},
		milter.Change{Op: milter.AddRecipient, Value: "<ä@b.test>"}, milter.Change{Op: milter.RemoveRecipient, Value: "<ä@b.test>"})
	want := []Envelope{{milter.AddRecipient, smtp.Address{Local: "A", Domain: "b.test"}, "A@b.test"}, {milter.RemoveRecipient, smtp.Address{Local: "c", Domain: "d.test"}, "c@d.test"},
		{milter.ChangeSender, smtp.Address{}, ""}, {milter.ChangeSender, smtp.Address{Local: "e", Domain: "f.test"}, "e@f.test"},
		{milter.RemoveRecipient, smtp.Address{Local: "ä", Domain: "b.test"}, "ä@b.test"}}
	if !slices.Equal(a.Envelope, want) || !a.Aside || !strings.HasPrefix(a.Why, "a virus") || len(a.Why) != maxWhy || a.Changed {
		t.Errorf("%+v", a)
	}
	if got := Words(a.NotDone); got != "add-recipient: unreadable, remove-recipient: unreadable, change-sender: unreadable" {
		t.Error(got)
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	for want, ops := range map[string][]milter.Op{
		"": nil, "a field added": {milter.AddField}, "2 fields added, a field changed": {milter.AddField, milter.InsertField, milter.ChangeField},
		"a recipient added, 2 recipients removed, the sender changed": {milter.RemoveRecipient, milter.AddRecipient, milter.ChangeSender, milter.RemoveRecipient},
	} {
		if got := Note(ops, false); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := Note(nil, true); got != "the body replaced" {
		t.Error(got)
	}
}

// FuzzAmend: whatever a milter asks for, the header can be read again as it is, and nothing stands in it that
// was not asked for by name.
func FuzzAmend(f *testing.F) {
	f.Add(uint8(0), 1, "X-B", " b\n\tc")
	f.Add(uint8(2), 2, "X-A", "")
	f.Add(uint8(1), 0, "X-B", "\r\n\r\nbody")
	f.Fuzz(func(t *testing.T, op uint8, n int, name, value string) {
		h, _, _ := message.SplitHeader([]byte(header + "\r\n"))
		a := Amend(h, []milter.Change{{Op: milter.Op(op % 7), Index: n & 0xffff, Name: name, Value: value}, {Op: milter.ChangeField, Index: 1, Name: name, Value: value}})
		text := a.Header.Bytes()
		again, body, err := message.SplitHeader(append(text, "\r\nbody"...))
		if err != nil || string(body) != "body" || len(again.Fields) != len(a.Header.Fields) || strings.Contains(strings.ReplaceAll(string(text), "\r\n", ""), "\n") {
			t.Fatalf("%v: %q", err, text)
		}
		for i, f := range again.Fields {
			if f.Name != a.Header.Fields[i].Name || len(again.Fields) > len(h.Fields)+2 {
				t.Errorf("%q", text)
			}
		}
	})
}

// The page of decisions is what the code says.
func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# What is decided about the answers of milters

Made from the code that decides (internal/screening). [operating/milters.md](operating/milters.md) tells how milters are set up.

| a milter says | what is done with the message, or at RCPT with that recipient |
|---|---|
`)
	done := func(d Decision) string {
		switch d.Action {
		case LeaveOut:
			return "goes on, and the milter is asked no more" + map[bool]string{true: "; into Junk"}[d.Junk]
		case Discard:
			return "answered 250 and thrown away, for all recipients"
		case Refuse:
			return "answered `" + d.Reply.String() + "`"
		}
		return "goes on"
	}
	for _, s := range said {
		if !s.said.Silent {
			fmt.Fprintf(&b, "| %s | %s |\n", s.name, done(Decide(s.said, Rule{})))
		}
	}
	for _, f := range failures[1:] {
		fmt.Fprintf(&b, "| nothing, `on_failure = \"%s\"` | %s |\n", f, done(Decide(Said{Silent: true}, Rule{f, "", config.OfServers})))
	}
	path := filepath.Join("..", "..", "docs", "milter-decisions.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/milter-decisions.md is not what the code says (%v); go test ./internal/screening -update", err)
	}
}
