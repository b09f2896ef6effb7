package tlsreport

import (
	"bytes"
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
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// RPT-12: one refusal suppresses, days of 4xx do, for longer each time; what an
// admin set stays; after long peace all is forgotten.
func TestStanding(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	type event struct {
		at time.Duration
		v  verdict
	}
	for name, tt := range map[string]struct {
		was    standing
		events []event
		until  time.Duration // from saturday; 0: not suppressed
		times  int
	}{
		"accepted":                         {standing{}, []event{{0, accepted}}, 0, 0},
		"refused":                          {standing{}, []event{{0, refused}}, 3 * day, 1},
		"many refusals of one day":         {standing{}, []event{{0, refused}, {time.Hour, refused}, {2 * time.Hour, exhausted}}, 3 * day, 1},
		"refused again":                    {standing{}, []event{{0, refused}, {4 * day, refused}}, 10 * day, 2},
		"accepted between two bounces":     {standing{}, []event{{0, refused}, {4 * day, accepted}, {4*day + 1, refused}}, 10*day + 1, 2},
		"one day of 4xx":                   {standing{}, []event{{0, exhausted}}, 0, 0},
		"one day of 4xx, several reports":  {standing{}, []event{{0, exhausted}, {1, exhausted}, {2, exhausted}}, 0, 0},
		"three days of 4xx":                {standing{}, []event{{0, exhausted}, {day, exhausted}, {2 * day, exhausted}}, 5 * day, 1},
		"4xx, then accepted, then 4xx":     {standing{}, []event{{0, exhausted}, {day, exhausted}, {2 * day, accepted}, {2*day + 1, exhausted}}, 0, 0},
		"4xx on days that are far apart":   {standing{}, []event{{0, exhausted}, {10 * day, exhausted}, {20 * day, exhausted}}, 0, 0},
		"bounced again after a long peace": {standing{}, []event{{0, refused}, {100 * day, refused}}, 103 * day, 1},
		"by hand":                          {standing{known: true, manual: true, until: saturday.Add(day)}, []event{{2 * day, refused}}, day, 0},
	} {
		x := tt.was
		for _, e := range tt.events {
			x = x.after(e.v, saturday.Add(e.at))
		}
		if want := saturday.Add(tt.until); tt.until == 0 && !x.until.IsZero() || tt.until != 0 && !x.until.Equal(want) || x.times != tt.times {
			t.Errorf("%s: until %v, %d times", name, x.until, x.times)
		}
	}
}

// bounce is the notification that a relay sends to the return path.
func bounce(t *testing.T, action dsn.Action, code int) []byte {
	t.Helper()
	rep := dsn.Report{Hostname: dns.MustParse("relay.example"), To: "x@sender.example", Date: saturday, Original: []byte("Subject: x\r\n\r\n"),
		Recipients: []dsn.Recipient{{Address: "r@a.example", Action: action, Text: "no",
			Reply: smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: 1, Detail: 1}, "no such mailbox")}}}
	b, err := rep.Compose()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RPT-12: a report that was accepted and then bounces by mail suppresses its
// address; no second day's report goes to it, and the admin sees why.
func TestBounceByMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.record("a.example", "v=TLSRPTv1; rua=mailto:r@A.example")
		for d := range 2 {
			r.see(t, saturday.AddDate(0, 0, d), stsOK("a.example"))
		}
		r.clock.set(saturday.Add(25 * time.Hour))
		r.step(t)
		env := r.out.all()[0].env
		if err := s.Write(ctx, func(tx *store.Tx) error {
			return r.Settled(tx, env, delivery.RecipientResult{Outcome: delivery.Delivered})
		}); err != nil {
			t.Fatal(err)
		}
		other := newRig(t, s) // another machine gets the bounce: the secret is shared
		other.clock, other.Now = r.clock, r.clock.now
		back := strings.ToUpper(env.Sender[:len("tls-reports+")]) + env.Sender[len("tls-reports+"):]
		for _, tt := range []struct {
			to    string
			msg   []byte
			taken bool
		}{
			{back, bounce(t, dsn.Delayed, 421), true},
			{back, []byte("Subject: I am away\r\nAuto-Submitted: auto-replied\r\n\r\nhello\r\n"), true},
			{back, []byte("Subject: hello\r\n\r\nhello\r\n"), false},
			{strings.Replace(env.Sender, "@", "x@", 1), bounce(t, dsn.Failed, 550), false}, // not our signature
		} {
			if taken, reason, err := other.Take(ctx, tt.to, tt.msg); taken != tt.taken || err != nil || taken == (reason != "") {
				t.Errorf("%s: %v %q %v", tt.to, taken, reason, err)
			}
		}
		if sup, err := r.Suppressions(ctx); len(sup) != 0 || err != nil {
			t.Fatalf("suppressed without a bounce: %+v %v", sup, err)
		}
		if taken, reason, err := other.Take(ctx, back, bounce(t, dsn.Failed, 550)); !taken || err != nil {
			t.Fatalf("bounce: %v %q %v", taken, reason, err)
		}
		sup, err := r.Suppressions(ctx)
		if err != nil || len(sup) != 1 || sup[0].Address != "mailto:r@a.example" || !strings.Contains(sup[0].Reason, "bounced: 550 5.1.1 no such mailbox") {
			t.Fatalf("suppressions: %+v %v", sup, err)
		}
		if got := r.sent(t)[0]; got.State != "failed" || !strings.Contains(got.Deliveries[0].Note, "no such mailbox") {
			t.Errorf("the report: %+v", got)
		}
		r.clock.set(saturday.Add(49 * time.Hour))
		r.step(t)
		if len(r.out.all()) != 1 {
			t.Error("a second day's report went to the address that bounced")
		}
		all, err := r.Outcomes(ctx, saturday.AddDate(0, 0, 1), "a.example")
		if err != nil || len(all) != 1 || all[0].State != unitSkipped || !strings.Contains(all[0].Note, "is suppressed") {
			t.Errorf("what came of the second day: %+v %v", all, err)
		}
		if ok, err := r.IsReturnPath(ctx, "tls-reports"); ok || err != nil {
			t.Errorf("the report address itself: %v %v", ok, err)
		}
	})
}

// RPT-12: the daily cap of an organisation; what is beyond it is not silent.
func TestCap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.Cap = 3
		for i := range 5 {
			d := fmt.Sprintf("d%d.test", i)
			r.record(d, fmt.Sprintf("v=TLSRPTv1; rua=mailto:r@in%d.victim.co.uk", i))
			r.see(t, saturday, stsOK(d))
		}
		r.record("z.test", "v=TLSRPTv1; rua=mailto:r@other.co.uk,mailto:x@victim.co.uk")
		r.see(t, saturday, stsOK("z.test"))
		r.clock.set(saturday.Add(26 * time.Hour))
		if _, err := r.SendDay(ctx, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := len(r.out.all()); n != 4 {
			t.Errorf("%d mails, want 3 to victim.co.uk and 1 to other.co.uk", n)
		}
		all, err := r.Outcomes(ctx, saturday, "")
		if err != nil {
			t.Fatal(err)
		}
		skipped, told := 0, 0
		for _, o := range all {
			if o.State == unitSkipped {
				skipped++
			}
			if strings.Contains(o.Note, "the daily cap of reports to victim.co.uk is reached") {
				told++
			}
		}
		if skipped != 2 || told != 3 {
			t.Errorf("%d skipped, %d told: %+v", skipped, told, all)
		}
	})
}

// RPT-10: 500 twice, then 200: the receiver has it once, we count it once; 400
// is final; the receiver's Retry-After is minded; each try is recorded.
func TestPostTwiceFailing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answers, kept, at := []int{500, 500, 200}, 0, []time.Time{}
	r := newRig(t, storetest.Open(t))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if req.URL.Path == "/bad" {
			w.WriteHeader(400)
			return
		}
		at = append(at, r.clock.now())
		status := answers[0]
		answers = answers[1:]
		if status == 200 {
			kept++
		}
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(status)
	}))
	defer srv.Close()
	r.HTTP = srv.Client()
	r.record("a.example", "v=TLSRPTv1; rua="+srv.URL+"/r,"+srv.URL+"/bad")
	r.see(t, saturday, stsOK("a.example"))
	r.clock.set(saturday.Add(24*time.Hour + 10*time.Minute))
	r.runDay(t)
	got := r.sent(t)
	if kept != 1 || len(got) != 1 || got[0].State != "delivered" {
		t.Fatalf("kept %d times, %+v", kept, got)
	}
	for _, d := range got[0].Deliveries {
		want := map[bool]string{true: "failed after 1", false: "accepted after 3"}[strings.HasSuffix(d.URI, "/bad")]
		if is := fmt.Sprintf("%s after %d", d.State, d.Tries); is != want {
			t.Errorf("%s: %s, want %s", d.URI, is, want)
		}
	}
	if at[1].Sub(at[0]) < 2*time.Hour || at[2].Sub(at[1]) < 2*time.Hour {
		t.Errorf("RFC 9110 §10.2.3: tried at %v", at)
	}
	var tries int
	if err := r.Store.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM tls_tries`).Scan(&tries) }); err != nil || tries != 4 {
		t.Errorf("%d tries recorded: %v", tries, err)
	}
	sup, err := r.Suppressions(context.Background())
	if err != nil || len(sup) != 1 || !strings.HasSuffix(sup[0].Address, "/bad") {
		t.Errorf("RPT-12: suppressed: %+v %v", sup, err)
	}
}

// RPT-10: certificates are verified against the roots that are set.
func TestPostRoots(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	r := newRig(t, storetest.Open(t))
	r.AllowPrivate = true
	if a := r.post(context.Background(), r.httpClient(), srv.URL, "text/plain", nil); a.state != "waiting" || !strings.Contains(a.note, "certificate") {
		t.Errorf("an unknown authority: %+v", a)
	}
	trusting := &Service{DNS: r.dns, AllowPrivate: true, Roots: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if a := trusting.post(context.Background(), trusting.httpClient(), srv.URL, "text/plain", nil); a.state != "accepted" {
		t.Errorf("with its root: %+v", a)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]time.Duration{"": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0,
		"Sat, 21 Nov 2026 01:00:00 GMT": time.Hour, "Fri, 20 Nov 2026 01:00:00 GMT": 0} {
		if got := retryAfter(v, saturday); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

// RPT-15: posted reports are stored apart, bounded by source and day, displace
// nothing, and feed neither alerts nor advice.
func TestTakePost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		r.clock.set(saturday.Add(30 * time.Hour))
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
		for i := range perSource + 5 {
			_, err := r.TakePost(ctx, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)), reportAbout(t, fmt.Sprint("n", i), "example"))
			if errors.Is(err, ErrTooMany) != (i >= perSource) {
				t.Fatalf("post %d of one network: %v", i, err)
			}
		}
		r.clock.set(saturday.Add(54 * time.Hour))
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
		r.clock.set(saturday.Add(31*time.Hour + keepPosted))
		if err := r.prune(ctx); err != nil {
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
		r.HTTP, r.Webhook = srv.Client(), srv.URL
		r.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		report := func(id string, day int, domain string, failed int64) {
			t.Helper()
			rep := &tlsrpt.Report{Organization: "R", Begin: saturday.AddDate(0, 0, day), End: saturday.AddDate(0, 0, day+1), ID: id,
				Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicySTS, Domain: domain, Success: 5, Failed: failed}}}
			if failed > 0 {
				rep.Policies[0].Details = []tlsrpt.FailureDetail{{Type: tlsrpt.CertificateExpired, MXHostname: "mx.example\x1b[31m", Sessions: failed}}
			}
			if reason, err := r.keep(ctx, origin{source: "mail", submitter: "reporter.example"}, rep); reason != "" || err != nil {
				t.Fatal(reason, err)
			}
		}
		at := func(day int, h time.Duration) {
			t.Helper()
			r.clock.set(saturday.AddDate(0, 0, day+1).Add(h * time.Hour))
			r.step(t)
		}
		at(0, 1)
		report("clean", 0, "example", 0)
		report("old news", -10, "example", 3)
		report("first", 0, "example", 3)
		report("first", 0, "example", 3) // repeated
		report("second", 0, "example", 3)
		report("other", 0, "sender.example", 1)
		if at(0, 1); len(r.out.all()) != 0 {
			t.Error("told at once: the reports of the hour are to go into one mail")
		}
		at(0, 3)
		at(0, 4)
		mails := r.out.all()
		if len(mails) != 1 {
			t.Fatalf("%d mails", len(mails))
		}
		text := mails[0].data
		for _, w := range []string{"To: <postmaster@sender.example>", "example: 3 sessions failed, 5 ok", "sender.example: 1 sessions failed", "Renew the certificate", "and 1 more domains"} {
			if !strings.Contains(text, w) {
				t.Errorf("the mail lacks %q:\n%s", w, text)
			}
		}
		if strings.Contains(text, "\x1b") || mails[0].env.Purpose != delivery.Mail || mails[0].env.Sender != "" {
			t.Errorf("mail %+v\n%q", mails[0].env, text)
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
			Alerts []hookAlert
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
		r.clock.set(saturday.Add(40 * time.Hour))
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
			if reason, err := r.keep(ctx, origin{source: "mail", submitter: tt.from}, rep); reason != "" || err != nil {
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

// RPT-7: lookup shows the record as the run reads it.
func TestLookupCommand(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example,ftp://x.example; ext=1")
	r.record("none.example", dns.Answer[string]{NXDomain: true})
	r.record("down.example", &dns.Error{RCode: "SERVFAIL"})
	if err := r.Suppress(ctx, "r@a.example", r.clock.now().Add(time.Hour), "x"); err != nil {
		t.Fatal(err)
	}
	p, err := r.Lookup(ctx, dns.MustParse("a.example"))
	if err != nil || len(p.RUA) != 1 || !p.RUA[0].Suppressed || len(p.Unsupported) != 1 || p.Extensions["ext"] != "1" || p.Problem != "" {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := r.Lookup(ctx, dns.MustParse("none.example")); err != nil || !strings.Contains(p.Problem, "no TLSRPT record") {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := r.Lookup(ctx, dns.MustParse("down.example")); err == nil {
		t.Error("no error though DNS failed")
	}
}

// RPT-13: every way to call send.
func TestSendFlags(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, storetest.Open(t))
	for _, d := range []string{"a.example", "b.example"} {
		r.record(d, "v=TLSRPTv1; rua=mailto:r@"+d)
		r.see(t, saturday.AddDate(0, 0, -2), stsOK(d))
		r.see(t, saturday, stsOK(d))
	}
	for _, tt := range []struct {
		o     SendOptions
		made  int
		mails int // in all
		fails bool
	}{
		{SendOptions{Domain: "a.example", DryRun: true, Partial: true}, 1, 0, false},
		{SendOptions{Day: saturday.AddDate(0, 0, 1)}, 0, 0, true}, // has not begun
		{SendOptions{Day: saturday}, 0, 0, true},                  // unfinished
		{SendOptions{}, 0, 0, false},                              // yesterday: nothing
		{SendOptions{Day: saturday.AddDate(0, 0, -2), Domain: "a.example"}, 1, 1, false},
		{SendOptions{Day: saturday.AddDate(0, 0, -2), Domain: "a.example"}, 0, 1, false},
		{SendOptions{Day: saturday.AddDate(0, 0, -2)}, 1, 2, false}, // the other one
		{SendOptions{Domain: "b.example", Partial: true}, 1, 3, false},
	} {
		sum, err := r.SendDay(ctx, tt.o)
		if (err != nil) != tt.fails || len(sum.Made) != tt.made || len(r.out.all()) != tt.mails {
			t.Errorf("%+v: %d made, %d mails, %v", tt.o, len(sum.Made), len(r.out.all()), err)
		}
		for _, m := range sum.Made {
			if tt.o.DryRun && !bytes.Contains(m.JSON, []byte(`"report-id"`)) {
				t.Errorf("%+v: %s", tt.o, m.JSON)
			}
		}
	}
}
