package foreign

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, clip, line, shown, text string }{
		{"plain", "plain", "plain", "plain", "plain"},
		{"12345678", "12345678", "12345678", "12345678", "12345678"},
		{"123456789", "12345678…", "123456789", "123456789", "12345678"},
		{"1234567ü9", "1234567…", "1234567ü9", "1234567ü9", "1234567"},
		{"a\r\n\tb\x00", "a\r\n\tb\x00", "a   b ", "a   b ", "a\r\n\tb\uFFFD"},
		{"a\x1b[1mb", "a\x1b[1mb", "a [1mb", "a [1mb", "a\x1b[1mb"},
		{"\u0085\u2028\u2029", "\u0085\u2028\u2029", "   ", "   ", "\u0085\u2028\u2029"},
		{"\u202eab", "\u202eab", "\u202eab", " ab", "\u202eab"},
		{"\xffx", "\xffx", "\uFFFDx", "\uFFFDx", "\uFFFDx"},
		{"", "", "", "", ""},
	} {
		if got := [4]string{Clip(c.in, 8), Line(c.in), Shown(c.in), Text(c.in, 8)}; got != [4]string{c.clip, c.line, c.shown, c.text} {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

// Whatever was written, what is made of it has the promised form.
func FuzzForms(f *testing.F) {
	f.Add("grüße\r\n\x00\xff", 3)
	f.Add("\xbf\xbf\xbf", 2)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = max(0, min(most, 100))
		if got := Clip(s, most); len(got) > most+len("…") || !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) && got != s {
			t.Errorf("Clip %q", got)
		}
		if got := Text(s, most); len(got) > most || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Errorf("Text %q", got)
		}
		if got := Line(s); !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\t\x00\x1b\u2028") {
			t.Errorf("Line %q", got)
		}
	})
}
