package dmarcrpt

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// corpus says how each file of testdata is read: "domain id records messages
// notes", or the error.
var corpus = map[string]string{
	"accurateplastics.xml":                   "example.com example.com:1538463741 1 1 0",
	"addisonfoods.com.xml":                   "example.com 3ceb5548498640beaeb47327e202b0b9 1 1 0",
	"dmarc-xml-0.2.xml":                      "example.com 3v98abbp8ya9n3va8yr8oa3ya 1 123 0",
	"dmarc-xmlalt-0.2.xml":                   "example.com 3v98abbp8ya9n3va8yr8oa3ya 1 123 0",
	"empty_reason.xml":                       "example.com 20240125141224705995 1 2 0",
	"estadocuenta1.infonacot.gob.mx.xml.zip": "example.com 2940 1 1 0",
	"example.net.xml":                        "example.com b043f0e264cf4ea995e93765242f6dfb 1 1 0",
	"fastmail.com.xml.gz":                    "indemed.com 102675056 1 1 0",
	"ikea.com.xml":                           "example.de aggr_report_2018_10_05_5bc7e9b4f3e8a 1 1 0",
	"invalid_utf_8.xml":                      "example.com example.com:1538463741 1 1 0",
	"invalid_xml.xml":                        "error",
	"large.xml.gz":                           "example.com example.com:1711897200 2286 2286 0",
	"old_draft_from_wiki.xml":                "example.com 9391651994964116463 1 2 0",
	"protection.outlook.com.xml":             "example.com cfeafefe4129445e8c81018bd9177197 1 1 0",
	"report_with_upper_cased_pass.xml":       "example.com aggr_report_example.com_20191202_1638 1 1 0",
	"rfc9990-example.net.xml":                "example.com dmarcbis-test-report-001 2 7 0",
	"rfc9990-sample.xml":                     "example.com 3v98abbp8ya9n3va8yr8oa3ya 1 123 0",
	"usssa.com.xml":                          "example.com 8953b4d4a4ee4218b6ac0e2cb2667ee1 2 2 0",
	"veeam.com.xml":                          "example.com sonexushealth.com:1530233361 1 1 0",
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.xml*")
	if err != nil || len(files) != len(corpus) {
		t.Fatalf("%d files, %d are expected: %v", len(files), len(corpus), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Read(b)
		got := "error"
		if err == nil {
			got = fmt.Sprintf("%s %s %d %d %d", r.Policy.Domain, r.ID, len(r.Records), r.Messages(), len(r.Notes))
		}
		if want := corpus[filepath.Base(file)]; got != want {
			t.Errorf("%q: %q, // %v", filepath.Base(file), got, err)
		}
		if err == nil {
			roundTrip(t, file, r)
		}
	}
}

// roundTrip writes a report and reads it again.
func roundTrip(t *testing.T, name string, r *Report) {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	again, err := Read(b.Bytes())
	if err != nil {
		t.Fatalf("%s, written: %v\n%s", name, err, b.String())
	}
	want := *r
	want.Version, want.Policy.Percent, want.Notes = "1.0", "", nil
	if !reflect.DeepEqual(*again, want) {
		t.Errorf("%s, written and read:\n%+v\nwant\n%+v", name, *again, want)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	r := &Report{Org: "Waxwing & Söhne", Email: "postmaster@mx.example", ID: "1.x@mx.example", Begin: time.Unix(86400, 0).UTC(), End: time.Unix(172799, 0).UTC(),
		Policy: Policy{Domain: "example.org", P: "reject", SP: "none", NP: "reject", ADKIM: "r", ASPF: "s", FO: "0", Testing: "n", DiscoveryMethod: "treewalk"},
		Records: []Record{{SourceIP: netip.MustParseAddr("2001:db8::1"), Count: 7, Disposition: "none", DKIM: "pass", SPF: "fail",
			Reasons: []Reason{{"mailing_list", "listed <list.example>"}}, HeaderFrom: "example.org", EnvelopeFrom: "list.example",
			DKIMResults: []DKIMResult{{"example.org", "s1", "pass", ""}, {"list.example", "x", "fail", "body hash"}},
			SPFResults:  []SPFResult{{"list.example", "mfrom", "pass", ""}}}}}
	roundTrip(t, "made here", r)
	if got := r.Filename("mx.example", "u1"); got != "mx.example!example.org!86400!172799!u1.xml.gz" {
		t.Error(got)
	}
	if got := r.Subject("mx.example"); got != "Report Domain: example.org Submitter: mx.example Report-ID: <1.x@mx.example>" {
		t.Error(got)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), `<feedback xmlns="`+Namespace+`">`) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

const sample = `<feedback><report_metadata><org_name>o</org_name><report_id>i</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata>
<policy_published><domain>example.org</domain><p>none</p></policy_published>%s</feedback>`

// TestTolerance: the fault of one record costs that record.
func TestTolerance(t *testing.T) {
	t.Parallel()
	good := `<record><row><source_ip>192.0.2.1</source_ip><count>3</count></row></record>`
	for body, want := range map[string]string{
		good: "1 3 0",
		good + `<record><row><source_ip>nonsense</source_ip><count>3</count></row></record>`:           "1 3 1",
		good + `<record><row><source_ip>192.0.2.2</source_ip><count>-3</count></row></record>`:         "1 3 1",
		good + `<record><row><count>3</count></row></record>` + good:                                   "2 6 1",
		good + `<x:ext xmlns:x="urn:x"><record><row/></record></x:ext>`:                                "1 3 0",
		good + `<record><unknown><dkim/></unknown><auth_results><dkim></dkim></auth_results></record>`: "1 3 1",
	} {
		r, err := Read(fmt.Appendf(nil, sample, body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := fmt.Sprint(len(r.Records), r.Messages(), len(r.Notes)); got != want {
			t.Errorf("%s: %s (%v), want %s", body, got, r.Notes, want)
		}
	}
}

// TestBombs: what grows without bound is refused, entities are not expanded.
func TestBombs(t *testing.T) {
	t.Parallel()
	zeros := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte("<feedback>"))
		blank := bytes.Repeat([]byte("<a></a>"), 1<<17)
		for range MaxUnpacked/len(blank) + 1 {
			z.Write(blank)
		}
		z.Close()
		return b.Bytes()
	}
	archive := func() []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.Create("a.xml")
		blank := bytes.Repeat([]byte(" "), 1<<20)
		w.Write([]byte("<feedback>"))
		for range MaxUnpacked>>20 + 1 {
			w.Write(blank)
		}
		z.Close()
		return b.Bytes()
	}
	for name, file := range map[string][]byte{
		"gzip":      zeros(),
		"zip":       archive(),
		"large":     make([]byte, MaxFile+1),
		"deep":      fmt.Appendf(nil, sample, strings.Repeat("<a>", 100)),
		"no XML":    []byte("hello"),
		"cut gzip":  zeros()[:50],
		"cut zip":   archive()[:50],
		"empty":     nil,
		"no domain": []byte("<feedback></feedback>"),
		"html":      []byte("<html></html>"),
	} {
		if r, err := Read(file); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
	laughs := `<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>` + fmt.Sprintf(sample, "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row><identifiers><header_from>&b;</header_from></identifiers></record>")
	r, err := Read([]byte(laughs))
	if err == nil && strings.Contains(r.Records[0].HeaderFrom, "ha") {
		t.Errorf("an entity was expanded: %q", r.Records[0].HeaderFrom)
	}
	outside := `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>` + fmt.Sprintf(sample, "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row><identifiers><header_from>&f;</header_from></identifiers></record>")
	if r, err := Read([]byte(outside)); err == nil && strings.Contains(r.Records[0].HeaderFrom, "root") {
		t.Error("a file was read")
	}
}

// FuzzRead: whatever is read, is read the same after it was written.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"rfc9990-sample.xml", "empty_reason.xml", "fastmail.com.xml.gz", "estadocuenta1.infonacot.gob.mx.xml.zip"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(b)
		if err == nil {
			roundTrip(t, "fuzzed", r)
		}
	})
}
