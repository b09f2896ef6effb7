package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/dsn"
	"waxwing/internal/outbox"
	"waxwing/internal/spool"
	"waxwing/internal/tlsreport/intake"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// days is a world in which two machines live through several UTC days: one
// sends mail and reports, the other hosts the domains that are reported on.
type days struct {
	*Internet
	t        *testing.T
	ctx      context.Context
	sender   *Machine
	receiver *Machine
	domains  []string
	day      time.Time // midnight UTC of the running day
}

func newDays(t *testing.T, domains ...string) *days {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	n, err := NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	n.Clock.NextDay() // a whole day lies before us
	w := &days{Internet: n, t: t, ctx: ctx, domains: domains, day: n.Clock.Now().UTC().Truncate(24 * time.Hour)}
	var hosted []dns.Name
	for _, d := range domains {
		hosted = append(hosted, dns.MustParse(d))
	}
	start := func(domain, account string, hosts []dns.Name) *Machine {
		m, err := n.StartMachine(ctx, MachineSpec{Domain: domain, Account: account, Dir: t.TempDir(), Hosts: hosts})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.check(m.Stop()) })
		return m
	}
	w.receiver = start("receiver.test", "bob", hosted)
	w.sender = start("sender.test", "alice", nil)
	return w
}

func (w *days) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

func (w *days) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// mail sends one mail and waits until it is delivered.
func (w *days) mail(to string) {
	w.t.Helper()
	w.must(w.sender.Submit(w.ctx, Mail{From: w.sender.Address(), To: to, Body: "Hello"}))
	w.waitFor("the delivery to "+to, func() bool {
		left, err := spool.List(w.ctx, w.sender.Queue.Store, spool.Filter{Address: to})
		w.must(err)
		return len(left) == 0
	})
}

func (w *days) waitFor(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s did not come about within 30 s", what)
		}
	}
}

// night moves over midnight and through the hours in which reports are made,
// and waits until all are delivered.
func (w *days) night(hours int) {
	w.t.Helper()
	w.Clock.NextDay()
	w.day = w.day.AddDate(0, 0, 1)
	for range 12 * hours {
		w.Clock.Advance(5 * time.Minute)
		_, err := w.sender.TLSReport.Step(w.ctx)
		w.must(err)
	}
	w.waitFor("the delivery of the reports", func() bool {
		_, err := w.sender.TLSReport.Step(w.ctx)
		w.must(err)
		return !slices.ContainsFunc(w.sent(), func(s outbox.Sent) bool { return s.State == "sending" })
	})
}

func (w *days) sent() []outbox.Sent {
	w.t.Helper()
	out, err := w.sender.TLSReport.Sent(w.ctx, outbox.Filter{})
	w.must(err)
	return out
}

// publishShared makes a domain whose mail goes to hosts of another.
func (w *days) publishShared(domain, mx, rua string) {
	w.t.Helper()
	w.must(w.DNS.Set(dnstest.Zone{Name: domain, Security: dns.Secure, Records: []string{
		"@ MX 10 " + mx + ".", fmt.Sprintf("_smtp._tls TXT %q", "v=TLSRPTv1; rua="+rua)}}))
}

// Three UTC days, domains that share an MX host and a report address, one whose
// record DNS cannot give at first, one that wants its reports by HTTPS (RPT-5,
// RPT-6, RPT-7, RPT-11, RPT-15, RPT-17): each report adds up to what the hosts
// saw on its day, each is of one day and has an id of its own, none comes twice
// and none is lost.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	w := newDays(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	rua := "mailto:tls-reports@receiver.test"
	a, err := w.Publish(w.ctx, dns.MustParse("a.test"), Publish{Zone: dns.Secure, Hosts: []Host{{Cert: GoodCert, TLSA: EEMatch}}}, rua)
	w.must(err)
	mx := a.HostNames[0].ASCII()
	w.must(w.DNS.Add("a.test", fmt.Sprintf("_smtp._tls.mx1 TXT %q", "v=TLSRPTv1; rua="+rua)))
	w.publishShared("b.test", mx, rua)
	w.publishShared("c.test", mx, "https://mx.receiver.test/tlsrpt")
	d, err := w.Publish(w.ctx, dns.MustParse("d.test"), Publish{Hosts: []Host{{Cert: UntrustedCert}}, STS: &STS{Mode: mtasts.ModeTesting}}, rua)
	w.must(err)
	w.publishShared("e.test", mx, rua)

	hosts := []*MX{a.Hosts[0], d.Hosts[0]}
	var sessions [3][2]int
	for day := range 3 {
		before := [2]int{}
		for i, h := range hosts {
			_, before[i] = h.Connections()
		}
		for n := range day + 1 {
			for _, domain := range w.domains {
				w.mail(fmt.Sprintf("user%d-%d@%s", day, n, domain))
			}
		}
		for i, h := range hosts {
			_, now := h.Connections()
			sessions[day][i] = now - before[i]
		}
		w.DNS.Fail(dnstest.Failure{Name: "_smtp._tls.e.test", Type: "TXT"})
		w.night(1)
		if slices.ContainsFunc(w.sent(), func(s outbox.Sent) bool { return s.PolicyDomain == "e.test" && s.Day == w.yesterday() }) {
			t.Error("e.test was reported though its record could not be looked up")
		}
		w.DNS.Unfail("_smtp._tls.e.test", "TXT")
		w.Clock.Advance(5 * time.Hour) // later that day
		w.later()
	}
	w.holdAgainst(mx, sessions)
	w.alerted()
}

// alerted: the receiver's postmaster heard once, on the first day, that d.test
// had its first failures (RPT-18), and is told what would cure them (RPT-19).
func (w *days) alerted() {
	w.t.Helper()
	_, err := w.receiver.Alerts.Step(w.ctx)
	w.must(err)
	var text string
	mails := 0
	w.waitFor("the alert", func() bool {
		list, err := w.receiver.Mailboxes.List(w.ctx, w.receiver.Account, "INBOX", 10)
		w.must(err)
		for mails = 0; mails < len(list); mails++ {
			b, err := (&Lab{}).read(w.ctx, w.receiver, list[mails].ID)
			w.must(err)
			text = string(b)
		}
		return mails > 0
	})
	if mails != 1 || !strings.Contains(text, "Subject: TLS failures reported for d.test\r\n") || !strings.Contains(text, "1 x certificate-not-trusted at mx1.d.test") {
		w.t.Errorf("%d mails:\n%s", mails, text)
	}
	d, err := w.receiver.TLSIntake.Digest(w.ctx, "d.test", 7)
	w.must(err)
	if len(d.Lines) != 3 || len(d.Advice) != 1 || d.Advice[0].Word != intake.AdviseCertificate || !strings.Contains(d.Advice[0].Text, "since 3 days") {
		w.t.Errorf("%+v", d)
	}
}

func (w *days) yesterday() string { return w.day.AddDate(0, 0, -1).Format(time.DateOnly) }

// later lets the machines do what has become due.
func (w *days) later() {
	w.t.Helper()
	for range 3 {
		_, err := w.sender.TLSReport.Step(w.ctx)
		w.must(err)
		_, err = w.receiver.Alerts.Step(w.ctx)
		w.must(err)
		w.Clock.Advance(6 * time.Minute)
	}
	w.waitFor("the later reports", func() bool {
		return !slices.ContainsFunc(w.sent(), func(s outbox.Sent) bool { return s.State == "sending" })
	})
}

// holdAgainst compares what the receiver stored with the TLS sessions that the
// hosts counted, day by day.
func (w *days) holdAgainst(mx string, sessions [3][2]int) {
	w.t.Helper()
	all, err := w.receiver.TLSIntake.Reports(w.ctx, outbox.Filter{})
	w.must(err)
	ids, got := map[string]int{}, map[string]int64{}
	for _, r := range all {
		full, _, err := w.receiver.TLSIntake.Show(w.ctx, r.ID)
		w.must(err)
		day := r.Begin.UTC().Format(time.DateOnly)
		if full.Check() != nil || r.Begin.UTC() != r.Begin.UTC().Truncate(24*time.Hour) || r.End.Sub(r.Begin) != 24*time.Hour-time.Second || !strings.HasPrefix(r.ReportID, day) {
			w.t.Errorf("%s of %s to %s: %v", r.ReportID, r.Begin, r.End, full.Check())
		}
		if want := map[bool]string{true: "https", false: "mail"}[strings.Contains(r.ReportID, "c.test")]; r.Source != want {
			w.t.Errorf("%s came by %s", r.ReportID, r.Source)
		}
		ids[r.ReportID]++
		host := strings.Contains(r.ReportID, ".host.")
		for _, p := range full.Policies {
			if p.Success+p.Failed == 0 || p.Type == tlsrpt.PolicySTS && p.Success > 0 {
				w.t.Errorf("%s: %+v", r.ReportID, p)
			}
			if !host { // a host's report repeats what a domain's had, to others
				got[day+" "+p.Domain] += p.Success + p.Failed
			}
		}
	}
	// Each day: five domains, and the host for what went to c.test, whose report
	// went elsewhere.
	if len(ids) != 18 {
		w.t.Errorf("%d reports, want 18: %v", len(ids), ids)
	}
	for i, s := range sessions {
		day := w.day.AddDate(0, 0, i-3).Format(time.DateOnly)
		if s[0] == 0 || got[day+" "+mx] != int64(s[0]) || got[day+" d.test"] != int64(s[1]) {
			w.t.Errorf("%s: the hosts saw %v sessions, reported were %d and %d", day, s, got[day+" "+mx], got[day+" d.test"])
		}
	}
	w.oncePerDelivery()
}

// oncePerDelivery: the queue never had more mails than deliveries (RPT-11).
func (w *days) oncePerDelivery() {
	w.t.Helper()
	mails, err := spool.List(w.ctx, w.sender.Queue.Store, spool.Filter{Address: "tls-reports@receiver.test", States: everyState()})
	w.must(err)
	want := 0
	for _, s := range w.sent() {
		if s.State != "delivered" || len(s.Deliveries) != 1 || s.Deliveries[0].Tries != 1 {
			w.t.Errorf("%+v", s)
		}
		if strings.HasPrefix(s.Deliveries[0].URI, "mailto:") {
			want++
		}
	}
	if len(mails) != want {
		w.t.Errorf("%d report mails for %d deliveries", len(mails), want)
	}
}

// RPT-12: a report address that is refused at once, and one that bounces by
// mail after it was accepted: no second day goes to either, and the admin
// sees why.
func TestBouncingReportAddress(t *testing.T) {
	t.Parallel()
	w := newDays(t, "a.test")
	a, err := w.Publish(w.ctx, dns.MustParse("a.test"), Publish{Zone: dns.Secure, Hosts: []Host{{Cert: GoodCert, TLSA: EEMatch}}}, "mailto:nobody@receiver.test")
	w.must(err)
	relay, err := w.Publish(w.ctx, dns.MustParse("relay.test"), Publish{Hosts: []Host{{Cert: GoodCert}}}, "mailto:nobody@receiver.test")
	w.must(err)
	w.publishShared("b.test", a.HostNames[0].ASCII(), "mailto:gone@relay.test")
	w.mail("x@a.test")
	w.mail("x@b.test")
	w.night(1)
	got := relay.Hosts[0].Received()
	if len(got) != 1 || !strings.HasPrefix(got[0].From, "tls-reports+") {
		t.Fatalf("the relay got %+v", got)
	}
	text, err := dsn.Report{Hostname: dns.MustParse("mx1.relay.test"), To: got[0].From, Date: w.Clock.Now(), Original: got[0].Data,
		Recipients: []dsn.Recipient{{Address: "gone@relay.test", Action: dsn.Failed, Text: "no such mailbox",
			Reply: smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "this mailbox is gone")}}}.Compose()
	w.must(err)
	head, body, _ := strings.Cut(string(text), "\r\n\r\n")
	w.must(w.sender.Hand(w.ctx, Mail{From: "", To: got[0].From, Header: []string{head}, Body: body}))

	sup, err := w.sender.TLSReport.Suppressions(w.ctx)
	w.must(err)
	why := map[string]string{}
	for _, s := range sup {
		why[s.Address] = s.Reason
	}
	if len(sup) != 2 || !strings.Contains(why["mailto:gone@relay.test"], "this mailbox is gone") || !strings.Contains(why["mailto:nobody@receiver.test"], "no such address") {
		t.Errorf("suppressed: %+v", sup)
	}
	before := len(w.sent())
	w.mail("y@a.test")
	w.mail("y@b.test")
	w.night(1)
	if after := len(w.sent()); after != before || len(relay.Hosts[0].Received()) != 1 {
		t.Errorf("%d reports after the first day, %d after the second", before, after)
	}
	made, err := w.sender.TLSReport.Outcomes(w.ctx, w.day.AddDate(0, 0, -1), "b.test")
	w.must(err)
	if len(made) != 1 || made[0].State != "skipped" || !strings.Contains(made[0].Note, "mailto:gone@relay.test is suppressed") {
		t.Errorf("what came of the second day: %+v", made)
	}
}
