//go:build linux

package interop

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"waxwing/internal/outbox"
	"waxwing/internal/spool"
)

// reportsTo is the address in the TLSRPT records.
const reportsTo = "alice+tlsrpt@ee.postfix.example"

// report is what RFC 8460 §4.4 says, read with nothing of ours.
type report struct {
	Policies []struct {
		Policy struct {
			Type   string `json:"policy-type"`
			Domain string `json:"policy-domain"`
		} `json:"policy"`
		Summary struct {
			OK     int `json:"total-successful-session-count"`
			Failed int `json:"total-failure-session-count"`
		} `json:"summary"`
		Details []struct {
			Type     string `json:"result-type"`
			Sessions int    `json:"failed-session-count"`
			MX       string `json:"receiving-mx-hostname"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// TestReport: two sessions with Exim, one of them failed, stand in the TLS
// reports that come to Postfix.
func TestReport(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.peer(t, "exim")
	postfix := w.peer(t, "postfix")
	w.sign(t)
	to := "alice@rpt.exim.example"
	w.submit(t, mail{to: []string{to}, token: newToken()})
	if it := w.settled(t, to); it.State != spool.Delivered || it.TLS != "dane" {
		t.Fatalf("state %v, TLS %q, %s", it.State, it.TLS, it.Text)
	}
	got := map[string]string{}
	for _, domain := range []string{"bad.rpt.exim.example", "good.rpt.exim.example"} {
		sum, err := w.wax.TLSReport.SendDay(t.Context(), outbox.SendOptions{Day: time.Now(), Domain: domain, Partial: true})
		if err != nil || len(sum.Made) != 1 {
			t.Fatalf("report about %s: %+v, %v", domain, sum, err)
		}
		mail := postfix.await(t, "TLS-Report-Domain: "+domain, 1)
		if len(mail) != 1 || !strings.Contains(mail[0], "DKIM-Signature:") {
			t.Fatalf("Postfix has %d signed reports about %s: %q", len(mail), domain, mail)
		}
		for _, p := range unpack(t, mail[0]).Policies {
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			got[p.Policy.Domain] += string(b)
		}
	}
	want := map[string]string{
		"bad.rpt.exim.example": `{"policy":{"policy-type":"tlsa","policy-domain":"bad.rpt.exim.example"},"summary":{"total-successful-session-count":0,"total-failure-session-count":1},` +
			`"failure-details":[{"result-type":"validation-failure","failed-session-count":1,"receiving-mx-hostname":"bad.rpt.exim.example"}]}`,
		"good.rpt.exim.example": `{"policy":{"policy-type":"tlsa","policy-domain":"good.rpt.exim.example"},"summary":{"total-successful-session-count":1,"total-failure-session-count":0},"failure-details":null}`,
	}
	for domain, text := range want {
		if got[domain] != text {
			t.Errorf("%s:\ngot  %s\nwant %s", domain, got[domain], text)
		}
	}
}

// unpack reads the report in a mail.
func unpack(t *testing.T, text string) (r report) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("content type %q %v %v", kind, params, err)
	}
	for parts := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			t.Fatalf("no report in the mail: %s", text)
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind != "application/tlsrpt+gzip" {
			continue
		}
		zr, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(zr).Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
}
