package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func texts(words []word) []string {
	out := []string{}
	for _, w := range words {
		out = append(out, w.text)
	}
	return out
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want string
	}{
		{"", ""},
		{"Hello, World!", "hello world"},
		{"don't stop_here a-b 3.14", "don t stop here a b 3 14"},
		{"j.doe@mail.example.com", "j doe mail example com"},
		{"Grüße CAFÉ naïve Ångström", "grusse cafe naive angstrom"},
		{"cafe\u0301 e\u0301", "cafe e"},
		{"Łódź Ørsted Æsir œuvre İstanbul ılık", "lodz orsted aesir oeuvre istanbul ilik"},
		{"ＦＵＬＬ ｗｉｄｔｈ ﬁne", "full width fine"},
		{"ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"},
		{"Привет ёлка", "привет елка"},
		{"日本語です", "日本 本語 語で です"},
		{"本", "本"},
		{"ガンダム", "ガン ンダ ダム"},
		{"abc日本123", "abc 日本 123"},
		{"한국어", "한국 국어"},
		{"ภาษาไทย", "ภา าษ ษา าไ ไท ทย"},
		{"שָׁלוֹם", "שלום"},
		{"\xff\xfea", "a"},
		{strings.Repeat("x", 100), strings.Repeat("x", maxWord)},
		{strings.Repeat("ж", 100), strings.Repeat("ж", maxWord/2)},
	} {
		if got := strings.Join(texts(appendWords(nil, c.text, 100)), " "); got != c.want {
			t.Errorf("%q: %q, wanted %q", c.text, got, c.want)
		}
	}
	if n := len(appendWords(nil, strings.Repeat("日", 1000), 7)); n != 7 {
		t.Errorf("%d words", n)
	}
}

func doc(body string) *Doc {
	d := &Doc{}
	d.add(Body, body)
	return d
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, text string
		words, any bool // whether whole words are, and any part is found
	}{
		{"the quick brown fox", "quick", true, true},
		{"the quick brown fox", "QUICK", true, true},
		{"the quick brown fox", "uic", false, true},
		{"the quick brown fox", "qui", false, true},
		{"the quick brown fox", "qui*", true, true},
		{"the quick brown fox", "quick brown", true, true},
		{"the quick brown fox", "quick, brown", true, true},
		{"the quick brown fox", "ick bro", false, true},
		{"the quick brown fox", "ick brown fo", false, true},
		{"the quick brown fox", "quick bro*", true, true},
		{"the quick brown fox", "quick fox", false, false},
		{"the quick brown fox", "brown quick", false, false},
		{"the quick brown fox", "qu brown", false, false},
		{"the quick brown fox", "fox jumps", false, false},
		{"a b a c", "a c", true, true},
		{"grüße", "grusse", true, true},
		{"grusse", "Grüße", true, true},
		{"日本語です", "本語", true, true},
		{"日本語です", "日本語", true, true},
		{"日本語です", "日語", false, false},
		{"日本語です", "本", false, true},
		{"about", "...", false, false},
	} {
		for _, whole := range []bool{true, false} {
			want := c.any
			if whole {
				want = c.words
			}
			if got := (Query{{Body, c.text, whole}}).Matches(doc(c.body)); got != want {
				t.Errorf("%q in %q, whole words %v: %v", c.text, c.body, whole, got)
			}
		}
	}
	d := doc("one two")
	d.add(Subject, "three")
	for _, c := range []struct {
		q    Query
		want bool
	}{
		{Query{{Field: Any, Text: "one"}, {Field: Any, Text: "three"}}, true},
		{Query{{Field: Body, Text: "three"}}, false},
		{Query{{Field: Subject, Text: "three"}, {Field: Body, Text: "four"}}, false},
		{Query{{Field: Any, Text: "two three"}}, false},
	} {
		if c.q.Matches(d) != c.want {
			t.Errorf("%v: %v", c.q, !c.want)
		}
	}
}

func TestFieldOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Field{"Subject": Subject, "FROM": From, "to": To, "cc": Cc, "bcc": Bcc, "Sender": Header, "List-Id": Header, "Message-ID": Header} {
		if f, ok := FieldOf(name); f != want || !ok {
			t.Errorf("%s: %v, %v", name, f, ok)
		}
	}
	for _, name := range []string{"Received", "DKIM-Signature", "ARC-Seal", "X-Spam-Status"} {
		if f, ok := FieldOf(name); ok {
			t.Errorf("%s: %v", name, f)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"Hello, World", "Grüße 日本語 ภาษา", "cafe\u0301\u0301", "\xff\xf0", "1x2", "'\"*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words := appendWords(nil, s, 1000)
		for _, w := range words {
			if w.text == "" || len(w.text) > maxWord+utf8.UTFMax*8 || !utf8.ValidString(w.text) {
				t.Fatalf("%q has the word %q", s, w.text)
			}
			for _, c := range w.text {
				if c < utf8.RuneSelf && !isWord(c) || c >= 'A' && c <= 'Z' {
					t.Fatalf("%q has the word %q", s, w.text)
				}
			}
		}
		if again := texts(appendWords(nil, strings.Join(texts(words), " "), 1000)); len(words) < 500 && !slices.ContainsFunc(words, func(w word) bool { return w.pair }) && !slices.Equal(again, texts(words)) {
			t.Fatalf("%q: %q, and of these %q", s, texts(words), again)
		}
		if d := doc(s); len(words) > 0 && len(words) < maxQueryWords && !(Query{{Field: Body, Text: s}}).Matches(d) {
			t.Fatalf("%q is not found in itself", s)
		}
	})
}
