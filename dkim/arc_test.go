package dkim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"waxwing/dns"
)

// arcKeys answers with the keys of a corpus.
type arcKeys struct {
	dns.Resolver
	txt map[string]string
}

func (k arcKeys) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	a := dns.Answer[string]{Name: n, Security: dns.Secure}
	if t, ok := k.txt[n.ASCII()]; ok {
		a.Records = []string{t}
	}
	return a, nil
}

// arcExceptions are cases whose expectation rests on what the RFC leaves open, by
// name, with the section.
var arcExceptions = map[string]string{
	"cv_fail_i1_as_cv_fail": "fail: the file's expectation has no text; RFC 8617 §5.2, 2",
	"cv_fail_i2_as2_fail":   "fail: the file's expectation has no text; RFC 8617 §5.2, 2",
	"cv_fail_i2_as1_fail":   "fail: the file's expectation has no text; RFC 8617 §5.2, 3",
	"ams_fields_h_empty":    "fail: From must be signed; RFC 6376 §5.4 by RFC 8617 §4.1.2",
	"ams_fields_c_na":       "fail: the default of c= is simple/simple; RFC 6376 §3.5 by RFC 8617 §4.1.2",
}

// TestARCCorpus is the validation suite of Valimail's arc_test_suite.
func TestARCCorpus(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/arc/arc-draft-validation-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	ran := 0
	for {
		var suite struct {
			Tests yaml.Node         // names stand twice in the file
			TXT   map[string]string `yaml:"txt-records"`
		}
		err := d.Decode(&suite)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		keys := arcKeys{txt: map[string]string{}}
		for name, text := range suite.TXT {
			keys.txt[strings.ToLower(name)] = text
		}
		for i := 0; i+1 < len(suite.Tests.Content); i += 2 {
			name := suite.Tests.Content[i].Value
			var c struct {
				Message string
				CV      string `yaml:"cv"`
			}
			if err := suite.Tests.Content[i+1].Decode(&c); err != nil {
				t.Fatal(err)
			}
			ran++
			got, err := VerifyARC(t.Context(), keys, []byte(strings.ReplaceAll(c.Message, "\n", "\r\n")), Limits{})
			if err != nil {
				got.Result = ARCNone // no message at all
			}
			want := strings.ToLower(c.CV)
			if e := arcExceptions[name]; e != "" {
				want, _, _ = strings.Cut(e, ":")
			}
			if string(got.Result) != want {
				t.Errorf("%s: %s (%v), want %s", name, got.Result, got.Err, want)
			}
		}
	}
	if ran != 175 {
		t.Errorf("%d cases ran", ran)
	}
}

// FuzzARC: whatever a chain holds, a pass has complete sets, and no key makes a
// broken one pass.
func FuzzARC(f *testing.F) {
	f.Add([]byte("ARC-Seal: i=1; a=rsa-sha256; b=AA==; cv=none; d=example.org; s=dummy\r\nARC-Message-Signature: i=1; a=rsa-sha256; b=AA==; bh=AA==; d=example.org; h=from; s=dummy\r\n" +
		"ARC-Authentication-Results: i=1; x; spf=pass\r\nFrom: a@example.org\r\n\r\nbody\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := VerifyARC(t.Context(), arcKeys{}, msg, Limits{})
		if err != nil {
			return
		}
		if got.Result == Pass || (got.Result == Fail) != (got.Err != nil) || len(got.Sets) > maxARCSets {
			t.Fatalf("%+v", got)
		}
	})
}
