package tlsrpt

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*/*.want")

// corpus says of every file in testdata what it holds, counted by hand (RPT-16,
// RPT-20): policies, details, sessions ok and failed, and what Check says of it.
// The file beside it that ends in .want holds all of it. A file without an id is
// no TLS report and refused.
var corpus = map[string]struct {
	id                            string
	policies, details, ok, failed int
	addsUp                        bool
}{
	"cry-inc/google.json":                                {"2025-05-22T00:00:00Z_foo-bar.io", 1, 0, 1, 0, true},
	"cry-inc/microsoft.json":                             {"133925885310113267+random.net", 2, 0, 4, 0, true},
	"cry-inc/no-contact.json":                            {"123_456", 1, 0, 1, 0, true},
	"cry-inc/no-policy.json":                             {"2025-03-27T00:00:00Z_foo-bar.io", 1, 0, 1, 0, true},
	"cry-inc/no_ip_and_mx.json":                          {"1234567890+", 1, 1, 0, 3, true},
	"cry-inc/rfc-example.json":                           {"5065427c-23d3-47ca-b6e0-946ea0e8c4be", 1, 3, 5326, 303, true},
	"isseis/tlsrpt_failure.eml":                          {"2026-02-08T00:00:00Z_example.com", 1, 1, 4523, 2, true},
	"isseis/tlsrpt_success_google_1.eml":                 {"2026-05-11T00:00:00Z_example.com", 1, 0, 1, 0, true},
	"isseis/tlsrpt_success_google_2.eml":                 {"2026-05-12T00:00:00Z_example.com", 1, 0, 4, 0, true},
	"isseis/tlsrpt_success_microsoft.eml":                {"134232617934286362+example.com", 1, 0, 2, 0, true},
	"parsedmarc/google.com_smtp_tls_report.eml":          {"2024-09-03T00:00:00Z_cardinalhealth.ca", 1, 0, 48, 0, true},
	"parsedmarc/mail.ru.json":                            {"b28254de-7b2e-be36-bb5c-4c3b92da8b25@mail.ru", 1, 2, 0, 1, true}, // overlapping details
	"parsedmarc/rfc8460.json":                            {"5065427c-23d3-47ca-b6e0-946ea0e8c4be", 1, 3, 5326, 303, true},
	"parsedmarc/smtp_tls.json":                           {"2024-01-09T00:00:00Z_example.com", 1, 2, 0, 3, true},
	"robalexdev/report-2.json":                           {"2025-08-04T00:00:00Z_example.org", 1, 0, 13, 0, true},
	"robalexdev/report.json":                             {"report-id-from-report.json", 1, 0, 99, 102, false}, // failures without details
	"robalexdev/test.eml":                                {"5065427c-23d3-47ca-b6e0-946ea0e8c4be", 1, 3, 5326, 303, true},
	"robalexdev/testing.json":                            {"report-id-of-report-over-email-1234", 1, 3, 5326, 303, true},
	"use/a01-no-policy-domain.json":                      {"2026-01-11_example.org", 0, 0, 0, 0, true}, // noted
	"use/a02-good-plus-no-policy-domain.json":            {"2026-01-11_example.org", 1, 0, 5, 0, true},
	"use/b01-gzip-trailing-crlf.json.gz":                 {"2026-01-11_example.org", 1, 0, 5, 0, true},
	"use/c01-times.json":                                 {"2026-01-11_example.org", 1, 0, 5, 0, true},
	"use/m-application-tlsrpt-with--json-name--mail.eml": {"n2", 1, 0, 7, 0, true},
	"use/m-good-policy-beside-one-without-policy-do.eml": {"n32", 1, 0, 7, 0, true},
	"use/m-gzip-with-trailing-crlf-inside-base64.eml":    {"n30", 1, 1, 7, 1, true},
	"use/m-text-part-broken-base64.eml":                  {"n21", 1, 1, 7, 1, true},
	"use/m-text-part-unknown-cte.eml":                    {"n20", 1, 1, 7, 1, true},
	"use/m-two-gz-attachments--first-is-no-report--.eml": {"n29", 1, 1, 7, 1, true},
	"use/tlsreport-content-type-comment.eml":             {"r1@example.net", 1, 0, 5, 0, true},
	"use/tlsreport-unknown-cte-text.eml":                 {"r1@example.net", 1, 0, 5, 0, true},
	"cry-inc/dmarc-reports/acme.xml":                     {},
	"cry-inc/dmarc-reports/aol.xml":                      {},
	"cry-inc/dmarc-reports/gmxnet.xml":                   {},
	"cry-inc/dmarc-reports/google.xml":                   {},
	"cry-inc/dmarc-reports/hardfail.xml":                 {},
	"cry-inc/dmarc-reports/mailru.xml":                   {},
	"cry-inc/dmarc-reports/outlook.xml":                  {},
	"cry-inc/dmarc-reports/solamora.xml":                 {},
	"cry-inc/dmarc-reports/webde.xml":                    {},
	"cry-inc/dmarc-reports/yahoo.xml":                    {},
}

// want is what a .want file holds: the whole report as parsed, its sums, what
// Check finds; or why it is refused.
type want struct {
	Refused string  `json:"refused,omitempty"`
	OK      int64   `json:"ok"`
	Failed  int64   `json:"failed"`
	Check   string  `json:"check,omitempty"`
	Report  *Report `json:"report,omitempty"`
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	files, wants := corpusFiles(t)
	for name := range corpus {
		if !files[name] {
			t.Errorf("%s is not in testdata", name)
		}
	}
	for name := range wants {
		if !files[name] {
			t.Errorf("%s.want: the file it is about is gone", name)
		}
	}
	for name := range files {
		counted, ok := corpus[name]
		if !ok {
			t.Errorf("%s: no expectation", name)
			continue
		}
		path := filepath.Join("testdata", filepath.FromSlash(name))
		w := parsed(t, path)
		got := counted
		got.id, got.policies, got.details, got.ok, got.failed, got.addsUp = "", 0, 0, int(w.OK), int(w.Failed), w.Refused == "" && w.Check == ""
		if w.Report != nil {
			got.id, got.policies = w.Report.ID, len(w.Report.Policies)
			for _, p := range w.Report.Policies {
				got.details += len(p.Details)
			}
		}
		if got != counted {
			t.Errorf("%s: got %+v, want %+v", name, got, counted)
		}
		compareWant(t, path+".want", w)
	}
}

// corpusFiles are the files of testdata and those that a .want is about.
func corpusFiles(t *testing.T) (files, wants map[string]bool) {
	t.Helper()
	files, wants = map[string]bool{}, map[string]bool{}
	sourced := map[string]int{} // directories with LICENSE and SOURCE.txt
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "testdata/")
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "fuzz":
			return fs.SkipDir
		case d.IsDir():
		case d.Name() == "LICENSE" || d.Name() == "SOURCE.txt":
			sourced[strings.SplitN(name, "/", 2)[0]]++
		case strings.HasSuffix(name, ".want"):
			wants[strings.TrimSuffix(name, ".want")] = true
		default:
			files[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if dir := strings.SplitN(name, "/", 2)[0]; sourced[dir] != 2 {
			t.Errorf("%s: testdata/%s does not say its source and licence", name, dir)
		}
	}
	return files, wants
}

func parsed(t *testing.T, path string) want {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var w want
	err = Find(data, Limits{}, func(r *Report) error {
		if w.Report != nil {
			t.Errorf("%s: a second report", path)
		}
		w.Report = r
		w.OK, w.Failed = r.Totals()
		if err := r.Check(); err != nil {
			w.Check = err.Error()
		}
		return nil
	})
	if err != nil {
		w.Refused = err.Error()
	}
	return w
}

func compareWant(t *testing.T, path string, w want) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(w); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if expected, err := os.ReadFile(path); err != nil || !bytes.Equal(expected, got.Bytes()) {
		t.Errorf("%s: %v; got\n%s", path, err, got.Bytes())
	}
}
