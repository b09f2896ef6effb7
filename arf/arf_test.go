package arf

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/message"
)

// example is that of RFC 9991, appendix A, without most of its third part.
const example = "From: DMARC Filter <DMARC@gen.example>\r\nTo: dmarcfail@consumer.example\r\nSubject: FW: This is the original subject\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/report; report-type=feedback-report;\r\n boundary=\"=_mime_boundary_\"\r\n\r\n" +
	"--=_mime_boundary_\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis is an authentication failure report.\r\n" +
	"--=_mime_boundary_\r\nContent-Type: message/feedback-report\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" +
	"Feedback-Type: auth-failure\r\nVersion: 1\r\nUser-Agent: DMARC-Filter/1.2.3\r\nAuth-Failure: dmarc\r\nAuthentication-Results: gen.example;\r\n  dmarc=fail header.from=consumer.example\r\n" +
	"Identity-Alignment: dkim\r\nDKIM-Domain: consumer.example\r\nDKIM-Identity: @consumer.example\r\nDKIM-Selector: epsilon\r\nOriginal-Envelope-Id: 65E1A3F0A0\r\n" +
	"Original-Mail-From: author=gen.example@forwarder.example\r\nSource-IP: 192.0.2.2\r\nSource-Port: 12345\r\nReported-Domain: consumer.example\r\n\r\n" +
	"--=_mime_boundary_\r\nContent-Type: message/rfc822; charset=utf-8\r\n\r\nMessage-ID: <1@consumer.example>\r\nFrom: Message Author <author@consumer.example>\r\n\r\n[ Message body was here ]\r\n--=_mime_boundary_--\r\n"

// DMR-4: the example of RFC 9991 is read.
func TestExample(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{UserAgent: "DMARC-Filter/1.2.3", Failure: "dmarc", Domain: "consumer.example", Results: "gen.example; dmarc=fail header.from=consumer.example", Alignment: []string{"dkim"},
		Signature: Signature{"consumer.example", "@consumer.example", "epsilon"}, MailFrom: "author=gen.example@forwarder.example", Source: netip.MustParseAddr("192.0.2.2"), Incidents: 1,
		Original: []byte("Message-ID: <1@consumer.example>\r\nFrom: Message Author <author@consumer.example>\r\n")}
	r.Results = strings.Join(strings.Fields(r.Results), " ")
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant %+v", r, want)
	}
	if text := r.Text(); !strings.Contains(text, "about:         consumer.example\n") || !strings.Contains(text, "  Message-ID: <1@consumer.example>\n") {
		t.Error(text)
	}
}

// The samples of parsedmarc (testdata/SOURCE.txt): "failure domain source messages notes", or the error.
func TestCorpus(t *testing.T) {
	t.Parallel()
	corpus := map[string]string{
		"domain.de.eml":     "dmarc domain.de 10.10.10.10 1 0",
		"exim.eml":          "no failure report", // text for people alone, without the part of RFC 5965
		"linkedin.eml":      "dmarc example.com 10.10.10.10 1 0",
		"linkedin.crlf.eml": "dmarc example.com 10.10.10.10 1 0",
		"netease.eml":       "dmarc cardinal.com 167.89.69.24 1 1", // which leaves out what RFC 6591 §3.1 requires: Auth-Failure
	}
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) != len(corpus) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse(b)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%s %s %s %d %d", r.Failure, r.Domain, r.Source, r.Incidents, len(r.Notes))
			if len(r.Original) == 0 {
				t.Errorf("%s: nothing of the message", file)
			}
		}
		if want := corpus[filepath.Base(file)]; got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// What is written is read as it was, as a mail and as the file that is kept.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	full := Report{UserAgent: "Waxwing", Failure: "dmarc", Domain: "a.example", Results: "mx.example; dmarc=fail", Alignment: []string{"dkim", "spf"}, Delivery: "reject",
		Signature: Signature{"a.example", "@a.example", "s1"}, SPFRecord: `txt : a.example : "v=spf1 -all"`, MailFrom: "x@b.example", RcptTo: "y@c.example",
		Arrival: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC), Source: netip.MustParseAddr("2001:db8::1"), MTA: "mx.example", Incidents: 7, Original: []byte("From: x\r\nSubject: y\r\n")}
	for _, want := range []Report{full, {Failure: "dmarc", Domain: "a.example", Incidents: 1}, {Failure: "spf", Domain: "a.example", Incidents: 1}} {
		msg := append([]byte("From: x@y.example\r\nMIME-Version: 1.0\r\n"), want.Entity("for people").Write()...)
		for name, read := range map[string]func() (*Report, error){"mail": func() (*Report, error) { return Parse(msg) }, "file": func() (*Report, error) { return ReadFile(want.File()) }} {
			got, err := read()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !got.Arrival.Equal(want.Arrival) || strings.TrimSpace(string(got.Original)) != strings.TrimSpace(string(want.Original)) {
				t.Errorf("%s: %+v", name, got)
			}
			got.Arrival, got.Original = want.Arrival, want.Original
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s: %+v\nwant %+v", name, *got, want)
			}
		}
	}
}

// What is no report is told from one that cannot be used.
func TestParseFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "no failure report",
		"Feedback-Type: abuse\r\n":    "no failure report: the feedback is of the type \"abuse\"",
		"Feedback-Type: auth-failure": "the feedback report does not say what failed (Auth-Failure)",
		"Feedback-Type: AUTH-FAILURE\r\nAuth-Failure: dmarc": "the feedback report names no domain (Reported-Domain)",
		"no field": "the feedback report cannot be read",
	} {
		if _, err := ParseFields([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	r, err := ParseFields([]byte("Feedback-Type: auth-failure\nAuth-Failure: DMARC\nReported-Domain: A.example\nIncidents: -1\nSource-IP: here\nArrival-Date: now\nIdentity-Alignment: dkim, arc\n"))
	if err != nil || len(r.Notes) != 4 || r.Incidents != 1 || r.Domain != "a.example" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Parse([]byte("Subject: x\r\n\r\nhello\r\n")); !errors.Is(err, ErrNoReport) {
		t.Error(err)
	}
}

// Whatever is read can be written, and is read again as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("Feedback-Type: auth-failure\r\nAuth-Failure: dmarc\r\nReported-Domain: a.example\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseFields(b); err == nil {
			again, err := ParseFields(r.Fields())
			if err != nil || again.Domain != r.Domain && len(r.Domain) < 60 {
				t.Errorf("%+v, %+v, %v", r, again, err)
			}
		}
		r, err := Parse(b)
		if err != nil {
			return
		}
		if len(r.Original) > maxOriginal || bytes.Contains(r.Fields(), []byte("\r\n\r\n")) {
			t.Errorf("%+v", r)
		}
		_ = r.Text()
		_ = message.EightBit(r.File())
	})
}
