package mtasts

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/reason"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		txts []string
		want *Record
		word reason.Word
	}{
		{"plain", []string{"v=STSv1; id=20160831085700Z;"}, &Record{ID: "20160831085700Z"}, ""},
		{"no last delimiter", []string{"v=STSv1;id=1"}, &Record{ID: "1"}, ""},
		{"white space", []string{"v=STSv1;\t id=1 \t; "}, &Record{ID: "1"}, ""},
		{"extensions", []string{"v=STSv1; a.b-c_d=x:y; id=1; 9=~"}, &Record{ID: "1", Extensions: []Extension{{"a.b-c_d", "x:y"}, {"9", "~"}}}, ""},
		{"first id counts", []string{"v=STSv1; id=1; id=2"}, &Record{ID: "1"}, ""},
		{"others ignored", []string{"v=spf1 -all", "v=STSv12; id=2", "v=STSv1; id=1", "v=stsv1; id=3", " v=STSv1; id=4"}, &Record{ID: "1"}, ""},
		// STS-12, RFC 8461 §3.1: sts-field-delim = *WSP ";" *WSP.
		{"white space before the first semicolon", []string{"v=STSv1 ; id=20250101;"}, &Record{ID: "20250101"}, ""},
		{"white space before each", []string{"v=STSv1\t ;\tid=1 \t;\ta=b \t;"}, &Record{ID: "1", Extensions: []Extension{{"a", "b"}}}, ""},
		{"two, one with white space", []string{"v=STSv1 ; id=1", "v=STSv1; id=1"}, nil, reason.STSMultipleRecords},
		// STS-12: who means to have a record is told what is wrong with it.
		{"version in another case", []string{"v=stsv1; id=1"}, nil, reason.STSRecordSyntax},
		{"key in another case", []string{"V=STSv1; id=1"}, nil, reason.STSRecordSyntax},
		{"white space before it", []string{" v=STSv1; id=1"}, nil, reason.STSRecordSyntax},
		{"quotes in it", []string{`"v=STSv1; id=1"`}, nil, reason.STSRecordSyntax},
		{"version alone, in another case", []string{"v=stsv1"}, nil, reason.STSRecordSyntax},
		{"no semicolon", []string{"v=STSv1 id=1"}, nil, reason.STSRecordSyntax},
		{"a comma", []string{"v=STSv1, id=1"}, nil, reason.STSRecordSyntax},
		{"white space behind it alone", []string{"v=STSv1 "}, nil, reason.STSRecordSyntax},
		{"two that mean it", []string{"v=stsv1; id=1", "v=STSV1; id=1"}, nil, reason.STSRecordSyntax},
		{"another version", []string{"v=STSv12; id=2", "v=STSv1x; id=2", "v=STS"}, nil, reason.STSNoRecord},
		{"id of 32", []string{"v=STSv1; id=" + strings.Repeat("a", 32)}, &Record{ID: strings.Repeat("a", 32)}, ""},
		{"none", nil, nil, reason.STSNoRecord},
		{"none of ours", []string{"", "v=spf1 -all", "STSv1; id=1"}, nil, reason.STSNoRecord},
		{"two", []string{"v=STSv1; id=1", "v=STSv1; id=1"}, nil, reason.STSMultipleRecords},
		{"one and a broken one", []string{"v=STSv1; id=1", "v=STSv1;"}, nil, reason.STSMultipleRecords},
		{"version alone", []string{"v=STSv1"}, nil, reason.STSRecordSyntax},
		{"no id", []string{"v=STSv1; a=b"}, nil, reason.STSRecordSyntax},
		{"empty id", []string{"v=STSv1; id="}, nil, reason.STSRecordSyntax},
		{"id of 33", []string{"v=STSv1; id=" + strings.Repeat("a", 33)}, nil, reason.STSRecordSyntax},
		{"id with a hyphen", []string{"v=STSv1; id=2018-09-07"}, nil, reason.STSRecordSyntax},
		{"space before the value", []string{"v=STSv1; id= 1"}, nil, reason.STSRecordSyntax},
		{"upper-case key", []string{"v=STSv1; ID=1"}, nil, reason.STSRecordSyntax},
		{"empty field", []string{"v=STSv1;; id=1"}, nil, reason.STSRecordSyntax},
		{"no name", []string{"v=STSv1; =x; id=1"}, nil, reason.STSRecordSyntax},
		{"second equals sign", []string{"v=STSv1; a=b=c; id=1"}, nil, reason.STSRecordSyntax},
		{"space in a value", []string{"v=STSv1; a=b c; id=1"}, nil, reason.STSRecordSyntax},
		{"name of 32", []string{"v=STSv1; id=1; " + strings.Repeat("a", 32) + "=b"}, &Record{ID: "1", Extensions: []Extension{{strings.Repeat("a", 32), "b"}}}, ""},
		{"name of 33", []string{"v=STSv1; id=1; " + strings.Repeat("a", 33) + "=b"}, nil, reason.STSRecordSyntax},
		{"non-ASCII", []string{"v=STSv1; a=ü; id=1"}, nil, reason.STSRecordSyntax},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRecord(c.txts)
			if wordOf(err) != c.word || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, c.want, c.word)
			}
			if err != nil && err.Detail == "" {
				t.Error("no detail")
			}
		})
	}
}

func wordOf(err *Error) reason.Word {
	if err == nil {
		return ""
	}
	return err.Word
}

// TestLookupRecord: STS-1; a failed lookup is not the same as no record (STS-6).
func TestLookupRecord(t *testing.T) {
	t.Parallel()
	r := &dnstest.Resolver{T: t, Replies: map[string]any{
		"TXT _mta-sts.good.example":  dns.Answer[string]{Records: []string{"v=STSv1; id=7;"}, TTL: time.Minute},
		"TXT _mta-sts.none.example":  dns.Answer[string]{NXDomain: true},
		"TXT _mta-sts.bogus.example": &dns.Error{Type: "TXT", Security: dns.Bogus, RCode: "SERVFAIL"},
	}}
	a, rec, err := LookupRecord(t.Context(), r, dns.MustParse("good.example"))
	if err != nil || rec.ID != "7" || a.TTL != time.Minute {
		t.Errorf("got %+v, %+v, %v", a, rec, err)
	}
	if _, rec, err := LookupRecord(t.Context(), r, dns.MustParse("none.example")); wordOf(err) != reason.STSNoRecord || rec != nil {
		t.Errorf("got %+v, %v", rec, err)
	}
	_, rec, err = LookupRecord(t.Context(), r, dns.MustParse("bogus.example"))
	var cause *dns.Error
	if wordOf(err) != reason.STSLookupFailed || rec != nil || !errors.As(err, &cause) || cause.Security != dns.Bogus {
		t.Errorf("got %+v, %v", rec, err)
	}
	long := dns.MustParse(strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example")
	if _, _, err := LookupRecord(t.Context(), r, long); wordOf(err) != reason.STSNoRecord {
		t.Errorf("a domain without room for the label: %v", err)
	}
}

const head = "version: STSv1\nmode: enforce\nmax_age: 86400\n"

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	full := "version: STSv1\r\nmode: testing\r\nmx: Mail.Example.com\r\nmx: *.example.net\r\nmx:xn--mx-eka.example\r\nmax_age: 604800\r\nx.y: a b: ü\r\n"
	p, err := ParsePolicy([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{
		Mode: ModeTesting, MaxAge: 7 * 24 * time.Hour,
		MX:         []Pattern{{false, dns.MustParse("mail.example.com")}, {true, dns.MustParse("example.net")}, {false, dns.MustParse("xn--mx-eka.example")}},
		Extensions: []Extension{{"x.y", "a b: ü"}},
		Lines:      []string{"version: STSv1", "mode: testing", "mx: Mail.Example.com", "mx: *.example.net", "mx:xn--mx-eka.example", "max_age: 604800", "x.y: a b: ü"},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	for _, c := range []struct {
		name, text string
		check      func(*Policy) bool
	}{
		{"LF, blank lines, trailing space", "\nversion: STSv1  \nmode:none\t\n\nmax_age: 0\n\n", func(p *Policy) bool { return p.Mode == ModeNone && p.MaxAge == 0 && len(p.Lines) == 3 }},
		{"first of a repeated key", head + "mode: none\nmax_age: junk\nversion: 2\nmx: a.example\n", func(p *Policy) bool { return p.Mode == ModeEnforce && p.MaxAge == 24*time.Hour }},
		{"too long max_age is cut", "version: STSv1\nmode: none\nmax_age: 9999999999", func(p *Policy) bool { return p.MaxAge == MaxAge }},
		{"as large as may be", head + "mx: a.example\n" + strings.Repeat("\n", MaxPolicy-len(head)-len("mx: a.example\n")), func(p *Policy) bool { return len(p.MX) == 1 }},
		{"underscore", head + "mx: mx_1.example", func(p *Policy) bool { return p.Matches(dns.MustParse("mx_1.example")) }},
		{"first of a repeated extension", head + "mx: a.example\nx: 1\nx: 2", func(p *Policy) bool { return len(p.Extensions) == 1 && p.Extensions[0].Value == "1" }},
	} {
		p, err := ParsePolicy([]byte(c.text))
		if err != nil || !c.check(p) {
			t.Errorf("%s: got %+v, %v", c.name, p, err)
		}
	}
}

func TestParsePolicyErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", `"version" is missing`},
		{"page", "<html>\n", "line 1"},
		{"no version", "mode: none\nmax_age: 1\n", `"version" is missing`},
		{"other version", "version: STSv2\nmode: none\nmax_age: 1", "version"},
		{"no mode", "version: STSv1\nmax_age: 1\nmx: a.example\n", `"mode" is missing`},
		{"upper-case mode", "version: STSv1\nmode: Enforce\n", "line 2"},
		{"upper-case key", "Version: STSv1\nmode: none\nmax_age: 1", `"version" is missing`},
		{"no max_age", "version: STSv1\nmode: none\n", `"max_age" is missing`},
		{"negative max_age", "version: STSv1\nmode: none\nmax_age: -1", "max_age"},
		{"eleven digits", "version: STSv1\nmode: none\nmax_age: 00000000001", "max_age"},
		{"no mx", head, "mx"},
		{"U-label", head + "mx: mä.example", "A-label"},
		{"not even UTF-8", head + "mx: m\x80.example", "A-label"},
		{"trailing dot", head + "mx: a.example.", "host name"},
		{"wildcard in the middle", head + "mx: a.*.example", "host name"},
		{"wildcard twice", head + "mx: *.*.example", "host name"},
		{"wildcard alone", head + "mx: *.", "host name"},
		{"star", head + "mx: *", "host name"},
		{"partial wildcard", head + "mx: a*.example", "host name"},
		{"address", head + "mx: 192.0.2.1", "host name"},
		{"two in a line", head + "mx: a.example, b.example", "host name"},
		{"empty mx", head + "mx:", "host name"},
		{"leading space", head + " mx: a.example", "key"},
		{"space before the colon", head + "mx : a.example", "key"},
		{"bare CR", "version: STSv1\rmode: none\rmax_age: 1\r", "version"},
		{"NUL", head + "mx: a.example\nx: a\x00b", "value"},
		{"bad UTF-8", head + "mx: a.example\nx: \xff", "value"},
		{"byte order mark", "\ufeff" + head + "mx: a.example", "key"},
		{"large", head + "mx: a.example\n" + strings.Repeat("x: y\n", 20000), "larger"},
	} {
		p, err := ParsePolicy([]byte(c.text))
		if wordOf(err) != reason.STSPolicySyntax || p != nil || !strings.Contains(err.Detail, c.says) {
			t.Errorf("%s: got %+v, %v; want an error that says %q", c.name, p, err, c.says)
		}
		if err != nil && len(err.Detail) > 400 {
			t.Errorf("%s: detail of %d bytes", c.name, len(err.Detail))
		}
	}
}

// RFC 8461 §3.1: which words say that the domain is without MTA-STS. Of the others
// somebody has to be told.
func TestAsNone(t *testing.T) {
	t.Parallel()
	for w, want := range map[reason.Word]bool{
		reason.STSNoRecord: true, reason.STSMultipleRecords: true, reason.STSRecordSyntax: true, reason.STSLookupFailed: false, reason.STSNoPolicy: false, reason.STSFetch: false, reason.STSWebPKI: false, reason.STSPolicySyntax: false, "": false,
	} {
		if (&Error{Word: w}).AsNone() != want {
			t.Errorf("%q: %v", w, (&Error{Word: w}).AsNone())
		}
	}
}

func TestErrorInWords(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*Error{"MTA-STS: fetch": {Word: reason.STSFetch}, "MTA-STS: fetch: HTTP status 503": {Word: reason.STSFetch, Detail: "HTTP status 503"}} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}

// Text from outside is cut only where it is too long, and then it shows.
func TestClip(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("a", 200)
	if clip(whole) != whole || clip(whole+"a") != whole+"…" {
		t.Errorf("%q, %q", clip(whole), clip(whole+"a"))
	}
}

// TestMatches: RFC 8461 §4.1, a wildcard is exactly one leftmost label.
func TestMatches(t *testing.T) {
	t.Parallel()
	p, err := ParsePolicy([]byte(head + "mx: mail.example.com\nmx: *.example.net\nmx: *.org"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"mail.example.com": true, "MAIL.Example.com.": true, "a.mail.example.com": false, "example.com": false,
		"a.example.net": true, "a.b.example.net": false, "example.net": false, "aexample.net": false,
		"example.org": true, "a.example.org": false, "org": false,
	} {
		if got := p.Matches(dns.MustParse(host)); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	if p.Matches(dns.Name{}) {
		t.Error("an address literal's host matches")
	}
	if got := strings.Join(p.Patterns(), " "); got != "mail.example.com *.example.net *.org" {
		t.Error(got)
	}
}

// FuzzParsePolicy: a policy that parses is the same after Text.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(head + "mx: a.example\nmx: *.b.example\nx: y"))
	f.Add([]byte("version: STSv1\r\nmode: none\r\nmax_age: 99999999999\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy(text)
		if err != nil {
			if p != nil || err.Word != reason.STSPolicySyntax || err.Detail == "" {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		if p.MaxAge < 0 || p.MaxAge > MaxAge || p.Mode != ModeNone && len(p.MX) == 0 {
			t.Fatalf("%+v", p)
		}
		if len(p.Text()) > MaxPolicy {
			return
		}
		again, err := ParsePolicy([]byte(p.Text()))
		if err != nil {
			t.Fatalf("%q: %v", p.Text(), err)
		}
		p.Lines, again.Lines = nil, nil
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}

// FuzzParseRecord: a record that parses has an id of the grammar, and stays
// the same when written again.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=1; a=b;", "v=spf1")
	f.Add("v=STSv1;id=1", "v=STSv1;id=2")
	f.Fuzz(func(t *testing.T, a, b string) {
		rec, err := ParseRecord([]string{a, b})
		if err != nil {
			if rec != nil || err.Detail == "" {
				t.Fatalf("%+v, %v", rec, err)
			}
			return
		}
		s := "v=STSv1; id=" + rec.ID
		for _, e := range rec.Extensions {
			s += "; " + e.Key + "=" + e.Value
		}
		if again, err := ParseRecord([]string{s}); err != nil || !reflect.DeepEqual(rec, again) {
			t.Fatalf("%+v became %+v, %v", rec, again, err)
		}
	})
}
