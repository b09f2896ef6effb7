package structure

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func parse(t testing.TB, text string) *Message {
	t.Helper()
	m, err := Parse(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestPieces has the odd messages come octet by octet: nothing may depend on where reads end.
func TestPieces(t *testing.T) {
	for _, odd := range oddMessages {
		whole, err := Parse(bytes.NewReader(odd.bytes()))
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := Parse(iotest.OneByteReader(bytes.NewReader(odd.bytes())))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("%s: not the same in pieces", odd.name)
		}
	}
}

// TestEncoding: what was kept says what the message said.
func TestEncoding(t *testing.T) {
	for _, odd := range oddMessages {
		m, _ := Parse(bytes.NewReader(odd.bytes()))
		b, _ := m.AppendBinary(nil)
		back, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", odd.name, err)
			continue
		}
		again, _ := back.AppendBinary(nil)
		if !bytes.Equal(b, again) {
			t.Errorf("%s: encoded again it differs", odd.name)
		}
		for _, extended := range []bool{false, true} {
			if a, b := m.AppendBody(nil, extended, true), back.AppendBody(nil, extended, true); !bytes.Equal(a, b) {
				t.Errorf("%s:\n%s\n%s", odd.name, a, b)
			}
		}
		if a, b := m.AppendEnvelope(nil, true), back.AppendEnvelope(nil, true); !bytes.Equal(a, b) {
			t.Errorf("%s:\n%s\n%s", odd.name, a, b)
		}
		for n := range b {
			if _, err := Decode(b[:n]); err == nil {
				t.Errorf("%s: the first %d of %d octets are taken for a structure", odd.name, n, len(b))
			}
		}
	}
	if _, err := Decode([]byte{version + 1, 0}); err != ErrEncoding {
		t.Errorf("another version: %v", err)
	}
}

func TestReadError(t *testing.T) {
	_, err := Parse(io.MultiReader(strings.NewReader("Subject: x\r\n"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if err != io.ErrUnexpectedEOF {
		t.Errorf("error %v", err)
	}
}

func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		subject, base string
		reply         bool
	}{
		{"", "", false},
		{"a", "a", false},
		{"Re: a", "a", true},
		{"RE : a", "a", true},
		{"re[2]: a", "a", true},
		{"Fwd: Re: FW: a", "a", true},
		{"[foo] Fwd: [bar] Re: fw: b (fWd)  (fwd)", "b", true},
		{"Re: [FWD: c]", "c", true},
		{"re: [fwd: [fwd: re: [fwd: babylon]]]", "babylon", true},
		{"[xyz]", "[xyz]", false},
		{"[xyz] ", "[xyz]", false},
		{"[xyz] a", "a", false},
		{"[a][b] c", "c", false},
		{"[a [b] c", "[a [b] c", false},
		{"=?iso-8859-1?q?RE:_C?=", "C", true},
		{"Re: =?utf-8?q?b?=", "b", true},
		{"Ad: Re: x", "Ad: Re: x", false},
		{"b (a)", "b (a)", false},
		{"Re:", "", true},
		{"(fwd)", "", true},
		{"Reading: a", "Reading: a", false},
		{"a\t b", "a b", false},
		{"[fwd:]", "", true},
	} {
		if base, reply := BaseSubject(c.subject); base != c.base || reply != c.reply {
			t.Errorf("%q: %q, %v; wanted %q, %v", c.subject, base, reply, c.base, c.reply)
		}
	}
}

func TestSent(t *testing.T) {
	for _, c := range []struct{ date, utc string }{
		{"Thu, 15 Feb 2007 01:02:03 +0200", "2007-02-14T23:02:03Z"},
		{"31 Dec 2000 16:01:33 -0800", "2001-01-01T00:01:33Z"},
		{"Thu, 15 Feb 2007 01:02 GMT", "2007-02-15T01:02:00Z"},
		{"15 Feb 07 01:02:03 EST (comment)", "2007-02-15T06:02:03Z"},
		{"15 February 1999 99:99 +0100", "1999-02-14T23:00:00Z"},
		{"15-Feb-2007 01:02:03 +9999", "2007-02-15T01:02:03Z"},
		{"15 Feb 2007", "2007-02-15T00:00:00Z"},
		{"(a) Thu (b), 15 (c) Feb 2007 01 : 02 : 03 +0000", "2007-02-15T01:02:03Z"},
		{"Thursday 15 Feb 103 01:02:60 Z", "2003-02-15T01:02:59Z"},
		{"never", ""},
		{"32 Feb 2007", ""},
		{"", ""},
		{"15 Foo 2007", ""},
		{"99999999999999999999 Feb 2007", ""},
	} {
		e := Envelope{Date: c.date}
		at, ok := e.Sent()
		got := ""
		if ok {
			got = at.UTC().Format(time.RFC3339)
		}
		if got != c.utc {
			t.Errorf("%q: %q, wanted %q", c.date, got, c.utc)
		}
	}
}

func TestThread(t *testing.T) {
	m := parse(t, "Message-ID: (c) <a@b>\nIn-Reply-To: Your message of today <c@d> <e@f>\nReferences:\n <\"x\"@y>\n  junk <z@\n <p.q@r>\n\n")
	id, refs := m.Thread()
	if id != "a@b" || !reflect.DeepEqual(refs, []string{"x@y", "p.q@r"}) {
		t.Errorf("%q %q", id, refs)
	}
	m = parse(t, "In-Reply-To: Your message of today <c@d> <e@f>\nReferences: none\n\n")
	if id, refs := m.Thread(); id != "" || !reflect.DeepEqual(refs, []string{"c@d"}) {
		t.Errorf("%q %q", id, refs)
	}
}

func TestHeaderFields(t *testing.T) {
	const header = "From: a\r\nSubject: b\r\n folded\r\nno field\r\nX: c\r\n\r\n"
	for _, c := range []struct {
		names []string
		not   bool
		want  string
	}{
		{[]string{"FROM", "x"}, false, "From: a\r\nX: c\r\n\r\n"},
		{[]string{"subject"}, false, "Subject: b\r\n folded\r\n\r\n"},
		{[]string{"y"}, false, "\r\n"},
		{[]string{"subject", "from"}, true, "no field\r\nX: c\r\n\r\n"},
	} {
		if got := string(HeaderFields([]byte(header), c.names, c.not)); got != c.want {
			t.Errorf("%q %v: %q", c.names, c.not, got)
		}
	}
	if got := string(HeaderFields([]byte("A: b\r\nC: d"), []string{"c"}, false)); got != "C: d" {
		t.Errorf("without a blank line: %q", got)
	}
}

func TestDecoder(t *testing.T) {
	for _, c := range []struct{ encoding, in, out string }{
		{"base64", "aGVs\r\n bG8g\td29ybGQ=", "hello world"},
		{"BASE64", "aGVsbG8=d29ybGQ=", "helloworld"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "a", ""},
		{"base64", "", ""},
		{"quoted-printable", "hello  \r\nbar=\r\n\r\nfoo\tbar\r\nfoo\t \t= \r\n=62\r\nfoo = \t\r\nbar", "hello\r\nbar\r\nfoo\tbar\r\nfoo\t \tb\r\nfoo bar"},
		{"quoted-printable", "a=zz =3d=", "a=zz ="},
		{"quoted-printable", "a\nb=\nc", "a\r\nbc"},
		{"8bit", "as is \r\n", "as is \r\n"},
		{"", "as is", "as is"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
			d, ok := Decoder(r, c.encoding)
			if !ok {
				t.Fatal(c.encoding)
			}
			if b, err := io.ReadAll(d); err != nil || string(b) != c.out {
				t.Errorf("%s %q: %q, %v; wanted %q", c.encoding, c.in, b, err, c.out)
			}
		}
	}
	if _, ok := Decoder(nil, "x-uuencode"); ok {
		t.Error("x-uuencode is decoded")
	}
}

func TestFilename(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"Content-Disposition: attachment; filename=\"EUR rates\"; filename*=utf-8''%e2%82%ac%20rates", "\u20ac rates"},
		{"Content-Disposition: attachment; filename*0*=utf-8'en'%e2%82%ac; filename*1=\" b%c\"; filename*2*=%20d", "\u20ac b%c d"},
		{"Content-Type: application/x; name=\"=?utf-8?q?=E2=82=AC?=.txt\"", "\u20ac.txt"},
		{"Content-Type: application/x; name=\"=?utf-8?q?=E2=82=AC.txt?=\"", "\u20ac.txt"},
		{"Content-Type: application/x; name*=iso-8859-1''%fc", "\u00fc"},
		{"Content-Type: application/x; name*=broken; name=b", "b"},
		{"Subject: x", ""},
	} {
		if got := parse(t, c.header+"\n\n").Root.Filename(); got != c.want {
			t.Errorf("%s: %q, wanted %q", c.header, got, c.want)
		}
	}
}

func TestPreview(t *testing.T) {
	long := strings.Repeat("word ", 100)
	for _, c := range []struct{ name, text, want string }{
		{"plain", "\n Hello,\n\n  world \n", "Hello, world"},
		{"long", "\n" + long, long[:199]},
		{"quoted", "\n> what you said\nMy answer\n", "My answer"},
		{"only quoted", "\n> what you said\n", "> what you said"},
		{"html", "Content-Type: text/html\n\n<head><title>T</title><style>a>b{}</style></head><!-- <p>no --><body a='>'><p>He<b>ll</b>o,&nbsp;<br>w&ouml;rld &lt; 3 < 4<script>if (a</b) x</script>", "Hello, w\u00f6rld < 3 < 4"},
		{"charset", "Content-Type: text/plain; charset=iso-8859-15\nContent-Transfer-Encoding: quoted-printable\n\n5=A4 f=FCr=\n dich\n", "5\u20ac f\u00fcr dich"},
		{"charset lies", "Content-Type: text/plain; charset=us-ascii\n\ngr\xfc\xdfe\n", "gr\u00fc\u00dfe"},
		{"charset unknown", "Content-Type: text/plain; charset=x-nix\n\ngr\u00fc\u00dfe\n", "gr\u00fc\u00dfe"},
		{"base64", "Content-Transfer-Encoding: base64\n\naGVsbG8=\n", "hello"},
		{"alternative", "Content-Type: multipart/alternative; boundary=a\n\n--a\n\n\n--a\nContent-Type: text/html\n\n<p>x\n--a--\n", "x"},
		{"attachment", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Disposition: attachment\n\nno\n--a\n\nyes\n--a--\n", "yes"},
		{"image", "Content-Type: image/png\n\nxxxx\n", ""},
		{"iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3$s$K$A$O\x1b(B\n", "\u3053\u3093\u306b\u3061\u306f"},
	} {
		if got := parse(t, c.text).Preview; got != c.want {
			t.Errorf("%s: %q, wanted %q", c.name, got, c.want)
		}
	}
}

// TestBounds: what is large costs no more than the bounds say, and is still a structure.
func TestBounds(t *testing.T) {
	deep := strings.Repeat("Content-Type: message/rfc822\n\n", 3000)
	many := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\n\nx\n", 5000) + "--a--\n"
	nested := ""
	for range 300 {
		nested += "Content-Type: multipart/mixed; boundary=a\n\n--a\n"
	}
	addresses := "To: " + strings.Repeat("a,", 200_000) + "\nCc: " + strings.Repeat("b,", 200_000) + "\n\n"
	params := "Content-Type: text/plain" + strings.Repeat("; a=b", 100_000) + "\n\n"
	comments := "To: " + strings.Repeat("(", 200_000) + "\nCc: " + strings.Repeat("a (", 100_000) + "\nContent-Type: " + strings.Repeat("(", 100_000) + "\n\n"
	pieces := "Content-Type: text/plain" + strings.Repeat("; a*1=b; c*0=d", 100_000) + "\n\n"
	for _, text := range []string{deep, many, nested, addresses, params, comments, pieces} {
		from := time.Now()
		m := parse(t, text)
		if took := time.Since(from); took > 2*time.Second {
			t.Errorf("%.40q…: %v", text, took)
		}
		b, _ := m.AppendBinary(nil)
		if len(b) > maxText+MaxParts*100 {
			t.Errorf("%.40q…: %d octets are kept", text, len(b))
		}
		if _, err := Decode(b); err != nil {
			t.Errorf("%.40q…: %v", text, err)
		}
		if n := len(m.AppendBody(nil, true, true)); n > 1<<20 {
			t.Errorf("%.40q…: a BODYSTRUCTURE of %d octets", text, n)
		}
	}
	if n := len(parse(t, many).Root.Parts); n != MaxParts-1 {
		t.Errorf("%d parts", n)
	}
}

// check holds for every message.
func check(t *testing.T, m *Message, size int64) {
	t.Helper()
	if m.Root == nil || m.Root.Start != 0 || m.Root.End != size {
		t.Fatalf("the message is from %d to %d of %d", m.Root.Start, m.Root.End, size)
	}
	parts := 0
	var walk func(p *Part)
	walk = func(p *Part) {
		parts++
		if p.Start > p.Body || p.Body > p.End || p.Lines < 0 {
			t.Fatalf("part from %d, body from %d to %d, %d lines", p.Start, p.Body, p.End, p.Lines)
		}
		at := p.Body
		for _, child := range p.Parts {
			if child.Start < at || child.End > p.End {
				t.Fatalf("part from %d to %d in one from %d to %d", child.Start, child.End, at, p.End)
			}
			at = child.End
			walk(child)
		}
	}
	walk(m.Root)
	if parts > MaxParts+1 {
		t.Fatalf("%d parts", parts)
	}
	if n := len([]rune(m.Preview)); n > 256 { // RFC 8970 §3.3
		t.Fatalf("a preview of %d characters", n)
	}
}

func FuzzParse(f *testing.F) {
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
		check(t, m, int64(len(b)))
		if !balanced(m.AppendEnvelope(nil, true)) || !balanced(m.AppendBody(nil, true, true)) || !balanced(m.AppendBody(nil, false, false)) {
			t.Fatal("no list")
		}
		for _, s := range sections(m)[:3] {
			number, text := splitSection(s)
			if r, ok := m.Section(number, text); !ok || r.Start > r.End || r.End > int64(len(b)) {
				t.Fatalf("%s: %v", s, r)
			}
		}
		m.Thread()
		m.Envelope.Sent()
		BaseSubject(m.Envelope.Subject)
		kept, _ := m.AppendBinary(nil)
		back, err := Decode(kept)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := back.AppendBinary(nil); !bytes.Equal(kept, again) {
			t.Fatal("encoded again it differs")
		}
	})
}

// balanced tells whether an answer is one list.
func balanced(b []byte) bool {
	depth := 0
	s := canonical(b)
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 && i < len(s)-1 {
				return false
			}
		}
	}
	return depth == 0
}

func FuzzDecode(f *testing.F) {
	for _, odd := range oddMessages {
		m, _ := Parse(bytes.NewReader(odd.bytes()))
		if b, _ := m.AppendBinary(nil); len(b) < 4000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		m.AppendEnvelope(nil, true)
		m.AppendBody(nil, true, true)
		m.Section([]uint32{1, 1}, "MIME")
	})
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("aGVsbG8="), true)
	f.Add([]byte("a=3D=\r\n b  \r\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, base64 bool) {
		encoding := "quoted-printable"
		if base64 {
			encoding = "base64"
		}
		whole, _ := Decoder(bytes.NewReader(b), encoding)
		pieces, _ := Decoder(iotest.OneByteReader(bytes.NewReader(b)), encoding)
		x, _ := io.ReadAll(whole)
		y, _ := io.ReadAll(pieces)
		if !bytes.Equal(x, y) && len(b) < maxQuotedLine {
			t.Fatalf("%q in pieces: %q and %q", b, x, y)
		}
	})
}

// typical is a message of 10 KiB as people send them.
func typical() []byte {
	var b strings.Builder
	b.WriteString("Return-Path: <a@example.com>\nReceived: from mail.example.com (mail.example.com [192.0.2.1])\n\tby mx.example.net with ESMTPS id 0123456789\n\tfor <b@example.net>; Thu, 15 Feb 2007 01:02:04 +0200\n" +
		"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=sel;\n\th=from:to:subject:date:message-id; bh=" + strings.Repeat("x", 44) + ";\n\tb=" + strings.Repeat("y", 340) + "\n" +
		head + "To: \"Some Body\" <b@example.net>, Other <c@example.net>\nCc: list@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here\nMessage-ID: <0123456789.abcdef@example.com>\nIn-Reply-To: <x@example.net>\nReferences: <w@example.net>\n <x@example.net>\n" +
		"User-Agent: Mozilla Thunderbird\nContent-Language: en\nContent-Type: multipart/alternative; boundary=\"------------0123456789\"\n\nThis is a multi-part message in MIME format.\n--------------0123456789\nContent-Type: text/plain; charset=UTF-8; format=flowed\nContent-Transfer-Encoding: quoted-printable\n\n")
	for b.Len() < 4500 {
		b.WriteString("Lorem ipsum dolor sit amet, consectetur adipiscing elit =C3=BC sed do.\n")
	}
	b.WriteString("--------------0123456789\nContent-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n<html><body>\n")
	for b.Len() < 10<<10-200 {
		b.WriteString("<p>Lorem ipsum dolor sit amet, consectetur <b>adipiscing</b> elit.</p>\n")
	}
	b.WriteString("</body></html>\n--------------0123456789--\n")
	return []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
}

func BenchmarkParse(b *testing.B) {
	msg := typical()
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(msg)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	m, _ := Parse(bytes.NewReader(typical()))
	kept, _ := m.AppendBinary(nil)
	b.ReportMetric(float64(len(kept)), "octets")
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		m, err := Decode(kept)
		if err != nil {
			b.Fatal(err)
		}
		out = m.AppendBody(m.AppendEnvelope(out[:0], true), true, true)
	}
}

// What was kept of a message tells of it behind further header fields, too.
func TestBehind(t *testing.T) {
	t.Parallel()
	const text = "Subject: x\r\nReferences: <a@b> <c@d>\r\nIn-Reply-To: <e@f>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--b--\r\n"
	const before = "Return-Path: <joe@example.org>\r\nDelivered-To: ann@example.net\r\n"
	parse := func(s string) *Message {
		m, err := Parse(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	kept, err := parse(text).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(Behind(kept, len(before)))
	if err != nil {
		t.Fatal(err)
	}
	if want := parse(before + text); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got.Root, want.Root)
	}
	if got := strings.Join(got.Answers(), " "); got != "a@b c@d e@f" {
		t.Errorf("it answers %s", got)
	}
	if again := Behind(Behind(kept, 5), 5); again[1] != 5 {
		t.Errorf("%v was moved twice", again[:3])
	}
	if got := Behind(nil, 5); got != nil {
		t.Error(got)
	}
}

// MAIL-6: a notification that names no message it answers is one about the message that it returns.
func TestAnswersOfNotification(t *testing.T) {
	t.Parallel()
	const report = "From: Mail Delivery System <mailer-daemon@b.test>\r\n%sContent-Type: multipart/%s; report-type=%s; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; b.test\r\n\r\nAction: failed\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <sent@a.test>\r\n\r\nz\r\n--b--\r\n"
	for _, tt := range []struct{ more, kind, of, want string }{
		{"", "report", "delivery-status", "sent@a.test"},
		{"In-Reply-To: <other@a.test>\r\n", "report", "delivery-status", "other@a.test"},
		{"", "report", "disposition-notification", ""},
		{"", "mixed", "delivery-status", ""},
	} {
		m, err := Parse(strings.NewReader(fmt.Sprintf(report, tt.more, tt.kind, tt.of)))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.Answers(), " "); got != tt.want {
			t.Errorf("%+v: it answers %q", tt, got)
		}
	}
}
