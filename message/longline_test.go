package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"
)

func readCase(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// html-no-mime-version.eml (TRA-7): what is declared without MIME-Version keeps its
// type and charset, and gets what it lacks.
func TestDeclaredTypeIsKept(t *testing.T) {
	t.Parallel()
	out, err := To7Bit(readCase(t, "html-no-mime-version.eml"))
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := SplitHeader(out)
	if err != nil || h.Get("MIME-Version") != "1.0" || h.Count("Content-Type") != 1 || h.Get("Content-Type") != "text/html; charset=UTF-8" ||
		h.Get("Content-Transfer-Encoding") != "quoted-printable" {
		t.Errorf("header %s, %v", h.Bytes(), err)
	}
	if l := leaves(t, out); len(l) != 1 || l[0] != "text/html:<p>Grüße</p>\r\n" {
		t.Errorf("leaves %q", l)
	}
	// The same within: a multipart, a message enclosed, and a type alone.
	for _, msg := range []string{
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html; charset=iso-8859-1\n\n\xfc\n--b--\n",
		"MIME-Version: 1.0\nContent-Type: message/rfc822\n\nContent-Type: text/html; charset=koi8-r\nSubject: x\n\n\xfc\n",
		"Content-Type: application/pdf\nSubject: x\n\n\xff\n",
	} {
		in := crlf(msg)
		out, err := To7Bit(in)
		if err != nil {
			t.Fatal(err)
		}
		want, got := leaves(t, in), leaves(t, out)
		if !strings.HasPrefix(want[0], "message/") && strings.Join(got, "|") != strings.Join(want, "|") || bytes.Count(out, []byte("MIME-Version: 1.0\r\n")) != strings.Count(msg, "message/rfc822")+1 ||
			bytes.Count(out, []byte("Content-Type")) != strings.Count(msg, "Content-Type") {
			t.Errorf("%q became\n%s", msg, out)
		}
	}
}

// INB-13: lines that SMTP cannot carry are re-encoded, and nothing else is changed.
func TestShortLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 200)
	b64 := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(long, 2)))
	qp := strings.Repeat("=C3=BC=3D x", 300)
	const mime = "MIME-Version: 1.0\n"
	for _, c := range []struct {
		name, msg string
		have      []string // in the result
	}{
		{"no MIME", "Subject: x\n\n" + long + "\nshort =\n", []string{"MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"}},
		{"no MIME, 8bit", "Subject: x\n\nü" + long + "\n", []string{"Content-Type: text/plain; charset=unknown-8bit\r\n"}},
		{"declared without MIME-Version", "Content-Type: text/html; charset=utf-8\n\nü" + long + "\n", []string{"Content-Type: text/html; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"}},
		{"one part of three", mime + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nkept =\n--b\nContent-Type: application/x\nContent-Transfer-Encoding: 8bit\n\n" + long + "\n--b\nContent-Transfer-Encoding: 8bit\n\nkept ü\n--b--\n",
			[]string{"--b\r\n\r\nkept =\r\n--b\r\n", "Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\nkept ü\r\n"}},
		{"binary", mime + "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: binary\n\n--b\nContent-Transfer-Encoding: binary\n\n" + long + "\n--b--\n", []string{"Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n"}},
		{"nested message", mime + "Content-Type: message/rfc822\n\nSubject: y\nDKIM-Signature: v=1\n\n" + long + "\n", []string{"Content-Type: message/rfc822\r\n\r\nSubject: y\r\nDKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n"}},
		{"base64 in one line", mime + "Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n" + b64 + "\n", []string{"Content-Transfer-Encoding: base64\r\n\r\n" + b64[:76] + "\r\n"}},
		{"S/MIME, encrypted, base64 in one line", mime + "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + b64 + "\n", nil},
		{"quoted-printable in one line", mime + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n" + qp + "\n", []string{"Content-Transfer-Encoding: Quoted-Printable\r\n"}},
		{"preamble and padded boundary", mime + "Content-Type: multipart/mixed; boundary=b\n\n" + long + "\n--b" + strings.Repeat(" ", 1000) + "\n\nkept\n--b--\n" + long + "\n", []string{"\r\n--b\r\n\r\nkept\r\n--b--\r\n"}},
		{"long field", "References: " + strings.Repeat("<0123456789@example.test> ", 100) + "\nSubject:  two  spaces\n\nkept\n", []string{"Subject:  two  spaces\r\n\r\nkept\r\n"}},
		{"long field of a signed part", mime + "X: " + strings.Repeat("word ", 500) + "\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nkept\n--b--\n", []string{"\r\n\r\n--b\r\n\r\nkept\r\n--b--\r\n"}},
		{"long field of a part", mime + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Description: " + strings.Repeat("word ", 500) + "\n\nkept\n--b--\n", []string{"\r\n\r\nkept\r\n--b--\r\n"}},
	} {
		in := crlf(c.msg)
		out, err := ShortLines(in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if LongLine(out) || !LongLine(in) {
			t.Errorf("%s: long lines: before %v, after %v", c.name, LongLine(in), LongLine(out))
		}
		if want, got := leaves(t, in), leaves(t, out); c.name != "nested message" && strings.Join(want, "|") != strings.Join(got, "|") {
			t.Errorf("%s: leaves\n%.300q\n%.300q", c.name, want, got)
		}
		h, _, err := SplitHeader(in)
		h2, _, err2 := SplitHeader(out)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, f := range h.Fields {
			if got := h2.Get(f.Name); got != f.Value() && !f.Is("Content-Transfer-Encoding") {
				t.Errorf("%s: %s is %q", c.name, f.Name, got)
			}
		}
		for _, part := range c.have {
			if !bytes.Contains(out, []byte(part)) {
				t.Errorf("%s: no %q in\n%s", c.name, part, out)
			}
		}
		if again, err := ShortLines(out); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%s: changed again, %v", c.name, err)
		}
	}
}

// INB-13: what must not be changed, or cannot be, is not.
func TestShortLinesRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 999)
	const mime = "MIME-Version: 1.0\n"
	for name, msg := range map[string]string{
		"signed: DKIM":      "DKIM-Signature: v=1\n\n" + long,
		"signed: OpenPGP":   mime + "Content-Type: multipart/signed; boundary=b\n\n--b\n\n" + long + "\n--b--\n",
		"signed: nested":    mime + "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n--b\n\n" + long + "\n--b--\n--a--\n",
		"signed: encrypted": mime + "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n" + long + "\n--b--\n",
		"signed: S/MIME":    mime + "Content-Type: application/pkcs7-mime\n\n" + long,
		"field":             "Subject: " + long + "\n\nx",
		"folded field":      "Subject: x\n " + long + "\n\nx",
		"encoding":          mime + "Content-Transfer-Encoding: x-uuencode\n\n" + long,
		"partial":           mime + "Content-Type: message/partial\n\n" + long,
		"no header":         long + "\n\nx",
	} {
		if out, err := ShortLines(crlf(msg)); err == nil {
			t.Errorf("%s: converted to %.200q", name, out)
		} else if errors.Is(err, ErrSigned) != strings.HasPrefix(name, "signed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	exact := crlf("Subject: x\n\n" + strings.Repeat("x", 998) + "\n")
	if out, err := ShortLines(exact); err != nil || !bytes.Equal(out, exact) {
		t.Errorf("a line of 998 octets was changed: %v", err)
	}
}

func FuzzShortLines(f *testing.F) {
	long := strings.Repeat("0123456789", 100)
	f.Add(crlf("Subject: x\n\n" + long))
	f.Add(crlf("Content-Type: multipart/mixed; boundary=b\n\n" + long + "\n--b\nContent-Transfer-Encoding: quoted-printable\n\n" + long + "=\n--b--\n" + long))
	f.Fuzz(func(t *testing.T, msg []byte) {
		out, err := ShortLines(msg)
		if err != nil {
			return
		}
		if LongLine(out) {
			t.Fatalf("a long line is left in %q", out)
		}
		if both, err := convert(msg, Need{SevenBit: true, ShortLines: true}); err == nil && (EightBit(both) || LongLine(both)) {
			t.Fatalf("not as needed: %q", both)
		}
	})
}

// RFC 5322 §2.1.1: 998 octets without the line end, and not one more.
func TestLongLineBorders(t *testing.T) {
	t.Parallel()
	line := func(n int) string { return strings.Repeat("x", n) }
	for _, end := range []string{"\r\n", "\n", ""} {
		for _, before := range []string{"", "a\r\n", "\n", line(998) + "\r\n", line(500) + "\n" + line(400) + "\r\n"} {
			for _, after := range []string{"", "b\r\n", line(998)} {
				if end == "" && after != "" {
					continue
				}
				for n := 990; n < 1010; n++ {
					if got := LongLine([]byte(before + line(n) + end + after)); got != (n > 998) {
						t.Errorf("%d octets, %q, after %d octets, before %d: %v", n, end, len(before), len(after), got)
					}
				}
			}
		}
	}
}

func TestEightBit(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		b := bytes.Repeat([]byte{0x7f}, n)
		if EightBit(b) {
			t.Errorf("%d octets of US-ASCII", n)
		}
		for i := range n {
			b[i] = 0x80
			if !EightBit(b) {
				t.Errorf("octet %d of %d", i, n)
			}
			b[i] = 0x7f
		}
	}
}
