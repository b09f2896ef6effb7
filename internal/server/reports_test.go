package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/tlsreport"
	"waxwing/tlsrpt"
)

// What the configuration says of TLS reports reaches the service: RPT-3 (domains
// left out), RPT-12 (cap), RPT-17 (names of ours), RPT-18 (whom to alert).
func TestReportWiring(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cfg := parse(t, config.MX)
	cfg.TLSRPT.Exclude = []dns.Name{dns.MustParse("partner.test")}
	cfg.TLSRPT.MaxPerOrg = 7
	cfg.TLSRPT.MaxPerReporter, cfg.TLSRPT.MaxReceived, cfg.TLSRPT.MaxOctets = 8, 9, 10<<20
	cfg.TLSRPT.AlertWebhook = "https://hook.test/"
	cfg.Delivery.EHLO = dns.MustParse("out.elsewhere.test")
	s, err := newServer(ctx, Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.TLSReport
	if r.Send("partner.test") || !r.Send("other.test") || r.Cap != 7 || r.Webhook == "" || r.Dial == nil {
		t.Errorf("%v %v %d", r.Send("partner.test"), r.Send("other.test"), r.Cap)
	}
	if r.PerReporter != 8 || r.PerDay != 9 || r.OctetsPerDay != 10<<20 || r.Count == nil {
		t.Errorf("%d a reporter, %d in all, %d octets, counted: %v", r.PerReporter, r.PerDay, r.OctetsPerDay, r.Count != nil)
	}
	if len(r.HostNames) != 2 || r.HostNames[0] != cfg.Hostname || r.HostNames[1] != cfg.Delivery.EHLO {
		t.Errorf("host names %v", r.HostNames)
	}
	for _, step := range []struct{ add, want string }{
		{"", ""}, {"zzz.test", "postmaster@zzz.test"}, {"example.test", "postmaster@example.test"}, {"mail.example.test", "postmaster@mail.example.test"},
	} {
		if step.add != "" {
			if err := s.Accounts.AddDomain(ctx, dns.MustParse(step.add)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := r.Postmaster(ctx); got != step.want || err != nil {
			t.Errorf("with %s: alerts go to %q, %v", step.add, got, err)
		}
	}
}

// RPT-15: a report that is posted to the https listener is stored, apart.
func TestPostedReport(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.HTTPS)
	s, err := newServer(t.Context(), Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Accounts.AddDomain(t.Context(), dns.MustParse("example.test")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { done <- s.Run(ctx) }()
	_, _, roots := cfg.TLSFiles()
	pool, err := certs.Roots(roots, false)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "mail.example.test"}, ForceAttemptHTTP2: true}}
	url := "https://" + s.Addr(config.HTTPS).String() + "/tlsrpt"
	rep := tlsrpt.Report{Organization: "R", Begin: time.Unix(1e9, 0), End: time.Unix(1e9+86399, 0), ID: "x",
		Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicyNone, Domain: "example.test", Success: 3}}}
	text, err := rep.Encode()
	if err != nil {
		t.Fatal(err)
	}
	gz, err := tlsrpt.Compress(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		body   []byte
		status int
	}{{gz, 200}, {gz, 200}, {[]byte("{}"), 400}} {
		resp, err := client.Post(url, tlsrpt.MediaGzip, bytes.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s, want %d", resp.Status, tt.status)
		}
	}
	if resp, err := client.Get(url); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	got, err := s.TLSReport.Reports(t.Context(), tlsreport.Filter{})
	if err != nil || len(got) != 1 || got[0].Source != "https" || got[0].Submitter != "127.0.0.1" || got[0].OK != 3 {
		t.Errorf("stored: %+v %v", got, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
