package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/delivery"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/tlsrpt"
)

// RPT-15: posted reports are stored apart, bounded by source and day, displace
// nothing, and feed neither alerts nor advice.
func TestTakePost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.alerts.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		r.clock.Set(saturday.Add(30 * time.Hour))
		from := netip.MustParseAddr("192.0.2.7")
		if reason, err := r.TakePost(ctx, from, reportAbout(t, "id", "example")); reason != "" || err != nil {
			t.Fatal(reason, err)
		}
		rep := newReporter(t, r)
		if taken, reason, err := r.Take(ctx, "tls-reports@example", rep.mail("reporter.example", reportAbout(t, "id", "example"))); !taken {
			t.Fatal(reason, err)
		}
		got := r.reports(t)
		if len(got) != 2 {
			t.Fatalf("%+v", got)
		}
		for _, x := range got {
			if want := map[string]string{"https": "192.0.2.7", "mail": "reporter.example"}[x.Source]; x.Submitter != want {
				t.Errorf("%+v", x)
			}
		}
		for name, body := range map[string][]byte{"not ours": reportAbout(t, "x", "else.test"), "no report": []byte("hello")} {
			if reason, err := r.TakePost(ctx, from, body); reason == "" || err != nil {
				t.Errorf("%s: %q %v", name, reason, err)
			}
		}
		for i := range reportbox.PerSource + 5 {
			_, err := r.TakePost(ctx, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)), reportAbout(t, fmt.Sprint("n", i), "example"))
			if errors.Is(err, reportbox.ErrTooMany) != (i >= reportbox.PerSource) {
				t.Fatalf("post %d of one network: %v", i, err)
			}
		}
		r.clock.Set(saturday.Add(54 * time.Hour))
		if _, err := r.TakePost(ctx, netip.MustParseAddr("2001:db8::1"), reportAbout(t, "next day", "example")); err != nil {
			t.Errorf("the next day: %v", err)
		}
		var alerts int
		var by string
		if err := s.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*), max(submitter) FROM tls_alerts`).Scan(&alerts, &by)
		}); err != nil || alerts != 1 || by != "reporter.example" {
			t.Errorf("%d alerts, by %s, want that of the mail: %v", alerts, by, err)
		}
		r.clock.Set(saturday.Add(31*time.Hour + reportbox.KeepPosted))
		if err := r.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if left := r.reports(t); len(left) != 2 { // the mail's, and the one of the next day
			t.Errorf("after a month: %d reports", len(left))
		}
	})
}

// RPT-18: the first failures of a clean domain are told once, to the
// postmaster and the webhook, at most one mail a day.
func TestAlerts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		var mu sync.Mutex
		var hooks []string
		fails := 1
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if fails > 0 {
				fails--
				w.WriteHeader(503)
				return
			}
			b, _ := io.ReadAll(req.Body)
			hooks = append(hooks, string(b))
		}))
		defer srv.Close()
		r := newRig(t, s)
		r.hook.HTTP, r.hook.To, r.hook.Off = srv.Client(), srv.URL, false
		r.alerts.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		report := func(id string, day int, domain string, failed int64) {
			t.Helper()
			rep := &tlsrpt.Report{Organization: "R", Begin: saturday.AddDate(0, 0, day), End: saturday.AddDate(0, 0, day+1), ID: id,
				Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicySTS, Domain: domain, Success: 5, Failed: failed}}}
			if failed > 0 {
				rep.Policies[0].Details = []tlsrpt.FailureDetail{{Type: tlsrpt.CertificateExpired, MXHostname: "mx.example\x1b[31m", Sessions: failed}}
			}
			if reason, err := r.keep(ctx, reportbox.Mail(dns.MustParse("reporter.example")), rep); reason != "" || err != nil {
				t.Fatal(reason, err)
			}
		}
		at := func(day int, h time.Duration) {
			t.Helper()
			r.clock.Set(saturday.AddDate(0, 0, day+1).Add(h * time.Hour))
			if _, err := r.alerts.Step(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := r.alerts.StepPosts(ctx); err != nil {
				t.Fatal(err)
			}
		}
		at(0, 1)
		report("clean", 0, "example", 0)
		report("old news", -10, "example", 3)
		report("first", 0, "example", 3)
		report("first", 0, "example", 3) // repeated
		report("second", 0, "example", 3)
		report("other", 0, "sender.example", 1)
		if at(0, 1); len(r.out.All()) != 0 {
			t.Error("told at once: the reports of the hour are to go into one mail")
		}
		at(0, 3)
		at(0, 4)
		mails := r.out.All()
		if len(mails) != 1 {
			t.Fatalf("%d mails", len(mails))
		}
		text := mails[0].Data
		for _, w := range []string{"To: <postmaster@sender.example>", "example: 3 sessions failed, 5 ok", "sender.example: 1 sessions failed", "Renew the certificate", "and 1 more domains"} {
			if !strings.Contains(text, w) {
				t.Errorf("the mail lacks %q:\n%s", w, text)
			}
		}
		if strings.Contains(text, "\x1b") || mails[0].Env.Purpose != delivery.Mail || mails[0].Env.Sender != "" {
			t.Errorf("mail %+v\n%q", mails[0].Env, text)
		}
		at(1, 1)
		report("third", 1, "example", 4) // not clean any more
		at(1, 5)
		if n := alertsTold(t, s); n != 2 {
			t.Errorf("%d alerts after the second day, want the two of the first", n)
		}
		at(9, 1)
		report("again", 9, "example", 1) // a week was clean
		at(9, 3)
		report("more", 9, "sender.example", 1) // later the same day: waits
		if at(9, 9); alertsTold(t, s) != 3 {
			t.Error("two mails a day")
		}
		if at(10, 1); alertsTold(t, s) != 4 {
			t.Error("not told the next day")
		}
		at(10, 2)
		if len(hooks) != 3 {
			t.Fatalf("the webhook got %d: %q", len(hooks), hooks)
		}
		var got struct {
			Event  string
			Alerts []alert.Failure
		}
		if err := json.Unmarshal([]byte(hooks[0]), &got); err != nil || got.Event != "tlsrpt.first-failures" || len(got.Alerts) != 2 || got.Alerts[0].Failed != 3 {
			t.Errorf("webhook: %s: %v", hooks[0], err)
		}
	})
}

func alertsTold(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	if err := s.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM tls_alerts WHERE told > 0`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// RPT-18: the digest sums by domain, day, reporter and policy.
func TestDigest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.clock.Set(saturday.Add(40 * time.Hour))
		for i, tt := range []struct {
			from    string
			begin   time.Time
			details []tlsrpt.FailureDetail
		}{
			{"one.test", saturday, []tlsrpt.FailureDetail{{Type: tlsrpt.CertificateExpired, MXHostname: "MX1.example.", Sessions: 2}}},
			{"one.test", saturday.Add(-7 * time.Hour), []tlsrpt.FailureDetail{{Type: tlsrpt.CertificateExpired, MXHostname: "mx1.example", Sessions: 1}}}, // their day begins in the west
			{"two.test", saturday, nil},
			{"two.test", saturday.AddDate(0, 0, -30), nil}, // too old
		} {
			rep := &tlsrpt.Report{Organization: "R", Begin: tt.begin, End: tt.begin.Add(24*time.Hour - time.Second), ID: fmt.Sprint(i),
				Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicySTS, Strings: []string{"version: STSv1", "mode: testing"}, Domain: "example", Success: 5, Details: tt.details}}}
			for _, d := range tt.details {
				rep.Policies[0].Failed += d.Sessions
			}
			if reason, err := r.keep(ctx, reportbox.Mail(dns.MustParse(tt.from)), rep); reason != "" || err != nil {
				t.Fatal(reason, err)
			}
		}
		d, err := r.Digest(ctx, "example", 7)
		if err != nil || len(d.Lines) != 2 {
			t.Fatalf("%+v %v", d, err)
		}
		one := d.Lines[0]
		if one.Reporter != "one.test" || one.Day != "2026-11-21" || one.OK != 10 || one.Failed != 3 || one.Mode != "testing" || len(one.Failures) != 1 ||
			one.Failures[0].Sessions != 3 || one.Failures[0].MXHost != "mx1.example" || one.Failures[0].Cure == "" {
			t.Errorf("%+v", one)
		}
		if len(d.Advice) != 1 || d.Advice[0].Word != AdviseCertificate {
			t.Errorf("advice %+v", d.Advice)
		}
	})
}
