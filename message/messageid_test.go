package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMessageID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Message-ID: <a.1@b.test>\r\n\r\nx":                             "a.1@b.test",
		"From: x\r\nmessage-id:<A@b>\r\nMessage-ID: <second@b>\r\n\r\n": "A@b",
		"From: x\nMessage-Id :\n <folded@b.test>\n\n":                   "folded@b.test",
		"Message-ID: <fol\r\n ded@b.test>\r\n\r\n":                      "folded@b.test",
		"Message-ID: (comment) <c@b.test> (more)\r\n\r\n":               "c@b.test",
		"Message-ID: bare@b.test\r\n\r\n":                               "bare@b.test",
		"Message-ID:\r\n\r\n":                                           "",
		"Subject: x\r\n\r\nMessage-ID: <body@b.test>\r\n":               "",
		"X-Message-ID: <x@b.test>\r\nno field\r\n\r\n":                  "",
		"no field\r\nMessage-ID: <y@b.test>\r\n\r\n":                    "y@b.test",
		"":                     "",
		"Message-ID: <cut off": "cutoff",
		"Message-ID: <" + strings.Repeat("ü", 300) + "@b>\r\n\r\n": strings.Repeat("ü", 127),
		"Message-ID: <a\x00b\xff@c>\r\n\r\n":                       "ab\uFFFD@c",
	} {
		if got := MessageID([]byte(in)); got != want {
			t.Errorf("%.60q: %q, want %q", in, got, want)
		}
	}
}

// Whatever stands in a header, what is kept of it is text that both engines take, and is found
// again with and without brackets.
func FuzzMessageID(f *testing.F) {
	f.Add([]byte("Message-ID: <a@b>\r\n\r\n"))
	f.Add([]byte("message-id:\n\t<\xff>\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		got := MessageID(head)
		if len(got) > MaxMessageID || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\r\n \t") {
			t.Errorf("%q", got)
		}
		if !strings.ContainsAny(got, "<>") && (CleanMessageID(got) != got || CleanMessageID(" <"+got+"> ") != got) {
			t.Errorf("%q is not found again: %q", got, CleanMessageID("<"+got+">"))
		}
	})
}
