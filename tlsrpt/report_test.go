package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseDeviations(t *testing.T) {
	t.Parallel()
	data := reportIn(t, "testdata/cry-inc/microsoft.json")
	r, err := Parse(bytes.NewReader(data), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Policies[1].Strings); n != 2 { // an array packed into a string
		t.Errorf("%d TLSA strings, want 2: %q", n, r.Policies[1].Strings)
	}
	rfc, err := Parse(bytes.NewReader(reportIn(t, "testdata/parsedmarc/rfc8460.json")), Limits{})
	if err != nil || !reflect.DeepEqual(rfc.Policies[0].MXHost, []string{"*.mail.company-y.example"}) {
		t.Errorf("mx-host as a string: %v", err)
	}
}

const frame = `{"organization-name":"O","date-range":{"start-datetime":"2025-01-01T00:00:00","end-datetime":"2025-01-01 23:59:59"},` +
	`"report-id":"x","policies":[{"policy":{"policy-type":"new-type","policy-domain":"a.example","policy-string":null},` +
	`"summary":{"total-successful-session-count":1,"total-failure-session-count":FAILED},"failure-details":DETAILS}]}`

func TestParseBounds(t *testing.T) {
	t.Parallel()
	fill := func(failed, details string) string {
		return strings.NewReplacer("FAILED", failed, "DETAILS", details).Replace(frame)
	}
	good := fill("1", `[{"result-type":"odd","sending-mta-ip":"","failed-session-count":1}]`)
	for _, tt := range []struct{ name, in, err string }{
		{"dates without zone, unknown types, empty address, no contact", good, ""},
		{"byte order mark", "\xef\xbb\xbf" + good, ""},
		{"negative", fill("-1", "null"), "absurd"},
		{"absurd", fill("9000000000000", "null"), "absurd"},
		{"beyond int64", fill("99999999999999999999", "null"), "cannot unmarshal"},
		{"fraction", fill("1.5", "null"), "cannot unmarshal"},
		{"string for a number", fill(`"1"`, "null"), "cannot unmarshal"},
		{"negative detail", fill("1", `[{"failed-session-count":-1}]`), "absurd"},
		{"object for an array", fill("1", `{}`), "cannot unmarshal"},
		{"array for a string", strings.Replace(good, `"x"`, `["x"]`, 1), "cannot unmarshal"},
		{"number for mx-host", strings.Replace(good, `"policy-string":null`, `"mx-host":5`, 1), "neither a string nor an array"},
		{"no id", strings.Replace(good, `"x"`, `""`, 1), "no report-id"},
		{"no domain", strings.Replace(good, "a.example", "", 1), "no policy-domain"},
		{"no range", strings.Replace(good, "2025-01-01T00:00:00", "", 1), "is not a time"},
		{"ends first", strings.Replace(good, "2025-01-01T00:00:00", "2025-02-01T00:00:00", 1), "before it begins"},
		{"long text", strings.Replace(good, `"O"`, `"`+strings.Repeat("o", 5000)+`"`, 1), "longer than"},
		{"deep", strings.Repeat("[", 100000), "nested deeper"},
		{"deep in an unknown member", strings.Replace(good, `"O"`, strings.Repeat(`[`, 50)+strings.Repeat(`]`, 50), 1), "nested deeper"},
		{"many elements", `{"policies":[` + strings.Repeat("{},", 1<<18) + `{}]}`, "elements"},
		{"two values", good + good, "after top-level value"},
		{"empty", "", "unexpected end"},
		{"text", "hello", "invalid character"},
		{"not UTF-8", "\xff\xfe", "invalid character"},
		{"large", strings.Repeat(" ", 2<<20), ErrTooLarge.Error()},
		{"broken gzip", "\x1f\x8b\x08", "gzip"},
	} {
		_, err := Parse(strings.NewReader(tt.in), Limits{})
		switch {
		case tt.err == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		}
	}
}

func TestGzipBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	zeros := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if _, err := Parse(&b, Limits{}); err != ErrTooLarge {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func sample() *Report {
	begin := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return &Report{
		Organization: "Org <&>", Begin: begin, End: begin.Add(24*time.Hour - time.Second), Contact: "c@s.example", ID: "i@s.example",
		Policies: []PolicyResult{{Type: PolicyTLSA, Strings: []string{"3 1 1 aa"}, Domain: "mx.example", Success: 2, Failed: 2,
			Details: []FailureDetail{
				{Type: ValidationFailure, SendingIP: "192.0.2.1", MXHostname: "mx.example", HELO: "h", ReceivingIP: "2001:db8::1", Sessions: 2, Reason: "dane-no-match"},
				{Type: CertificateExpired, Sessions: 1},
			}}},
	}
}

func TestEncodeRoundTrip(t *testing.T) {
	t.Parallel()
	r := sample()
	j, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	gz, err := Compress(j)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(bytes.NewReader(gz), Limits{})
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("round trip: %v\n%+v\n%+v", err, got, r)
	}
	for _, want := range []string{`"end-datetime": "2026-11-21T23:59:59Z"`, `"organization-name": "Org <&>"`, `"total-failure-session-count": 2`} {
		if !strings.Contains(string(j), want) {
			t.Errorf("JSON lacks %s", want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *PolicyResult){
		"failure without detail": func(p *PolicyResult) { p.Details = nil },
		"detail without failure": func(p *PolicyResult) { p.Failed = 0 },
		"detail above failures":  func(p *PolicyResult) { p.Details[0].Sessions = 3 },
		"too few explained":      func(p *PolicyResult) { p.Failed = 4 },
		"empty detail":           func(p *PolicyResult) { p.Details[1].Sessions = 0 },
		"negative":               func(p *PolicyResult) { p.Success = -1 },
	} {
		r := sample()
		spoil(&r.Policies[0])
		if r.Check() == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := r.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	if err := sample().Check(); err != nil {
		t.Error(err)
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	r := sample()
	got := Filename("Sub.example", "ex/am\r\nple.net", r.Begin, r.End, "0-0!1")
	if want := "sub.example!example.net!1795219200!1795305599!001.json.gz"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	seen := map[string]ResultType{}
	for _, rt := range append(ResultTypes(), "something-else") {
		m, c := Explain(rt)
		if m == "" || c == "" || seen[m] != "" {
			t.Errorf("%s: meaning %q (as %q), cure %q", rt, m, seen[m], c)
		}
		seen[m] = rt
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Policies[0].Details[0].HELO = ""
	r.Policies[0].Details[0].Reason = "\x1b[2Jgone"
	text := r.Text()
	if strings.Contains(text, "\x1b") || !strings.Contains(text, "2 x validation-failure at mx.example [2001:db8::1] from [192.0.2.1]") {
		t.Errorf("text:\n%s", text)
	}
}

func FuzzParse(f *testing.F) {
	for name := range corpus {
		if strings.HasSuffix(name, ".json") {
			data, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(bytes.NewReader(data), Limits{})
		if err != nil {
			return
		}
		r.Text()
		j, err := r.JSON()
		if err != nil {
			t.Fatalf("parsed, but not written: %v", err)
		}
		again, err := Parse(bytes.NewReader(j), Limits{Input: 64 << 20, Size: 64 << 20, Text: 1 << 20})
		if err != nil {
			t.Fatalf("own JSON refused: %v\n%s", err, j)
		}
		if a, b := again.Check() == nil, r.Check() == nil; a != b || again.ID != valid(r.ID) {
			t.Fatalf("round trip changed the report")
		}
	})
}
