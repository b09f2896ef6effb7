package tlsrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// reportWith is a report with more members, which stand before its policies.
func reportWith(members, policies string) string {
	return `{"date-range":{"start-datetime":"2026-01-11","end-datetime":"2026-01-11"},"report-id":"x",` + members + `"policies":` + policies + `}`
}

// policyOf is a policy with so many sessions that went well, and its failure details.
func policyOf(domain, success, details string) string {
	return `{"policy":{"policy-domain":"` + domain + `"},"summary":{"total-successful-session-count":` + success + `},"failure-details":` + details + `}`
}

var plainReport = reportWith("", "["+policyOf("a.example", "1", "null")+"]")

// Every limit lets through what just fits, and refuses one more (RPT-16).
func TestLimitsAtTheBorder(t *testing.T) {
	t.Parallel()
	packed, err := Compress([]byte(plainReport))
	if err != nil {
		t.Fatal(err)
	}
	two := reportWith("", "["+policyOf("a.example", "1", `[{"failed-session-count":1}]`)+","+policyOf("b.example", "1", `[{}]`)+"]")
	elements := func(n int) string {
		list := strings.Repeat("0,", n-strings.Count(reportWith(`"x":[0],`, "[]"), ",")) + "0"
		return reportWith(`"x":[`+list+`],`, "[]")
	}
	for _, c := range []struct {
		name, in string
		limits   Limits
		err      string
	}{
		{"input", plainReport, Limits{Input: int64(len(plainReport))}, ""},
		{"input", plainReport, Limits{Input: int64(len(plainReport)) - 1}, ErrTooLarge.Error()},
		{"packed input", string(packed), Limits{Input: int64(len(packed))}, ""},
		{"packed input", string(packed), Limits{Input: int64(len(packed)) - 9}, ErrTooLarge.Error()},
		{"size", string(packed), Limits{Size: int64(len(plainReport))}, ""},
		{"size", string(packed), Limits{Size: int64(len(plainReport)) - 1}, ErrTooLarge.Error()},
		{"depth", two, Limits{Depth: 5}, ""},
		{"depth", two, Limits{Depth: 4}, "nested deeper than 4"},
		{"policies", two, Limits{Policies: 2}, ""},
		{"policies", two, Limits{Policies: 1}, "more than 1 policies"},
		{"details", two, Limits{Details: 2}, ""},
		{"details", two, Limits{Details: 1}, "more than 1 failure details"},
		{"elements", elements(60), Limits{Policies: 1, Details: 1, Own: true}, ""},
		{"elements", elements(61), Limits{Policies: 1, Details: 1, Own: true}, "more than 60 elements"},
		{"text", plainReport, Limits{Text: len("a.example")}, ""},
		{"text", reportWith(`"organization-name":"abcd",`, "null"), Limits{Text: 4, Own: true}, ""},
		{"text", reportWith(`"organization-name":"abcd",`, "null"), Limits{Text: 3, Own: true}, "longer than 3 octets"},
		{"string", reportWith(`"x":"`+strings.Repeat("a", 639)+`",`, "[]"), Limits{Text: 10, Own: true}, ""},
		{"string", reportWith(`"x":"`+strings.Repeat("a", 640)+`",`, "[]"), Limits{Text: 10, Own: true}, "a string of 640 octets and more"},
		{"string without end", `{"x":"` + strings.Repeat("a", 1<<20), Limits{}, "a string of 262144 octets and more"},
		{"space in a string", reportWith(`"x":"`+strings.Repeat(" ", 700)+`",`, "[]"), Limits{Text: 10, Own: true}, "a string of 640 octets and more"},
		{"escapes in a string", reportWith(`"x":"`+strings.Repeat(`\"`, 320)+`",`, "[]"), Limits{Text: 10, Own: true}, "a string of 640 octets and more"},
		{"number", reportWith(`"x":`+strings.Repeat("1", 640)+`,`, "[]"), Limits{Text: 10, Own: true}, ""},
		{"number", reportWith(`"x":`+strings.Repeat("1", 641)+`,`, "[]"), Limits{Text: 10, Own: true}, "a string of 640 octets and more"},
		{"strings in a row", reportWith(`"x":[`+strings.Repeat(`"a" , {"b":[]},`, 100)+`1],`, "[]"), Limits{Text: 10, Own: true}, ""},
		{"space in a row", reportWith(strings.Repeat(" \t\r\n", 300), "[]"), Limits{Text: 10, Own: true}, ""},
		{"space behind it", plainReport + strings.Repeat(" ", 5000), Limits{Size: int64(len(plainReport)) + 4999}, ErrTooLarge.Error()},
		{"negative ones are the defaults", two, Limits{-1, -1, -1, -1, -1, -1, false}, ""},
	} {
		r, err := Parse(strings.NewReader(c.in), c.limits)
		if c.err == "" && (err != nil || len(r.Notes) > 0) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s, %+v: %+v, %v, want %q", c.name, c.limits, r, err, c.err)
		}
	}
}

// Octets that come one by one, and an end with the last of them, change nothing.
func TestReaders(t *testing.T) {
	t.Parallel()
	packed, err := Compress([]byte(plainReport))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{plainReport, string(packed), plainReport + "\n\n", "\xef\xbb\xbf" + plainReport} {
		for _, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader, iotest.HalfReader} {
			if r, err := Parse(read(strings.NewReader(in)), Limits{}); err != nil || r.ID != "x" || len(r.Notes) > 0 {
				t.Errorf("%.20q: %+v, %v", in, r, err)
			}
		}
	}
}

// A report that could not be read is not one that ends.
func TestReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for n := range len(plainReport) - 1 {
		if r, err := Parse(io.MultiReader(strings.NewReader(plainReport[:n]), iotest.ErrReader(broken)), Limits{}); !errors.Is(err, broken) {
			t.Errorf("after %d octets: %+v, %v", n, r, err)
		}
		if r, err := Parse(strings.NewReader(plainReport[:n]), Limits{}); err == nil || !strings.Contains(err.Error(), "ends in the middle") {
			t.Errorf("of %d octets: %+v, %v", n, r, err)
		}
	}
	r, err := Parse(io.MultiReader(strings.NewReader(plainReport), iotest.ErrReader(broken)), Limits{})
	if want := []string{"the file is damaged behind the report: broken"}; err != nil || !slices.Equal(r.Notes, want) {
		t.Errorf("behind it: %+v, %v", r, err)
	}
	r, err = Parse(io.MultiReader(strings.NewReader(plainReport+"x"), strings.NewReader(strings.Repeat(" ", 9000))), Limits{})
	if want := []string{"what stands behind the report was not read"}; err != nil || !slices.Equal(r.Notes, want) {
		t.Errorf("behind it: %+v, %v", r, err)
	}
}

// Only brackets outside of strings nest.
func TestNestingAndStrings(t *testing.T) {
	t.Parallel()
	open, deep := strings.Repeat("[", 50), strings.Repeat("[", 50)+strings.Repeat("]", 50)
	for member, good := range map[string]bool{
		`"x":"` + open + `",`:                             true,
		`"x":"\"` + open + `",`:                           true,
		`"x":"\\\"` + open + `",`:                         true,
		`"` + open + `":1,`:                               true,
		`"x":[` + strings.Repeat("[],", 50) + `0],`:       true,
		`"x":[` + strings.Repeat(`{"a":{}},`, 50) + `0],`: true,
		`"x":"\\","y":` + deep + `,`:                      false,
		`"x":"\"a","y":` + deep + `,`:                     false,
		`"x":"a","y":` + deep + `,`:                       false,
		`"y":` + strings.Repeat(`{"a":`, 50) + `0` + strings.Repeat(`}`, 50) + `,`: false,
	} {
		r, err := Parse(strings.NewReader(reportWith(member, "[]")), Limits{Own: true})
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%.40s: %+v, %v", member, r, err)
		}
	}
}

// White space parts tokens, however much of it and in whatever reads it comes, and
// belongs to a text in which it stands.
func TestWhiteSpace(t *testing.T) {
	t.Parallel()
	for _, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, func(r io.Reader) io.Reader { return r }} {
		wide := strings.NewReplacer(`:`, " \t\r\n:\n\n", `,`, " , ", `{`, "{  ", `}`, "  }").Replace(plainReport)
		r, err := Parse(read(strings.NewReader(strings.Replace(wide, `"x"`, `" a  b "`, 1))), Limits{})
		if err != nil || r.ID != " a  b " || len(r.Policies) != 1 || len(r.Notes) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := Parse(read(strings.NewReader(strings.Replace(plainReport, `"x"`, "1 2", 1))), Limits{}); err == nil {
			t.Errorf("1 2 was read as %s", r.ID)
		}
	}
	passed, err := io.ReadAll(&shape{r: strings.NewReader("  [1,\t\r\n 2, \"a  \\\"  b\"  ]  "), limits: Limits{}.withDefaults()})
	if want := " [1,\t2, \"a  \\\"  b\" ] "; err != nil || string(passed) != want {
		t.Errorf("%q, %v, want %q", passed, err, want)
	}
}

// RPT-26: the largest count that is believed, and the longest note.
func TestCountsAndNotesAtTheBorder(t *testing.T) {
	t.Parallel()
	note := func(success string) string {
		t.Helper()
		r, err := Parse(strings.NewReader(reportWith("", "["+policyOf("a.example", success, "null")+"]")), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if (len(r.Policies) == 0) != (len(r.Notes) == 1) {
			t.Fatalf("%s: %+v", success, r)
		}
		return strings.Join(r.Notes, "|")
	}
	for count, want := range map[string]string{
		"0": "", fmt.Sprint(int64(maxCount)): "", fmt.Sprint(int64(maxCount) + 1): "policy 1 was left out: absurd session count 1000000000001",
	} {
		if got := note(count); got != want {
			t.Errorf("%s: %q, want %q", count, got, want)
		}
	}
	const before = "policy 1 was left out: summary: total-successful-session-count is a number "
	nines := strings.Repeat("9", maxNote-len(before))
	if got := note(nines); got != before+nines {
		t.Errorf("%q", got)
	}
	if got := note(nines + "9"); got != before+nines+"…" {
		t.Errorf("%q", got)
	}
}

// RPT-16, RPT-26: policies and failure details in forms that are none of RFC 8460.
func TestOddLists(t *testing.T) {
	t.Parallel()
	one := policyOf("a.example", "1", "null")
	for _, c := range []struct{ policies, notes string }{
		{"null", ""},
		{"[]", ""},
		{"7", "policies is no array"},
		{`"x"`, "policies is no array"},
		{one, ""},
		{"[null," + one + "]", "policy 1 is no object"},
		{"[[[],{}]," + one + "]", "policy 1 is no object"},
		{"[" + policyOf("a.example", "1", "7") + "]", "policy 1: failure-details is no array"},
		{"[" + policyOf("a.example", "1", `{"a":{"b":[]}}`) + "]", "policy 1: failure-details is no array"},
		{"[" + policyOf("a.example", "1", `[{},[],{"failed-session-count":-1},{}]`) + "]",
			"policy 1: failure detail 2 was left out: it is a array|policy 1: failure detail 3 was left out: absurd session count -1"},
	} {
		r, err := Parse(strings.NewReader(reportWith("", c.policies)), Limits{Own: true})
		if err != nil || strings.Join(r.Notes, "|") != c.notes || (len(r.Policies) == 1) != strings.Contains(c.policies, "a.example") {
			t.Errorf("%s: %+v, %v, want notes %q", c.policies, r, err, c.notes)
		}
		if _, err := Parse(strings.NewReader(reportWith("", c.policies)), Limits{}); (err == nil) != (len(c.policies) > 4) {
			t.Errorf("%s, somebody else's: %v", c.policies, err)
		}
	}
}

// An array that is packed into a string is opened, and nothing else is.
func TestPackedLists(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`"a"`: {"a"}, `["a"]`: {"a"}, `["a","b"]`: {"a", "b"}, `null`: nil, `[]`: nil,
		`["[\"a\",\"b\"]"]`: {"a", "b"}, `"[\"a\",\"b\"]"`: {"a", "b"},
		`["[a"]`: {"[a"}, `["[1]"]`: {"[1]"}, `["[\"a\"]","b"]`: {`["a"]`, "b"},
	} {
		text := reportWith("", `[{"policy":{"policy-domain":"a.example","policy-string":`+in+`,"mx-host":`+in+`}}]`)
		r, err := Parse(strings.NewReader(text), Limits{})
		if err != nil || len(r.Policies) != 1 {
			t.Errorf("%s: %+v, %v", in, r, err)
			continue
		}
		if p := r.Policies[0]; !slices.Equal(p.Strings, want) || !slices.Equal(p.MXHost, want) {
			t.Errorf("%s: %q, %q, want %q", in, p.Strings, p.MXHost, want)
		}
	}
}

// RPT-16: names count in any case, and one that is unknown is passed over.
func TestNamesOfMembers(t *testing.T) {
	t.Parallel()
	text := strings.ToUpper(reportWith(`"future":{"a":[1]},`, "["+policyOf("a.example", "1", "[]")+"]"))
	r, err := Parse(bytes.NewReader([]byte(text)), Limits{})
	if err != nil || r.ID != "X" || len(r.Policies) != 1 || r.Policies[0].Success != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
