package tlsrpt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// json is a report as JSON, told by its id.
func jsonOf(t testing.TB, id string) string {
	t.Helper()
	r := sample()
	r.ID = id
	j, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(j)
}

// packedOf is the same in gzip and base64.
func packedOf(t testing.TB, id string) string {
	t.Helper()
	gz, err := Compress([]byte(jsonOf(t, id)))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(gz)
}

// mailOf is a mail of parts, each header and body.
func mailOf(parts ...string) string {
	m := "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, p := range parts {
		m += "--b\r\n" + p + "\r\n"
	}
	return m + "--b--\r\n"
}

// RPT-26: the report is found by what it is, whatever the part calls itself; a fault of
// another part does not matter.
func TestFind(t *testing.T) {
	t.Parallel()
	one, two, packed := jsonOf(t, "one"), jsonOf(t, "two"), packedOf(t, "packed")
	const b64 = "Content-Transfer-Encoding: base64\r\n"
	for _, tt := range []struct {
		name, in string
		want     string // ids in order, or a part of the error
	}{
		{"a file", one, "one"},
		{"JSON type", mailOf("Content-Type: application/tlsrpt+json\r\n\r\n" + one), "one"},
		{"gzip type", mailOf("Content-Type: application/tlsrpt+gzip\r\n" + b64 + "\r\n" + packed), "packed"},
		{"gzip called JSON", mailOf("Content-Type: application/tlsrpt+json\r\n" + b64 + "\r\n" + packed), "packed"},
		{"JSON called gzip", mailOf("Content-Type: application/tlsrpt+gzip\r\n\r\n" + one), "one"},
		{"the type of the RFC's draft", mailOf("Content-Type: application/tlsrpt\r\n\r\n" + one), "one"},
		{"no type", mailOf("\r\n" + one), "one"},
		{"text", mailOf("Content-Type: text/plain\r\n\r\n\r\n  " + one), "one"},
		{"a type that nobody knows", mailOf("Content-Type: application/x-something; name=x.bin\r\n" + b64 + "\r\n" + packed), "packed"},
		{"the whole mail", "From: a@b.example\r\nContent-Type: application/tlsrpt+gzip\r\n" + b64 + "\r\n" + packed, "packed"},
		{"octets without a name", mailOf("\r\nHello", "Content-Type: application/octet-stream\r\n"+b64+"\r\n"+packed), "packed"},
		{"two", mailOf("Content-Type: application/tlsrpt+json\r\n\r\n"+one, "Content-Type: application/tlsrpt+json\r\n\r\n"+two), "one two"},
		{"the likeliest first", mailOf("\r\n"+two, "Content-Type: application/gzip; name=x.json.gz\r\n"+b64+"\r\n"+packed, "Content-Type: application/tlsrpt+json\r\n\r\n"+one), "one packed two"},
		{"one twice", mailOf("Content-Type: application/tlsrpt+json\r\n\r\n"+one, "Content-Type: application/json\r\n\r\n"+one), "one"},
		{"beside a JSON that is none", mailOf("Content-Type: application/json; name=meta.json\r\n\r\n{}", "Content-Type: application/octet-stream\r\n"+b64+"\r\n"+packed), "packed"},
		{"beside a broken one", mailOf("Content-Type: application/tlsrpt+gzip\r\n"+b64+"\r\nH4sIAAAA", "Content-Type: application/tlsrpt+json\r\n\r\n"+one), "one"},
		{"beside a broken part", mailOf("no colon\r\n\r\nx", "Content-Transfer-Encoding: x-uuencode\r\n\r\nx", "Content-Type: application/tlsrpt+json\r\n\r\n"+one), "one"},
		{"beside a large part", mailOf("\r\n"+strings.Repeat("large\r\n", 6<<20/7), "Content-Type: application/tlsrpt+json\r\n\r\n"+one), "one"},
		{"an encoding that is none", mailOf("Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: utf-8\r\n\r\n" + one), "one"},
		{"before too many parts", mailOf(slices.Concat([]string{"\r\n" + one}, slices.Repeat([]string{"\r\nx"}, 200))...), "one"},
		{"none", mailOf("\r\nHello"), "!" + ErrNoReport.Error()},
		{"no MIME", "From: a@b.example\r\n\r\nHello\r\n", "!" + ErrNoReport.Error()},
		{"no report in it", mailOf("Content-Type: application/tlsrpt+json\r\n\r\n{}"), "!is not a time"},
		{"the first one's fault", mailOf("Content-Type: application/json; name=a.json\r\n\r\n{}", "Content-Type: application/tlsrpt+gzip\r\n"+b64+"\r\nH4sIAAAA"), "!gzip"},
		{"broken base64", mailOf("Content-Type: application/tlsrpt+gzip\r\n" + b64 + "\r\n" + packed[:81]), "!illegal base64"},
		{"an encoding that is none, and nothing in it", mailOf("Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nx"), "!unknown transfer encoding"},
		{"XML", "<?xml version=\"1.0\"?>", "!invalid character"},
	} {
		var ids []string
		err := Find([]byte(tt.in), Limits{}, func(r *Report) error { ids = append(ids, r.ID); return nil })
		got := strings.Join(ids, " ")
		if why, fails := strings.CutPrefix(tt.want, "!"); fails {
			if err == nil || got != "" || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %q, %v; want %q", tt.name, got, err, why)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
		if err := Contains([]byte(tt.in)); err != nil {
			t.Errorf("%s: not said to hold one: %v", tt.name, err)
		}
	}
}

// What one mail can make of work is bounded, and the caller can end it.
func TestFindBounds(t *testing.T) {
	t.Parallel()
	var parts []string
	for i := range 50 {
		parts = append(parts, "Content-Type: application/tlsrpt+json\r\n\r\n"+jsonOf(t, fmt.Sprint(i)))
	}
	count := func(limits Limits) (n int) {
		if err := Find([]byte(mailOf(parts...)), limits, func(*Report) error { n++; return nil }); err != nil {
			t.Error(err)
		}
		return n
	}
	if n := count(Limits{}); n != maxReports {
		t.Errorf("%d reports", n)
	}
	size := int64(len(jsonOf(t, "10")))
	if n := count(Limits{Size: 3*size + size/2}); n != 3 {
		t.Errorf("%d reports in the size of 3.5", n)
	}
	stop, n := errors.New("stop"), 0
	if err := Find([]byte(mailOf(parts...)), Limits{}, func(*Report) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

// Contains says why there is none.
func TestContainsNone(t *testing.T) {
	t.Parallel()
	tooMany := mailOf(slices.Repeat([]string{"\r\nx"}, 2000)...)
	for name, in := range map[string]string{"text": mailOf("\r\nHello"), "an empty part": mailOf("\r\n"), "no MIME": "From: a@b.example\r\n\r\nHello\r\n"} {
		if err := Contains([]byte(in)); err != ErrNoReport {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Contains([]byte(tooMany)); err == nil || !strings.Contains(err.Error(), "unreadable mail") {
		t.Errorf("too many parts: %v", err)
	}
	err := Find([]byte(tooMany), Limits{}, func(*Report) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "unreadable mail") {
		t.Errorf("too many parts: %v", err)
	}
}

// A name that a report has comes before a text that only begins as one.
func TestFindByName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x.json", "X.JSON", "x.json.gz", "x.gz"} {
		var ids []string
		mail := mailOf("Content-Type: text/plain; name=x.txt\r\n\r\n"+jsonOf(t, "text"), "Content-Type: application/octet-stream; name="+name+"\r\n\r\n"+jsonOf(t, "named"))
		err := Find([]byte(mail), Limits{}, func(r *Report) error { ids = append(ids, r.ID); return nil })
		if err != nil || strings.Join(ids, " ") != "named text" {
			t.Errorf("%s: %q, %v", name, ids, err)
		}
	}
}

// A report is taken whole where it is as large as may be read, and none behind it.
func TestFindToTheLastOctet(t *testing.T) {
	t.Parallel()
	one := jsonOf(t, "1")
	mail := mailOf("Content-Type: application/tlsrpt+json\r\n\r\n"+one, "Content-Type: application/tlsrpt+json\r\n\r\n"+jsonOf(t, "2"))
	for size, want := range map[int]int{len(one) - 1: 0, len(one): 1, 2*len(one) - 1: 1, 2 * len(one): 2} {
		n := 0
		err := Find([]byte(mail), Limits{Size: int64(size)}, func(*Report) error { n++; return nil })
		if n != want || (err == nil) != (want > 0) || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d octets: %d reports, %v", size, n, err)
		}
	}
}

func TestLooksLikeMail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"From: a": true, "From \t: a": true, "!~: a": true, "a:": true,
		"": false, ": a": false, " : a": false, "two words: a": false, "\x7f: a": false, "ä: a": false, `{"a": 1}`: false, "<a:b>": false, `"a": 1`: false, "[a: b": false,
		"From": false, strings.Repeat("a", 511) + ":": true, strings.Repeat("a", 512) + ":": false,
	} {
		if looksLikeMail([]byte(in)) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}

func FuzzFind(f *testing.F) {
	for name := range corpus {
		if strings.HasSuffix(name, ".eml") {
			data, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := Find(data, Limits{}, func(r *Report) error {
			n++
			if r.ID == "" || r.Begin.IsZero() || len(r.Notes) > maxNotes+2 {
				t.Fatalf("%+v", r)
			}
			return nil
		})
		if (err == nil) != (n > 0) || n > maxReports {
			t.Fatalf("%d reports, %v", n, err)
		}
		if n > 0 && Contains(data) != nil {
			t.Fatal("found where none was said to be")
		}
	})
}
