package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/receive"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
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
	if r.Send("partner.test") || !r.Send("other.test") || r.Cap != 7 || s.Alerts.To == "" || s.Alerts.Off || r.Dial == nil {
		t.Errorf("%v %v %d", r.Send("partner.test"), r.Send("other.test"), r.Cap)
	}
	in := s.TLSIntake
	if in.PerReporter != 8 || in.PerDay != 9 || in.OctetsPerDay != 10<<20 || in.Count == nil || r.Count == nil {
		t.Errorf("%d a reporter, %d in all, %d octets, counted: %v", in.PerReporter, in.PerDay, in.OctetsPerDay, in.Count != nil)
	}
	if len(in.HostNames) != 2 || in.HostNames[0] != cfg.Hostname || in.HostNames[1] != cfg.Delivery.EHLO {
		t.Errorf("host names %v", in.HostNames)
	}
	for _, step := range []struct{ add, want string }{
		{"", ""}, {"zzz.test", "postmaster@zzz.test"}, {"example.test", "postmaster@example.test"}, {"mail.example.test", "postmaster@mail.example.test"},
	} {
		if step.add != "" {
			if err := s.Accounts.AddDomain(ctx, dns.MustParse(step.add)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Alerts.Postmaster(ctx); got != step.want || err != nil {
			t.Errorf("with %s: alerts go to %q, %v", step.add, got, err)
		}
	}
}

// RPT-21, DMR-6: what a domain's own report address is, and who reads what comes there, holds for that domain alone.
func TestReportAddressOfDomain(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	a, b := dns.MustParse("a.test"), dns.MustParse("b.test")
	cfg.ReportAddresses = []config.ReportAddress{{Domain: a, Of: config.DMARCReports, Address: "rua", Reader: "joe@a.test", Mailbox: "DMARC", Keep: true}}
	cfg.DMARC.Reader, cfg.DMARC.ReaderMailbox = "all@b.test", "Reports"
	s, err := newServer(t.Context(), Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, d := range []dns.Name{a, b} {
		if err := s.Accounts.AddDomain(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	sink := s.Rooms.reports()
	for _, tt := range []struct {
		local string
		at    dns.Name
		is    bool
		want  receive.ReportReader
	}{
		{"rua", a, true, receive.ReportReader{Address: "joe@a.test", Mailbox: "DMARC", Keep: true}}, {"dmarc-reports", a, true, receive.ReportReader{Address: "joe@a.test", Mailbox: "DMARC", Keep: true}},
		{"rua", b, false, receive.ReportReader{}}, {"dmarc-reports", b, true, receive.ReportReader{Address: "all@b.test", Mailbox: "Reports"}},
		{"tls-reports", a, true, receive.ReportReader{}}, {"rua", dns.MustParse("c.test"), false, receive.ReportReader{}},
	} {
		got := sink.Reader(t.Context(), tt.local, tt.at)
		if is := sink.IsReport(t.Context(), tt.local, tt.at); is != tt.is || is && got != tt.want {
			t.Errorf("%s@%s: %v, read by %+v", tt.local, tt.at, is, got)
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
	got, err := s.TLSIntake.Reports(t.Context(), outbox.Filter{})
	if err != nil || len(got) != 1 || got[0].Source != "https" || got[0].Submitter != "127.0.0.1" || got[0].OK != 3 {
		t.Errorf("stored: %+v %v", got, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// stuck dials as anybody would, but for one port, where nobody answers.
type stuck struct {
	net.Dialer
	port  string
	asked chan string
}

func (s *stuck) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !strings.HasSuffix(address, s.port) {
		return s.Dialer.DialContext(ctx, network, address)
	}
	s.asked <- address
	<-ctx.Done()
	return nil, ctx.Err()
}

// Https addresses that do not answer, more than are posted to at a time, hold up
// neither the making of reports nor those that come in, nor what the postmaster is told.
func TestSlowReportAddresses(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.HTTPS)
	cfg.Delivery.AllowPrivate, cfg.TLSRPT.Alerts = true, true
	world := &stuck{port: ":999", asked: make(chan string, 100)}
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	s, err := newServer(t.Context(), Options{Config: cfg, Dialer: world, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	domain := dns.MustParse("example.test")
	if err := s.Accounts.AddDomain(t.Context(), domain); err != nil {
		t.Fatal(err)
	}
	err = s.Store.Write(t.Context(), func(tx *store.Tx) error {
		for i := range 12 {
			_, err := tx.Exec(`INSERT INTO outbox_reports (id, day, kind, policy_domain, report_id, created, ok, failed, partial, state, body)
				VALUES (?, 0, 0, '', '', ?, 0, 0, 0, 'sending', ?)`, i, store.Time(now), []byte("x"))
			if err == nil {
				_, err = tx.Exec(`INSERT INTO outbox_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note)
					VALUES (?, ?, 'https://127.0.0.1:999/', 'waiting', 0, 0, 0, ?, 0, '')`, i, i, store.Time(now.Add(time.Hour)))
			}
			if err != nil {
				return err
			}
		}
		// A unit that needs no lookup: nothing that is to be reported.
		clean := delivery.Observation{RecipientDomain: domain, Type: tlsrpt.PolicyNone, PolicyDomain: domain, OK: 1}
		if err := tlsresult.Save(tx, now.Add(-24*time.Hour), []delivery.Observation{clean}); err != nil {
			return err
		}
		return s.Alerts.Add(tx, alert.Failure{Domain: "example.test"})
	})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { done <- s.Run(ctx) }()
	for range 4 {
		<-world.asked
	}
	rep := tlsrpt.Report{Organization: "R", Begin: now, End: now.Add(time.Hour), ID: "x", Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicyNone, Domain: "example.test", Success: 3}}}
	text, err := rep.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if reason, err := s.TLSIntake.TakePost(ctx, netip.MustParseAddr("192.0.2.1"), text); reason != "" || err != nil {
		t.Errorf("a report is not taken: %q %v", reason, err)
	}
	var told, open int
	for end := time.Now().Add(2 * time.Minute); (told == 0 || open > 0) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err := s.Store.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT (SELECT count(*) FROM tls_alerts WHERE told > 0), 1 - (SELECT count(*) FROM outbox_units WHERE state = 'skipped')`).Scan(&told, &open)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if told != 1 || open != 0 || len(world.asked) != 0 {
		t.Errorf("%d alerts told, %d reports not made, %d more addresses asked", told, open, len(world.asked))
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
