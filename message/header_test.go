package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func TestSplitHeader(t *testing.T) {
	t.Parallel()
	msg := crlf("Received: one\nFrom : a@example.org\nSubject: folded\n  over two\n\tand three lines\nX-Empty:\n\nbody\n\nmore\n")
	h, body, err := SplitHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(body); got != "body\r\n\r\nmore\r\n" {
		t.Errorf("body %q", got)
	}
	want := []string{"Received", "From", "Subject", "X-Empty"}
	var names []string
	for _, f := range h.Fields {
		names = append(names, f.Name)
	}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("names %q", names)
	}
	if got := h.Get("subject"); got != "folded  over two\tand three lines" {
		t.Errorf("unfolded subject %q", got)
	}
	if got := h.Get("from"); got != "a@example.org" {
		t.Errorf("from %q", got)
	}
	if !bytes.HasPrefix(msg, h.Bytes()) {
		t.Error("the raw header changed")
	}
}

func TestSplitHeaderFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, msg string
		line      int
	}{
		{"continuation first", " x: y\n\n", 1},
		{"no colon", "A: b\nno colon here\n\n", 2},
		{"line counts folds", "A: b\n c\n d\nbad\n\n", 4},
		{"no name", ": x\n\n", 1},
		{"space in name", "A b: c\n\n", 1},
		{"eight bit name", "Ä: c\n\n", 1},
		{"colon only in the continuation", "A\n b: c\n\n", 1},
	} {
		_, _, err := SplitHeader(crlf(c.msg))
		var se *SyntaxError
		if !errors.As(err, &se) || se.Line != c.line {
			t.Errorf("%s: error %v, want a syntax error in line %d", c.name, err, c.line)
		}
	}
	if _, _, err := SplitHeader(bytes.Repeat([]byte("A: b\r\n"), MaxFields+1)); err != ErrTooManyFields {
		t.Errorf("many fields: %v", err)
	}
	if h, body, err := SplitHeader(nil); err != nil || len(h.Fields) != 0 || body != nil {
		t.Errorf("empty message: %v %q %v", h, body, err)
	}
	if h, body, err := SplitHeader(crlf("\nbody")); err != nil || len(h.Fields) != 0 || string(body) != "body" {
		t.Errorf("no header: %v %q %v", h, body, err)
	}
	if h, _, err := SplitHeader(crlf("A: b\n c")); err != nil || h.Get("A") != "b c" {
		t.Errorf("no empty line: %v %v", h, err)
	}
}

func TestReadHeader(t *testing.T) {
	t.Parallel()
	long := "X-Long: " + strings.Repeat("x", 5000)
	msg := crlf("A: b\n" + long + "\n\nthe body")
	r := bufio.NewReaderSize(bytes.NewReader(msg), 16)
	h, err := ReadHeader(r, 0)
	if err != nil || len(h.Fields) != 2 || len(h.Get("x-long")) != 5000 {
		t.Fatalf("header %v, error %v", h.Fields, err)
	}
	rest, _ := io.ReadAll(r)
	if string(rest) != "the body" {
		t.Errorf("body %q", rest)
	}
	if _, err := ReadHeader(bufio.NewReader(bytes.NewReader(msg)), 4000); err != ErrHeaderTooLarge {
		t.Errorf("over the limit: %v", err)
	}
}

func TestTLSRequiredNo(t *testing.T) {
	t.Parallel()
	for msg, want := range map[string]bool{
		"TLS-Required: No\n\n":                   true, // RFC 8689 §3
		"tls-required:  no \n\n":                 true, // ABNF strings ignore case
		"TLS-Required: No\nTLS-Required: No\n\n": false,
		"TLS-Required: Yes\n\n":                  false,
		"TLS-Required: No, really\n\n":           false,
		"Subject: TLS-Required: No\n\n":          false,
	} {
		h, _, err := SplitHeader(crlf(msg))
		if err != nil {
			t.Fatal(err)
		}
		if got := TLSRequiredNo(h); got != want {
			t.Errorf("%q: %v (INB-7)", msg, got)
		}
	}
}

func TestHeaderEdit(t *testing.T) {
	t.Parallel()
	h, _, _ := SplitHeader(crlf("A: 1\nBcc: x\nB: 2\nbcc: y\n\n"))
	old := h
	if n := h.Del("BCC"); n != 2 || h.Has("bcc") || old.Count("Bcc") != 2 {
		t.Errorf("removed %d; left %v; the copy has %v", n, h, old)
	}
	h.Prepend("Z", "first")
	if got := string(h.Bytes()); got != "Z: first\r\nA: 1\r\nB: 2\r\n" {
		t.Errorf("header %q", got)
	}
	if got := h.All("a"); len(got) != 1 || got[0] != "1" {
		t.Errorf("all %q", got)
	}
}

func TestReadHeaderAllocates(t *testing.T) {
	msg := crlf(strings.Repeat("Received: from a by b\n with continuation\n", 8) + "From: a@b.example\nSubject: x\n\nbody")
	n := testing.AllocsPerRun(100, func() {
		if _, _, err := SplitHeader(msg); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("SplitHeader allocates %v times, want at most 2", n)
	}
}

func BenchmarkSplitHeader(b *testing.B) {
	msg := crlf(strings.Repeat("Received: from a by b\n with continuation\n", 8) + "From: a@b.example\nSubject: x\n\n" + strings.Repeat("body\n", 2000))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := SplitHeader(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzSplitHeader(f *testing.F) {
	f.Add([]byte("A: b\r\n c\r\n\r\nbody"))
	f.Add([]byte("A: b\n\nbody"))
	f.Add([]byte("\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		h, body, err := SplitHeader(msg)
		h2, err2 := ReadHeader(bufio.NewReaderSize(bytes.NewReader(msg), 16), len(msg)+1)
		if (err == nil) != (err2 == nil) || len(h.Fields) != len(h2.Fields) {
			t.Fatalf("two readers of one header differ: %v, %v", err, err2)
		}
		if err != nil {
			return
		}
		raw := h.Bytes()
		if !bytes.HasPrefix(msg, raw) || !bytes.HasSuffix(msg, body) || len(msg)-len(raw)-len(body) > 2 {
			t.Fatalf("header %q and body %q do not make up the message", raw, body)
		}
		for _, f := range h.Fields {
			if strings.ContainsAny(f.Value(), "\r\n") {
				t.Fatalf("value %q holds a line end", f.Value())
			}
		}
		_, _ = FromDomain(h)
	})
}
