package message

import (
	"bytes"
	"mime"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
)

func TestParseAddressList(t *testing.T) {
	t.Parallel()
	got, err := ParseAddressList(`"Doe, J." <"j doe"@example.org>, =?utf-8?q?J=C3=B6?= <jo@example.net>, team: a@b.example, c@[192.0.2.1];`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Address{{"Doe, J.", "j doe", "example.org"}, {"Jö", "jo", "example.net"}, {"", "a", "b.example"}, {"", "c", "[192.0.2.1]"}}
	if len(got) != len(want) {
		t.Fatalf("addresses %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("address %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if s := got[0].String(); s != `"Doe, J." <"j doe"@example.org>` {
		t.Errorf("written %s", s)
	}
	if s := got[1].String(); s != `=?utf-8?q?J=C3=B6?= <jo@example.net>` {
		t.Errorf("written %s", s)
	}
	for _, bad := range []string{"", "x", "<a@b", strings.Repeat("a@b.example,", 10000)} {
		if l, err := ParseAddressList(bad); err == nil {
			t.Errorf("%.20q gave %v", bad, l)
		}
	}
}

func TestFromDomain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, domain, fault string }{
		{"From: A <a@Example.ORG>", "example.org", ""},
		{"From: a@bücher.example", "xn--bcher-kva.example", ""},
		{"From: a@b.example, c@B.example", "b.example", ""},
		{"From: a@b.example, c@d.example", "", "two domains"},
		{"From: a@b.example\nFrom: a@b.example", "", "2 From fields"},
		{"Sender: a@b.example", "", "no From"},
		{"From: a@[192.0.2.1]", "", "invalid domain"},
		{"From: undisclosed:;", "", "no address"},
	} {
		h, _, err := SplitHeader(crlf(c.header + "\n\n"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := FromDomain(h)
		switch {
		case c.fault == "" && (err != nil || d.ASCII() != c.domain):
			t.Errorf("%q: %v, %v", c.header, d, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%q: error %v, want %q", c.header, err, c.fault)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	words := strings.TrimSpace(strings.Repeat("word ", 60))
	b := Fold("Subject", words)
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
		if len(l) > 78 {
			t.Errorf("line of %d octets: %q", len(l), l)
		}
	}
	h, _, err := SplitHeader(append(b, "\r\n"...))
	if err != nil || h.Get("Subject") != words {
		t.Errorf("unfolded %q, %v", h.Get("Subject"), err)
	}
	// A value cannot add a field or end the header.
	b = Fold("Subject", "evil\r\nBcc: x\r\n\r\nbody")
	if h, body, _ := SplitHeader(append(b, "\r\n"...)); len(h.Fields) != 1 || len(body) != 0 {
		t.Errorf("injected: %q", b)
	}
	for _, l := range strings.Split(string(Fold("X", strings.Repeat("ü", 3000))), "\r\n") {
		if len(l) > maxLine {
			t.Errorf("line of %d octets", len(l))
		}
	}
	if got := string(Fold("X", "")); got != "X:\r\n" {
		t.Errorf("empty field %q", got)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("some words\nand more")
	f.Fuzz(func(t *testing.T, value string) {
		b := Fold("X-Test", value)
		h, body, err := SplitHeader(append(b, "\r\n"...))
		if err != nil || len(h.Fields) != 1 || len(body) != 0 {
			t.Fatalf("folded %q: %v %v", b, h.Fields, err)
		}
		for _, l := range bytes.Split(b, []byte("\r\n")) {
			if len(l) > maxLine {
				t.Fatalf("line of %d octets", len(l))
			}
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Joe":       "Joe",
		"Joe Six":   "Joe Six",
		"J. Doe":    `"J. Doe"`,
		`a"b\`:      `"a\"b\\"`,
		"=?x?q?y?=": `"=?x?q?y?="`,
		"Jörg":      "=?utf-8?q?J=C3=B6rg?=",
		"evil\r\nx": "=?utf-8?q?evil=0D=0Ax?=",
		`ü, "<b@x>`: "=?utf-8?b?w7wsICI8YkB4Pg==?=", // no reader may see an address in it
	} {
		if got := EncodePhrase(in); got != want {
			t.Errorf("phrase %q: %q, want %q", in, got, want)
		}
	}
	got, err := new(mime.WordDecoder).DecodeHeader(EncodeWord("Grüße aus Köln"))
	if err != nil || got != "Grüße aus Köln" {
		t.Errorf("word %q, %v", got, err)
	}
	at := time.Date(2026, 11, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	if got := FormatDate(at); got != "Mon, 2 Nov 2026 03:04:05 +0100" {
		t.Errorf("date %q", got)
	}
	host := dns.MustParse("mx.example.org")
	a, b := NewMessageID(at, nil, host), NewMessageID(at, nil, host)
	if a == b || !strings.HasPrefix(a, "<") || !strings.HasSuffix(a, "@mx.example.org>") {
		t.Errorf("message ids %s, %s", a, b)
	}
	if got := string(ToCRLF("a\nb\r\nc")); got != "a\r\nb\r\nc\r\n" {
		t.Errorf("line ends %q", got)
	}
}
