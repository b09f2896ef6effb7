package authres

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// The examples of RFC 8601 Appendix B, and what is written in odd ways.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value string
		want  Results
	}{
		{"example.org 1; none", Results{ID: "example.org"}},
		{"example.com;\r\n\tspf=pass smtp.mailfrom=example.net", Results{"example.com", []Result{
			{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}}},
		{"example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net; spf=pass smtp.mailfrom=example.net", Results{"example.com", []Result{
			{Method: "auth", Value: "pass", Properties: []Property{{"smtp", "auth", "sender@example.net"}}, Comment: "cram-md5"},
			{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "example.net"}}}}}},
		{"example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\" header.i=@newyork.example.com",
			Results{"example.com", []Result{
				{Method: "dkim", Value: "pass", Reason: "good signature", Properties: []Property{{"header", "i", "@mail-router.example.net"}}},
				{Method: "dkim", Value: "fail", Reason: "bad signature", Properties: []Property{{"header", "i", "@newyork.example.com"}}}}}},
		{"foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
			Results{"foo.example.net", []Result{
				{Method: "dkim", Value: "fail", Properties: []Property{{"policy", "expired", "1362471462"}}, Comment: "as I wasn't expecting it"}}}},
		{`"mx example"; dkim=pass header.b="ab/c="; `, Results{"mx example", []Result{{Method: "dkim", Value: "pass", Properties: []Property{{"header", "b", "ab/c="}}}}}},
	} {
		got, err := Parse(tt.value)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\n%+v %v\nwant %+v", tt.value, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", ";", "a; ", "a b c", "a; =pass", "a; spf", "a; spf=", "a; spf=pass smtp", "a; spf=pass smtp.=x", "a; spf=pass smtp.x", `"a; spf=pass`,
		`a; spf=pass smtp.x="y`, "a; spf=pass " + strings.Repeat("a.b=c ", 60), "a" + strings.Repeat("; spf=pass", 200), strings.Repeat("a", 1<<17)} {
		if r, err := Parse(bad); err == nil && len(r.Results) > 0 {
			t.Errorf("%.60q is read as %+v", bad, r)
		}
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	r := Results{"mx.example", []Result{
		{Method: "iprev", Value: "pass", Properties: []Property{{"policy", "iprev", "192.0.2.1"}}, Comment: "no dnssec"},
		{Method: "dkim", Value: "fail", Reason: `body "hash"` + "\r\n differs", Properties: []Property{{"header", "d", "example.org"}, {"header", "b", "ab/c+d=="}}, Comment: "2048 (bits)"},
		{Method: "spf", Value: "pass", Properties: []Property{{"smtp", "mailfrom", "joe@example.org"}}},
	}}
	want := "Authentication-Results: mx.example; iprev=pass policy.iprev=192.0.2.1 (no\r\n" +
		" dnssec); dkim=fail reason=\"body \\\"hash\\\"   differs\" header.d=example.org\r\n" +
		" header.b=\"ab/c+d==\" (2048 [bits]); spf=pass smtp.mailfrom=joe@example.org\r\n"
	if got := string(r.Field()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := string(Results{ID: "mx.example"}.Field()); got != "Authentication-Results: mx.example; none\r\n" {
		t.Errorf("%q", got)
	}
}

// AUT-2: whoever claims to be us is found, however it is written.
func TestID(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"mx.example.org; none", " mx.example.org 1; spf=pass", "MX.Example.ORG;", "mx.example.org.; none", `"mx.example.org"; none`,
		`"mx\.example.org"; none`, `mx\.example.org; none`, "(a) mx.example.org(b);", "(a (b\\) c)) \r\n\tmx.example.org", `mx."example".org;`, "mx.example.org", "mx.example.org(x", `"MX.EXAMPLE.ORG.";`} {
		if got := ID(v); got != "mx.example.org" {
			t.Errorf("%q is by %q", v, got)
		}
	}
	for v, want := range map[string]string{"": "", ";": "", "(mx.example.org)other.example;": "other.example", "mx.example.org.evil.example; none": "mx.example.org.evil.example",
		"bücher.example; none": "xn--bcher-kva.example", "x/y;": "x/y"} {
		if got := ID(v); got != want {
			t.Errorf("%q is by %q, want %q", v, got, want)
		}
	}
}

// FuzzParse: nothing panics, what is read is written and read again the same, and no value
// gets out of its place.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.org 1; none", "a; dkim=pass reason=\"x\" header.i=@b.example (c)", `"a\"b"; spf=fail smtp.mailfrom="x y"@z; auth=pass`, "(", "a;b=c d.e=f;", "a; x/1=y", strings.Repeat("a", 1000) + "; x=y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ID(s)
		r, err := Parse(s)
		if err != nil {
			return
		}
		field := r.Field()
		if bytes.Count(field, []byte("\r\n")) != bytes.Count(field, []byte("\n")) || !bytes.HasSuffix(field, []byte("\r\n")) {
			t.Fatalf("%q", field)
		}
		name, v, _ := strings.Cut(string(field), ":")
		again, err := Parse(v)
		if err != nil || name != Name {
			t.Fatalf("%q, written %q: %v", s, field, err)
		}
		if len(again.Results) != len(r.Results) {
			t.Fatalf("%q has %d results, written %q it has %d", s, len(r.Results), field, len(again.Results))
		}
		for i := range r.Results {
			if a, b := r.Results[i], again.Results[i]; a.Method != b.Method || a.Value != b.Value || len(a.Properties) != len(b.Properties) {
				t.Fatalf("%+v, written %q: %+v", a, field, b)
			}
		}
	})
}
