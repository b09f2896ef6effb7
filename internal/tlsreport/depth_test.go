package tlsreport

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

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
		r.clock.Set(saturday.Add(25 * time.Hour))
		r.step(t)
		env := r.out.All()[0].Env
		if err := s.Write(ctx, func(tx *store.Tx) error {
			return r.Settler(r.Now)(tx, env, delivery.RecipientResult{Outcome: delivery.Delivered})
		}); err != nil {
			t.Fatal(err)
		}
		other := newRig(t, s) // another machine gets the bounce: the secret is shared
		other.clock, other.Now = r.clock, r.clock.Now
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
			if taken, reason, err := other.in.Take(ctx, tt.to, tt.msg); taken != tt.taken || err != nil || taken == (reason != "") {
				t.Errorf("%s: %v %q %v", tt.to, taken, reason, err)
			}
		}
		if sup, err := r.Suppressions(ctx); len(sup) != 0 || err != nil {
			t.Fatalf("suppressed without a bounce: %+v %v", sup, err)
		}
		if taken, reason, err := other.in.Take(ctx, back, bounce(t, dsn.Failed, 550)); !taken || err != nil {
			t.Fatalf("bounce: %v %q %v", taken, reason, err)
		}
		sup, err := r.Suppressions(ctx)
		if err != nil || len(sup) != 1 || sup[0].Address != "mailto:r@a.example" || !strings.Contains(sup[0].Reason, "bounced: 550 5.1.1 no such mailbox") {
			t.Fatalf("suppressions: %+v %v", sup, err)
		}
		if got := r.sent(t)[0]; got.State != "failed" || !strings.Contains(got.Deliveries[0].Note, "no such mailbox") {
			t.Errorf("the report: %+v", got)
		}
		r.clock.Set(saturday.Add(49 * time.Hour))
		r.step(t)
		if len(r.out.All()) != 1 {
			t.Error("a second day's report went to the address that bounced")
		}
		all, err := r.Outcomes(ctx, saturday.AddDate(0, 0, 1), "a.example")
		if err != nil || len(all) != 1 || all[0].State != outbox.Skipped || !strings.Contains(all[0].Note, "is suppressed") {
			t.Errorf("what came of the second day: %+v %v", all, err)
		}
		if _, ok, err := r.Returned(ctx, "tls-reports"); ok || err != nil {
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
		r.clock.Set(saturday.Add(26 * time.Hour))
		if _, err := r.SendDay(ctx, outbox.SendOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := len(r.out.All()); n != 4 {
			t.Errorf("%d mails, want 3 to victim.co.uk and 1 to other.co.uk", n)
		}
		all, err := r.Outcomes(ctx, saturday, "")
		if err != nil {
			t.Fatal(err)
		}
		skipped, told := 0, 0
		for _, o := range all {
			if o.State == outbox.Skipped {
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
		at = append(at, r.clock.Now())
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
	r.clock.Set(saturday.Add(24*time.Hour + 10*time.Minute))
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
	if err := r.Store.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM outbox_tries`).Scan(&tries) }); err != nil || tries != 4 {
		t.Errorf("%d tries recorded: %v", tries, err)
	}
	sup, err := r.Suppressions(context.Background())
	if err != nil || len(sup) != 1 || !strings.HasSuffix(sup[0].Address, "/bad") {
		t.Errorf("RPT-12: suppressed: %+v %v", sup, err)
	}
}

// RPT-7: lookup shows the record as the run reads it.
func TestLookupCommand(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example,ftp://x.example; ext=1")
	r.record("none.example", dns.Answer[string]{NXDomain: true})
	r.record("down.example", &dns.Error{RCode: "SERVFAIL"})
	if err := r.Suppress(ctx, "r@a.example", r.clock.Now().Add(time.Hour), "x"); err != nil {
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
		o     outbox.SendOptions
		made  int
		mails int // in all
		fails bool
	}{
		{outbox.SendOptions{Domain: "a.example", DryRun: true, Partial: true}, 1, 0, false},
		{outbox.SendOptions{Day: saturday.AddDate(0, 0, 1)}, 0, 0, true}, // has not begun
		{outbox.SendOptions{Day: saturday}, 0, 0, true},                  // unfinished
		{outbox.SendOptions{}, 0, 0, false},                              // yesterday: nothing
		{outbox.SendOptions{Day: saturday.AddDate(0, 0, -2), Domain: "a.example"}, 1, 1, false},
		{outbox.SendOptions{Day: saturday.AddDate(0, 0, -2), Domain: "a.example"}, 0, 1, false},
		{outbox.SendOptions{Day: saturday.AddDate(0, 0, -2)}, 1, 2, false}, // the other one
		{outbox.SendOptions{Domain: "b.example", Partial: true}, 1, 3, false},
	} {
		sum, err := r.SendDay(ctx, tt.o)
		if (err != nil) != tt.fails || len(sum.Made) != tt.made || len(r.out.All()) != tt.mails {
			t.Errorf("%+v: %d made, %d mails, %v", tt.o, len(sum.Made), len(r.out.All()), err)
		}
		for _, m := range sum.Made {
			if tt.o.DryRun && !bytes.Contains(m.Text, []byte(`"report-id"`)) {
				t.Errorf("%+v: %s", tt.o, m.Text)
			}
		}
	}
}
