package structure

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadText(t *testing.T) {
	const text = "Received: from x\nSubject: =?utf-8?q?Gr=C3=BC?= =?utf-8?q?=C3=9Fe?= to you\nFrom: \"=?iso-8859-1?q?J=FCrgen?=\" <j@example.com>\nSender: s@example.com\n" +
		"To: Team: a@b, B <b@c>;\nCc: c@d\nBcc: root\nX-Other: folded\n\tvalue\nContent-Type: multipart/mixed; boundary=a\n\n" +
		"--a\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nsch=F6ne =\nWelt\n" +
		"--a\nContent-Type: text/html\n\n<p>He<b>ll</b>o<style>x</style> &amp; bye\n" +
		"--a\nContent-Type: application/pdf; name=\"=?utf-8?q?=E2=82=AC.pdf?=\"\nContent-Transfer-Encoding: base64\n\nQUJD\n" +
		"--a\nContent-Type: text/csv\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename*=utf-8''b%C3%B6.csv\n\nYSxi\n" +
		"--a\nContent-Type: message/rfc822\n\nSubject: inner\nFrom: in@side\n\ninner body\n" +
		"--a\nContent-Type: text/plain\nContent-Transfer-Encoding: x-unknown\n\nno\n" +
		"--a--\n"
	msg := strings.ReplaceAll(text, "\n", "\r\n")
	got, err := ReadText(strings.NewReader(msg), parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Text{
		Subject: "Gr\u00fc\u00dfe to you", From: "J\u00fcrgen j@example.com", To: "Team, a@b, B b@c", Cc: "c@d", Bcc: "root",
		Header: []Field{{"Received", "from x"}, {"Sender", "s@example.com"}, {"X-Other", "folded value"}, {"Content-Type", "multipart/mixed; boundary=a"}},
		Body:   "sch\u00f6ne Welt\n\nHello & bye\na,b\ninner\nin@side\ninner body\n", Names: []string{"\u20ac.pdf", "b\u00f6.csv"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\n%+v", got, want)
	}
}

// TestReadTextBounds: a message of any size gives a bounded text, and one that is shorter than its
// structure says, what is there.
func TestReadTextBounds(t *testing.T) {
	text := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\n\n"+strings.Repeat("word \u00fc\n", 100_000)+"\n", 5) + "--a--\n"
	m := parse(t, text)
	got, err := ReadText(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")), m)
	if err != nil || len(got.Body) < maxTextBody-3 || len(got.Body) > maxTextBody+1 {
		t.Errorf("%d octets, %v", len(got.Body), err)
	}
	if got, err := ReadText(strings.NewReader("Subject: x\r\n\r\n"), m); err != nil || got.Body != "" {
		t.Errorf("%q, %v", got.Body, err)
	}
	if _, err := ReadText(iotest.ErrReader(io.ErrClosedPipe), m); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

func TestDecodeHeader(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"plain", "plain"},
		{"a =?utf-8?q?b?= c", "a b c"},
		{"=?utf-8?q?a?=\t=?utf-8?b?Yg==?= =?utf-8?q?c?=", "abc"},
		{"x=?utf-8?q?a?=y", "xay"},
		{"(=?utf-8?q?a?=)", "(a)"},
		{"=?utf-8?q?a b?=", "=?utf-8?q?a b?="},
		{"=? =?utf-8?q?a?= =?", "=? a =?"},
		{"=?x-nix?q?a?=", "=?x-nix?q?a?="},
		{"gr\xfc\xdfe", "gr\u00fc\u00dfe"},
		{"=?utf-8*en?q?a?=", "a"},
	} {
		if got := DecodeHeader(c.in); got != c.out {
			t.Errorf("%q: %q, wanted %q", c.in, got, c.out)
		}
	}
}

func FuzzReadText(f *testing.F) {
	for _, odd := range oddMessages {
		if len(odd.text) < 4000 {
			f.Add(odd.bytes())
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		text, err := ReadText(bytes.NewReader(b), m)
		if err != nil {
			t.Fatal(err)
		}
		if len(text.Body) > maxTextBody+1 {
			t.Fatalf("%d octets of text", len(text.Body))
		}
	})
}
