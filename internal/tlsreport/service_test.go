package tlsreport

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// saturday is the day whose sessions the tests report.
var saturday = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// rig is a service with everything around it under the test's hand.
type rig struct {
	*Service
	clock *outboxtest.Clock
	dns   *dnstest.Resolver
	out   *outboxtest.Queue
	in    *intake.Service // where bounces come to
}

func newRig(t *testing.T, s *store.Store) *rig {
	r := &rig{clock: &outboxtest.Clock{}, dns: &dnstest.Resolver{T: t, Replies: map[string]any{}}, out: &outboxtest.Queue{}}
	r.clock.Set(saturday.Add(12 * time.Hour))
	hosted := func(_ context.Context, d dns.Name) (bool, error) {
		return d.ASCII() == "sender.example" || d.ASCII() == "example", nil
	}
	log := slog.New(slog.DiscardHandler)
	r.Service = New(&outbox.Box{
		Store: s, DNS: r.dns, Enqueuer: r.out, Signer: outboxtest.Signer{"sender.example"}, Hosted: hosted,
		Hostname: dns.MustParse("mx.sender.example"), Now: r.clock.Now, Log: log,
	}, Service{})
	r.in = &intake.Service{Box: &reportbox.Box{Sort: intake.Sort(), Store: s, Outbox: r.Box, Now: r.clock.Now, Log: log}, DNS: r.dns, Hosted: hosted, Hostname: r.Hostname}
	return r
}

func (r *rig) record(domain string, v any) {
	if s, ok := v.(string); ok {
		v = dns.Answer[string]{Records: []string{s}}
	}
	r.dns.Replies["TXT _smtp._tls."+domain] = v
}

func (r *rig) step(t *testing.T) time.Time {
	t.Helper()
	next, err := r.stepBoth()
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// stepBoth does what Run and RunPosts would do now.
func (r *rig) stepBoth() (time.Time, error) {
	units, err := r.Step(context.Background())
	if err != nil {
		return units, err
	}
	posts, err := r.StepPosts(context.Background())
	if posts.Before(units) {
		return posts, err
	}
	return units, err
}

// runDay moves the clock on from wake to wake for a day.
func (r *rig) runDay(t *testing.T) {
	t.Helper()
	end := r.clock.Now().Add(24 * time.Hour)
	for r.clock.Now().Before(end) {
		next := r.step(t)
		if !next.After(r.clock.Now()) {
			next = r.clock.Now().Add(time.Second)
		}
		r.clock.Set(next)
	}
}

func (r *rig) see(t *testing.T, at time.Time, obs ...delivery.Observation) {
	t.Helper()
	if err := r.Store.Write(context.Background(), func(tx *store.Tx) error { return tlsresult.Save(tx, at, obs) }); err != nil {
		t.Fatal(err)
	}
}

func stsOK(domain string) delivery.Observation {
	d := dns.MustParse(domain)
	return delivery.Observation{RecipientDomain: d, Type: tlsrpt.PolicySTS, PolicyDomain: d, Strings: []string{"version: STSv1"}, MX: []string{"*." + domain}, OK: 1}
}

func daneFailed(domain, mx string) delivery.Observation {
	return delivery.Observation{RecipientDomain: dns.MustParse(domain), Type: tlsrpt.PolicyTLSA, PolicyDomain: dns.MustParse(mx), Strings: []string{"3 1 1 aa"},
		Failed: 1, Details: []delivery.Detail{{Type: tlsrpt.ValidationFailure, MXHostname: mx, Reason: "dane-no-match", Info: "no record matches", Count: 1}}}
}

func noPolicy(domain string) delivery.Observation {
	d := dns.MustParse(domain)
	return delivery.Observation{RecipientDomain: d, Type: tlsrpt.PolicyNone, PolicyDomain: d, OK: 1}
}

func (r *rig) sent(t *testing.T) []outbox.Sent {
	t.Helper()
	out, err := r.Sent(context.Background(), outbox.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sentTo(reports []outbox.Sent, policyDomain string) []outbox.Sent {
	var out []outbox.Sent
	for _, s := range reports {
		if s.PolicyDomain == policyDomain {
			out = append(out, s)
		}
	}
	return out
}

// A day from its sessions to its reports: RPT-5, RPT-6, RPT-8, RPT-9, RPT-11.
func TestDailyRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s)
		r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example,mailto:s@b.example")
		r.record("b.example", "v=TLSRPTv1; rua=mailto:host@mx.example")
		r.record("mx.example", "v=TLSRPTv1; rua=mailto:host@mx.example")
		r.see(t, saturday.Add(23*time.Hour), stsOK("a.example"), daneFailed("a.example", "mx.example"), daneFailed("b.example", "mx.example"), noPolicy("c.example"))
		r.see(t, saturday.Add(24*time.Hour), stsOK("a.example")) // Sunday's

		r.clock.Set(saturday.Add(24*time.Hour + 3*time.Minute + 59*time.Second))
		if r.step(t); len(r.sent(t)) != 0 {
			t.Fatal("reported before 00:04 (RPT-5)")
		}
		r.clock.Set(saturday.Add(24*time.Hour + 6*time.Minute))
		if r.step(t); len(r.sent(t)) != 1 {
			t.Fatalf("%d reports at 00:06, want the first one", len(r.sent(t)))
		}
		r.clock.Set(saturday.Add(24*time.Hour + 26*time.Minute))
		r.step(t)
		r.step(t) // the hosts come after the domains
		got := r.sent(t)
		if len(got) != 3 || len(r.out.All()) != 4 {
			t.Fatalf("%d reports, %d mails: %+v", len(got), len(r.out.All()), got)
		}
		a := sentTo(got, "a.example")[0]
		if a.OK != 1 || a.Failed != 1 || len(a.Deliveries) != 2 || a.Day != "2026-11-21" {
			t.Errorf("a.example: %+v", a)
		}
		// RPT-6: b.example's sessions went to the same addresses already.
		h := sentTo(got, "mx.example")[0]
		if !h.Host || h.Failed != 1 {
			t.Errorf("mx.example: %+v", h)
		}
		rep, _, err := r.Show(context.Background(), h.ID)
		if err != nil || len(rep.Policies) != 1 || rep.Policies[0].Domain != "mx.example" || rep.Check() != nil {
			t.Errorf("report on mx.example: %+v, %v", rep, err)
		}
		r.runDay(t)
		if n := len(sentTo(r.sent(t), "a.example")); n != 2 {
			t.Errorf("after Sunday: %d reports to a.example, want 2", n)
		}
	})
}

func TestReportMail(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example")
	r.see(t, saturday, stsOK("a.example"))
	r.clock.Set(saturday.Add(25 * time.Hour))
	r.step(t)
	mails := r.out.All()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	m := mails[0]
	e := m.Env
	if e.Purpose != delivery.TLSReport || e.Need != delivery.TLSOptional || !strings.HasPrefix(e.Sender, "tls-reports+") || !strings.HasSuffix(e.Sender, "@sender.example") ||
		e.Recipients[0].Address != "r@a.example" || e.Recipients[0].Notify != delivery.NotifyNever || e.Size != int64(len(m.Data)) {
		t.Errorf("envelope %+v", e)
	}
	h, _, err := message.SplitHeader([]byte(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	id := "2026-11-21.domain.a.example@sender.example"
	for name, want := range map[string]string{
		"From": "tls-reports@sender.example", "To": "<r@a.example>", "TLS-Required": "No",
		"Subject":           "Report Domain: a.example Submitter: sender.example Report-ID: <" + id + ">",
		"TLS-Report-Domain": "a.example", "TLS-Report-Submitter": "sender.example",
		"DKIM-Signature": "v=1; d=sender.example; h=from:tls-report-domain:tls-report-submitter:tls-required",
	} {
		if got := strings.TrimSpace(h.Get(name)); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var types []string
	err = message.Walk([]byte(m.Data), message.Limits{}, func(p message.Part) error {
		types = append(types, p.Parent+" "+p.MediaType)
		if p.MediaType != tlsrpt.MediaGzip {
			return nil
		}
		if want := "sender.example!a.example!1795219200!1795305599!domain.json.gz"; p.Filename != want {
			t.Errorf("file %q, want %q", p.Filename, want)
		}
		rep, err := tlsrpt.Parse(p.Reader(), tlsrpt.Limits{})
		if err == nil && (rep.ID != id || rep.Contact != "tls-reports@sender.example" || rep.Policies[0].Success != 1) {
			t.Errorf("report %+v", rep)
		}
		return err
	})
	if err != nil || strings.Join(types, ",") != "multipart/report text/plain,multipart/report "+tlsrpt.MediaGzip {
		t.Errorf("parts %q: %v", types, err)
	}
}

// RPT-7: temporary errors keep, the rest lets go.
func TestLookup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s)
		r.record("none.example", dns.Answer[string]{NXDomain: true})
		r.record("bad.example", "v=TLSRPTv1; nothing")
		r.record("later.example", &dns.Error{RCode: "SERVFAIL"})
		r.record("never.example", &dns.Error{Timeout: true})
		for _, d := range []string{"none.example", "bad.example", "later.example", "never.example"} {
			r.see(t, saturday, stsOK(d))
		}
		r.clock.Set(saturday.Add(24*time.Hour + 30*time.Minute))
		r.step(t)
		r.clock.Set(saturday.Add(25 * time.Hour))
		r.step(t)
		left, err := r.Results(context.Background(), saturday, "")
		if err != nil || len(left) != 2 || left[0].Domain != "later.example" || left[1].Domain != "never.example" {
			t.Fatalf("rows left: %+v, %v", left, err)
		}
		r.clock.Set(saturday.Add(47 * time.Hour))
		r.step(t)
		r.record("later.example", "v=TLSRPTv1; rua=mailto:r@later.example")
		r.clock.Set(saturday.Add(52 * time.Hour))
		r.step(t)
		if got := r.sent(t); len(got) != 1 || got[0].PolicyDomain != "later.example" || !strings.HasPrefix(got[0].ReportID, "2026-11-21.") {
			t.Errorf("sent %+v", got)
		}
		r.record("never.example", "v=TLSRPTv1; rua=mailto:r@never.example") // too late
		r.clock.Set(saturday.Add(72 * time.Hour))
		if r.step(t); len(r.sent(t)) != 1 {
			t.Errorf("reported although 24 h had passed: %+v", r.sent(t))
		}
	})
}

// TestPassedOver: an address of the record that cannot be used costs that address,
// and the outcome names it (RPT-24).
func TestPassedOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=mailto:nobody,mailto:r@a.example")
	r.see(t, saturday, stsOK("a.example"))
	r.clock.Set(saturday.Add(25 * time.Hour))
	sum, err := r.SendDay(t.Context(), outbox.SendOptions{Day: saturday})
	if err != nil || len(sum.Made) != 1 || sum.Made[0].State != "reported" || !strings.Contains(sum.Made[0].Note, "mailto:nobody") {
		t.Errorf("%+v, %v", sum, err)
	}
	if mails := r.out.All(); len(mails) != 1 || mails[0].Env.Recipients[0].Address != "r@a.example" ||
		!strings.Contains(mails[0].Data, "Report-ID: 2026-11-21.domain.a.example@sender.example") { // RPT-25
		t.Errorf("%+v", mails)
	}
}

// failingSigner has keys, and cannot sign with them.
type failingSigner struct{ outbox.Signer }

func (failingSigner) Sign(context.Context, dns.Name, []byte, []string) ([]byte, error) {
	return nil, errors.New("the key is gone")
}

// TestUncomposed: a report that cannot be made is counted, and kept (RPT-25).
func TestUncomposed(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	counted := &outboxtest.Tally{}
	r.Count = counted.Count
	r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example")
	r.see(t, saturday, stsOK("a.example"))
	good := r.Signer
	r.Signer = failingSigner{good}
	r.clock.Set(saturday.Add(25 * time.Hour))
	if _, err := r.SendDay(t.Context(), outbox.SendOptions{Day: saturday}); err == nil || counted.Of("error") != 1 || len(r.sent(t)) != 0 {
		t.Errorf("%v, counted %v", err, counted)
	}
	r.Signer = good
	r.clock.Set(saturday.Add(27 * time.Hour))
	if r.step(t); len(r.sent(t)) != 1 || counted.Of("reported") != 1 {
		t.Errorf("the report is lost: %+v, counted %v", r.sent(t), counted)
	}
}

// RPT-5: several machines, each report once; one that was down catches up.
func TestSeveralMachines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a := newRig(t, s)
		for day := range 3 {
			for _, d := range []string{"a.example", "b.example", "c.example", "d.example"} {
				a.record(d, "v=TLSRPTv1; rua=mailto:r@"+d)
				a.see(t, saturday.Add(time.Duration(day)*24*time.Hour), stsOK(d))
			}
		}
		a.clock.Set(saturday.Add(72 * time.Hour).Add(20 * time.Hour)) // all were down
		others := []*rig{a, newRig(t, s), newRig(t, s)}
		for range 6 {
			var wg sync.WaitGroup
			for _, r := range others {
				r.dns, r.DNS, r.clock, r.Now = a.dns, a.dns, a.clock, a.clock.Now
				wg.Go(func() {
					if _, err := r.Step(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			a.clock.Set(a.clock.Now().Add(5 * time.Minute))
		}
		got := a.sent(t)
		ids, mails := map[string]bool{}, 0
		for _, s := range got {
			ids[s.ReportID] = true
		}
		for _, r := range others {
			mails += len(r.out.All())
		}
		if len(got) != 12 || len(ids) != 12 || mails != 12 {
			t.Errorf("%d reports with %d ids in %d mails, want 12 each", len(got), len(ids), mails)
		}
	})
}

func TestSettled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s)
		r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example,mailto:s@b.example")
		r.record("b.example", "v=TLSRPTv1; rua=mailto:s@b.example")
		r.see(t, saturday, stsOK("a.example"), stsOK("b.example"))
		r.clock.Set(saturday.Add(25 * time.Hour))
		r.step(t)
		r.clock.Set(saturday.Add(26 * time.Hour))
		r.step(t)
		for _, m := range r.out.All() {
			rr := delivery.RecipientResult{Outcome: delivery.Failed, Reply: smtp.NewReply(550, smtp.Enhanced{}, "no")}
			if m.Env.Recipients[0].Address == "r@a.example" {
				rr = delivery.RecipientResult{Outcome: delivery.Delivered}
			}
			if err := s.Write(context.Background(), func(tx *store.Tx) error { return r.Settler(r.Now)(tx, m.Env, rr) }); err != nil {
				t.Fatal(err)
			}
		}
		got := r.sent(t)
		if a, b := sentTo(got, "a.example")[0], sentTo(got, "b.example")[0]; a.State != "delivered" || b.State != "failed" || b.Deliveries[0].Note != "550 no" {
			t.Errorf("a %+v\nb %+v", a, b)
		}
		sup, err := r.Suppressions(context.Background())
		if err != nil || len(sup) != 1 || sup[0].Address != "mailto:s@b.example" || sup[0].Manual || !sup[0].Until.Equal(r.clock.Now().Add(72*time.Hour)) {
			t.Errorf("suppressions %+v, %v", sup, err)
		}
		r.see(t, saturday.Add(24*time.Hour), stsOK("b.example"))
		r.clock.Set(saturday.Add(49 * time.Hour))
		if r.step(t); len(r.sent(t)) != 2 {
			t.Errorf("RPT-12: sent to a suppressed address: %+v", r.sent(t))
		}
		err = s.Write(context.Background(), func(tx *store.Tx) error {
			return errors.Join(r.Settler(r.Now)(tx, delivery.Envelope{Purpose: delivery.TLSReport, Ref: "77"}, delivery.RecipientResult{Outcome: delivery.Failed}),
				r.Settler(r.Now)(tx, delivery.Envelope{Ref: "77"}, delivery.RecipientResult{Outcome: delivery.Failed}))
		})
		if err != nil {
			t.Errorf("an unknown report: %v", err)
		}
	})
}

func TestSendDay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example")
		r.record("mx.example", "v=TLSRPTv1; rua=mailto:r@a.example")
		r.see(t, saturday, stsOK("a.example"), daneFailed("a.example", "mx.example"))
		if _, err := r.SendDay(ctx, outbox.SendOptions{Day: saturday}); !errors.Is(err, outbox.ErrUnfinished) {
			t.Errorf("unfinished day: %v", err)
		}
		sum, err := r.SendDay(ctx, outbox.SendOptions{Day: saturday, DryRun: true, Partial: true})
		if err != nil || len(sum.Made) != 2 || !bytes.Contains(sum.Made[0].Text, []byte("report-id")) || sum.Made[1].State != "skipped" || len(r.sent(t)) != 0 {
			t.Errorf("dry run: %+v, %v", sum, err)
		}
		sum, err = r.SendDay(ctx, outbox.SendOptions{Day: saturday, Partial: true})
		if err != nil || len(r.out.All()) != 1 || !r.sent(t)[0].Partial {
			t.Errorf("partial: %+v, %v", sum, err)
		}
		r.clock.Set(saturday.Add(24*time.Hour + time.Second)) // before the run's own time
		sum, err = r.SendDay(ctx, outbox.SendOptions{})
		if err != nil || len(sum.Made) != 2 || sum.Made[0].State != "reported" || sum.Made[1].State != "skipped" || len(r.out.All()) != 2 {
			t.Errorf("real run: %+v, %v", sum, err)
		}
		if sum, err = r.SendDay(ctx, outbox.SendOptions{}); err != nil || len(sum.Made) != 0 {
			t.Errorf("again: %+v, %v", sum, err)
		}
		r.clock.Set(saturday.Add(30 * time.Hour))
		if r.step(t); len(r.out.All()) != 2 {
			t.Error("the daily run reported it once more")
		}
	})
}

// RPT-9: no hosted parent that signs, no mail; RPT-12: suppressed addresses.
func TestNobodyToSend(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example")
	r.see(t, saturday, stsOK("a.example"))
	r.clock.Set(saturday.Add(25 * time.Hour))
	r.Signer = outboxtest.Signer{}
	sum, err := r.SendDay(ctx, outbox.SendOptions{DryRun: true})
	if err != nil || sum.Made[0].State != "skipped" || !strings.Contains(sum.Made[0].Note, "signs with DKIM") {
		t.Errorf("unsigned: %+v, %v", sum, err)
	}
	r.Signer = outboxtest.Signer{"sender.example"}
	if err := r.Suppress(ctx, "mailto:r@a.example", r.clock.Now().Add(time.Hour), "bounced"); err != nil {
		t.Fatal(err)
	}
	if sum, err = r.SendDay(ctx, outbox.SendOptions{DryRun: true}); err != nil || sum.Made[0].State != "skipped" {
		t.Errorf("suppressed: %+v, %v", sum, err)
	}
	if ok, err := r.Lift(ctx, "mailto:r@a.example"); !ok || err != nil {
		t.Errorf("lift: %v, %v", ok, err)
	}
	if sum, err = r.SendDay(ctx, outbox.SendOptions{DryRun: true}); err != nil || sum.Made[0].State != "reported" {
		t.Errorf("lifted: %+v, %v", sum, err)
	}
}
