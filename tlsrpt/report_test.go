package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDeviations(t *testing.T) {
	t.Parallel()
	r := readFile(t, "testdata/cry-inc/microsoft.json")
	if n := len(r.Policies[1].Strings); n != 2 { // an array packed into a string
		t.Errorf("%d TLSA strings, want 2: %q", n, r.Policies[1].Strings)
	}
	if rfc := readFile(t, "testdata/parsedmarc/rfc8460.json"); !slices.Equal(rfc.Policies[0].MXHost, []string{"*.mail.company-y.example"}) {
		t.Errorf("mx-host as a string: %q", rfc.Policies[0].MXHost)
	}
}

func readFile(t *testing.T, path string) *Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Parse(f, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r
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
	twice := fill("1", `null},{"policy":{"policy-domain":"b.example"},"summary":{"total-successful-session-count":2}`)
	for _, tt := range []struct{ name, in, err, note string }{
		{"dates without zone, unknown types, empty address, no contact", good, "", ""},
		{"byte order mark", "\xef\xbb\xbf" + good, "", ""},
		{"number for a report-id", strings.Replace(good, `"x"`, `17`, 1), "", ""},
		{"NUL behind it", good + "\r\n\x00", "", ""},
		// RPT-26: the fault of an entry costs the entry.
		{"negative", fill("-1", "null"), "", "policy 1 was left out: absurd session count -1"},
		{"absurd", fill("9000000000000", "null"), "", "policy 1 was left out: absurd session count 9000000000000"},
		{"beyond int64", fill("99999999999999999999", "null"), "", "policy 1 was left out: summary: total-failure-session-count is a number 99999999999999999999"},
		{"fraction", fill("1.5", "null"), "", "policy 1 was left out: summary: total-failure-session-count is a number 1.5"},
		{"string for a number", fill(`"1"`, "null"), "", "policy 1 was left out: summary: total-failure-session-count is a string"},
		{"negative detail", fill("1", `[{"failed-session-count":-1}]`), "", "policy 1: failure detail 1 was left out: absurd session count -1"},
		{"wrong type in a detail", fill("1", `[{"failed-session-count":1},{"receiving-ip":{}}]`), "", "policy 1: failure detail 2 was left out: receiving-ip is a object"},
		{"a detail that is none", fill("1", `[7]`), "", "policy 1: failure detail 1 was left out: it is a number"},
		{"long text in a detail", fill("1", `[{"failure-reason-code":"`+strings.Repeat("r", 5000)+`"}]`), "", "policy 1: failure detail 1 was left out: a text is longer than 4096 octets"},
		{"object for an array", fill("1", `{"a":[{}]}`), "", "policy 1: failure-details is no array"},
		{"number for mx-host", strings.Replace(good, `"policy-string":null`, `"mx-host":5`, 1), "", "policy 1 was left out: policy: policy-string or mx-host is neither a string nor an array of strings"},
		{"no domain", strings.Replace(good, "a.example", "", 1), "", "policy 1 was left out: no policy-domain"},
		{"no domain beside a good one", strings.Replace(twice, "a.example", "", 1), "", "policy 1 was left out: no policy-domain"},
		{"a policy that is none", strings.Replace(good, `"policies":[`, `"policies":["x",[{}],null,`, 1), "", "policy 1 is no object|policy 2 is no object|policy 3 is no object"},
		{"organization of a wrong type", strings.Replace(good, `"O"`, `["O"]`, 1), "", "organization-name is no text"},
		{"two values", good + good, "", "what stands behind the report was not read"},
		{"garbage behind it", good + "}]%", "", "what stands behind the report was not read"},
		// What the report cannot do without.
		{"array for a string", strings.Replace(good, `"x"`, `["x"]`, 1), "cannot unmarshal", ""},
		{"no id", strings.Replace(good, `"x"`, `""`, 1), "no report-id", ""},
		{"no policies", strings.Replace(good, `"policies"`, `"others"`, 1), "no policies", ""},
		{"no range", strings.Replace(good, "2025-01-01T00:00:00", "", 1), "is not a time", ""},
		{"ends first", strings.Replace(good, "2025-01-01T00:00:00", "2025-02-01T00:00:00", 1), "before it begins", ""},
		{"long text", strings.Replace(good, `"O"`, `"`+strings.Repeat("o", 5000)+`"`, 1), "longer than", ""},
		{"deep", strings.Repeat("[", 100000), "nested deeper", ""},
		{"deep in an unknown member", strings.Replace(good, `"O"`, strings.Repeat(`[`, 50)+strings.Repeat(`]`, 50), 1), "nested deeper", ""},
		{"many elements", `{"policies":[` + strings.Repeat("{},", 1<<18) + `{}]}`, "more than", ""},
		{"many elements elsewhere", `{"x":[` + strings.Repeat("0,", 1<<20) + `0]}`, "elements", ""},
		{"empty", "", "ends in the middle", ""},
		{"cut off", good[:len(good)-3], "ends in the middle", ""},
		{"text", "hello", "invalid character", ""},
		{"not UTF-8", "\xff\xfe", "invalid character", ""},
		{"large", strings.Repeat(" ", 2<<20), ErrTooLarge.Error(), ""},
		{"broken gzip", "\x1f\x8b\x08", "gzip", ""},
	} {
		r, err := Parse(strings.NewReader(tt.in), Limits{})
		switch {
		case tt.err == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		case err == nil && strings.Join(r.Notes, "|") != tt.note:
			t.Errorf("%s: notes %q, want %q", tt.name, r.Notes, tt.note)
		}
	}
	// RPT-26: and the rest counts.
	r, err := Parse(strings.NewReader(strings.Replace(twice, "a.example", "", 1)), Limits{})
	if err != nil || len(r.Policies) != 1 || r.Policies[0].Domain != "b.example" || r.Policies[0].Success != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Parse(strings.NewReader(fill("2", `[{"failed-session-count":"1"},{"result-type":"odd","failed-session-count":2}]`)), Limits{})
	if err != nil || len(r.Policies) != 1 || len(r.Policies[0].Details) != 1 || r.Check() != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// RPT-26: notes are bounded, stay with a report that is stored, and nobody else's are believed.
func TestNotes(t *testing.T) {
	t.Parallel()
	in := strings.Replace(strings.NewReplacer("FAILED", "0", "DETAILS", "null").Replace(frame), `"policies":[`, `"notes":["believe me"],"policies":[`+strings.Repeat("0,", 100), 1)
	r, err := Parse(strings.NewReader(in), Limits{})
	if err != nil || len(r.Policies) != 1 || len(r.Notes) != maxNotes+1 || r.Notes[maxNotes] != "and 80 more faults" {
		t.Fatalf("%v, %+v", err, r)
	}
	j, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(bytes.NewReader(j), Limits{Own: true})
	if err != nil || !slices.Equal(again.Notes, r.Notes) || !strings.Contains(again.Text(), "Note: policy 1 is no object\n") {
		t.Errorf("%v, %+v", err, again)
	}
}

// RPT-26: times as RFC 3339 has them, and near it.
func TestTimes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-01-11T00:00:00Z": "2026-01-11T00:00:00Z", "2026-01-11t00:00:00z": "2026-01-11T00:00:00Z",
		"2026-01-11T23:59:59+0000": "2026-01-11T23:59:59Z", "2026-01-11T23:59:59+00:00": "2026-01-11T23:59:59Z",
		"2026-01-11T23:59:60Z": "2026-01-11T23:59:59Z", "2026-06-30T23:59:60.123Z": "2026-06-30T23:59:59Z",
		"2026-01-11T24:00:00Z": "2026-01-12T00:00:00Z", "2026-12-31T24:00Z": "2027-01-01T00:00:00Z",
		"2026-01-11T12:30Z": "2026-01-11T12:30:00Z", "2026-01-11T12:30+02": "2026-01-11T10:30:00Z",
		"2026-01-11T01:00:00+02:00": "2026-01-10T23:00:00Z", "2026-01-11T23:00:00-0130": "2026-01-12T00:30:00Z",
		"2026-01-11T00:00:00": "2026-01-11T00:00:00Z", "2026-01-11 00:00:00": "2026-01-11T00:00:00Z", " 2026-01-11 10:00:00 UTC ": "2026-01-11T10:00:00Z",
		"2026-01-11T10:00:00.999999999Z": "2026-01-11T10:00:00Z", "2026-01-11T10:00:00,5Z": "2026-01-11T10:00:00Z", "2026-01-11": "2026-01-11T00:00:00Z",
		"": "", "2026-01-11T25:00:00Z": "", "2026-01-11T24:00:01Z": "", "2026-01-11T10:60:00Z": "", "2026-01-11T10:00:61Z": "", "2026-02-30T10:00:00Z": "",
		"2026-01-11T10Z": "", "2026-01-11T1:00:00Z": "", "2026-01-11T10:00:00X": "", "2026-01-11T10:00:00+24:00": "", "2026-01-11T10:00:00+0:000": "", "2026-01-11T10:00:00++00": "",
		"1990-01-01": "1990-01-01T00:00:00Z", "1989-12-31": "", "2199-12-31": "2199-12-31T00:00:00Z", "2200-01-01": "", "2026-01-1": "",
		"2026-01-11T10:59:00Z": "2026-01-11T10:59:00Z", "2026-01-11T24:01:00Z": "", "2026-01-11T10:00:00:00Z": "", "2026-01-11T10:00.5Z": "", "2026-01-11T10:00:00.5xZ": "",
		"2026-01-11T10:00:00.123456789012345678Z": "2026-01-11T10:00:00Z", "2026-01-11T10:00:00.1234567890123456789Z": "",
		"2026-01-11T10:00:00-23:59": "2026-01-12T09:59:00Z", "2026-01-11T10:00:00+00:60": "", "2026-01-11T10:00:00+1": "", "2026-01-11T10:00:00+02:": "", "2026-01-11T10:00:00+": "",
		"2026-01-11T10:00:00+00000": "", "2026-01-11T10:00:00+0x00": "", "2026-01-11T10:00:00Z0000": "", "2026-01-11T10:00:00 GMT": "2026-01-11T10:00:00Z", "2026-01-11T+02:00": "", "2026-01-11Z": "",
		"2026-01-11T10:00:00.Z": "", "1026-01-11T10:00:00Z": "", "9999-01-11": "", "11.01.2026": "", "yesterday": "", "2026-01-11T10:00:00ZZ": "", "2026-01-11T-1:00:00Z": "",
	} {
		got, err := parseTime("start-datetime", in)
		if want == "" && err == nil || want != "" && (err != nil || got.Format(time.RFC3339) != want) {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
	}
}

// RPT-26: gzip in several members, packed twice, with something behind it, or damaged there.
func TestGzipForms(t *testing.T) {
	t.Parallel()
	j, err := sample().JSON()
	if err != nil {
		t.Fatal(err)
	}
	pack := func(b []byte) []byte {
		out, err := Compress(b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	whole := pack(j)
	for name, in := range map[string][]byte{
		"CRLF behind":       append(slices.Clone(whole), "\r\n"...),
		"text behind":       append(slices.Clone(whole), "-- sent by a list"...),
		"gzip magic behind": append(slices.Clone(whole), 0x1f, 0x8b),
		"zeros behind":      append(slices.Clone(whole), make([]byte, 512)...),
		"two members":       append(pack(j[:100]), pack(j[100:])...),
		"packed twice":      pack(whole),
		"two and CRLF":      slices.Concat(pack(j[:100]), pack(j[100:]), []byte("\r\n")),
		"empty ones first":  append(bytes.Repeat(pack(nil), 500), pack(whole)...),
		"empty members":     slices.Concat(pack(j[:100]), bytes.Repeat(pack(nil), 500), pack(j[100:])),
		"checksum missing":  whole[:len(whole)-8],
	} {
		r, err := Parse(bytes.NewReader(in), Limits{})
		if err != nil || r.ID != sample().ID || len(r.Policies) != 1 || (len(r.Notes) > 0) != (name == "checksum missing") {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	for name, in := range map[string][]byte{"cut off": whole[:len(whole)/2], "packed thrice": pack(pack(whole))} {
		if r, err := Parse(bytes.NewReader(in), Limits{}); err == nil {
			t.Errorf("%s: %+v", name, r)
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

// What stands in no report of ours: no id, no range, or one without length.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *Report){
		"no id":     func(r *Report) { r.ID = "" },
		"no begin":  func(r *Report) { r.Begin = time.Time{} },
		"no end":    func(r *Report) { r.End = time.Time{} },
		"no length": func(r *Report) { r.End = r.Begin },
	} {
		r := sample()
		spoil(r)
		if _, err := r.Encode(); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilename(t *testing.T) {
	t.Parallel()
	r := sample()
	got := Filename("Sub.example", "ex/am\r\nple.net", r.Begin, r.End, "0-0!1")
	if want := "sub.example!example.net!1795219200!1795305599!001.json.gz"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got = Filename("a-b_c.example", "9.example", r.Begin, r.End, "!")
	if want := "a-b_c.example!9.example!1795219200!1795305599.json.gz"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	seen := map[string]ResultType{}
	for _, rt := range append(ResultTypes(), "something-else") {
		m, c := rt.Advice("a.test")
		if strings.Contains(c, "DOMAIN") {
			t.Errorf("%s: the domain is not put into %q", rt, c)
		}
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

// The whole text: each thing once where it is known, and what it means once a policy.
func TestTextWhole(t *testing.T) {
	t.Parallel()
	r := sample()
	p := &r.Policies[0]
	p.Details = []FailureDetail{
		{Type: CertificateExpired, Sessions: 1, HELO: "h.example", Info: "more"},
		{Type: CertificateExpired, Sessions: 2, MXHostname: "mx.example", HELO: "h.example", ReceivingIP: "192.0.2.2", SendingIP: "192.0.2.1", Reason: "why"},
		{Type: "odd", Sessions: 1},
	}
	meaning, cure := CertificateExpired.Advice("mx.example")
	odd, oddCure := ResultType("odd").Advice("mx.example")
	body := "Id:    i@s.example\nRange: 2026-11-21T00:00:00Z to 2026-11-21T23:59:59Z\n" +
		"\nmx.example, policy tlsa: 2 sessions ok, 2 failed\n  | 3 1 1 aa\n" +
		"  1 x certificate-expired at h.example (more)\n      " + meaning + "\n      " + cure + "\n" +
		"  2 x certificate-expired at mx.example [192.0.2.2] from [192.0.2.1]: why\n" +
		"  1 x odd\n      " + odd + "\n      " + oddCure + "\n"
	if got, want := r.Text(), "TLS report of Org <&> (c@s.example)\n"+body; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.Organization, r.Contact, r.Notes = "", "", []string{"one\a"}
	p.Failed = 3
	want := "TLS report of (no name)\n" + strings.Replace(body, "2 failed", "3 failed", 1) + "\nNote: one\uFFFD\n"
	if got := r.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.Failed = 5
	if got := r.Text(); !strings.HasSuffix(got, "explain 4\n") {
		t.Errorf("it adds up?\n%s", got)
	}
}

// A policy's text lists a hundred policy strings and a hundred details.
func TestTextBounds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, 102} {
		r := sample()
		r.Policies[0].Strings = slices.Repeat([]string{"3 1 1 aa"}, n)
		r.Policies[0].Details = slices.Repeat([]FailureDetail{{Type: "odd", Sessions: 1}}, n)
		text := r.Text()
		if s, d := strings.Count(text, "  | 3"), strings.Count(text, "  1 x odd"); s != 100 || d != 100 {
			t.Errorf("of %d: %d strings, %d details", n, s, d)
		}
		if strings.Contains(text, "more\n") != (n > 100) || n > 100 && !strings.Contains(text, "… and 2 more\n") {
			t.Errorf("of %d:\n%s", n, text)
		}
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
	f.Add([]byte(`{"report-id":1,"date-range":{"start-datetime":"2026-01-11t24:00z","end-datetime":"2026-02-01"},"policies":[1,{"policy":{"policy-domain":"a"},"failure-details":[{}]}]}x`))
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
		again, err := Parse(bytes.NewReader(j), Limits{Input: 64 << 20, Size: 64 << 20, Text: 1 << 20, Own: true})
		if err != nil {
			t.Fatalf("own JSON refused: %v\n%s", err, j)
		}
		if a, b := again.Check() == nil, r.Check() == nil; a != b || again.ID != valid(r.ID) {
			t.Fatalf("round trip changed the report")
		}
	})
}
