package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"waxwing/dmarc"
	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/verify"
)

var sunday = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

type addresses struct{ dns.Resolver }

func (addresses) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Name: n, Records: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
}

func (addresses) LookupAAAA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Name: n}, nil
}

func newService(s *store.Store) *Service {
	now, log := func() time.Time { return sunday }, slog.New(slog.DiscardHandler)
	out := &outbox.Box{Family: outbox.Family{Local: "dmarc-reports"}, Store: s, Now: now, Log: log}
	return &Service{DNS: addresses{}, Hostname: dns.MustParse("mx.example.org"), Forwarders: []dns.Name{dns.MustParse("lists.example")},
		Hosted:   func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "example.org", nil },
		Failures: &reportbox.Box{Sort: FailureSort(), Store: s, Now: now, Log: log, Outbox: out},
		Box:      &reportbox.Box{Sort: Sort(), Store: s, Now: now, Log: log, Outbox: out}}
}

func from(domain string, r dmarc.Result) *verify.Facts {
	return &verify.Facts{DMARC: []verify.DMARC{{From: dns.MustParse(domain), Result: r}}}
}

func report(t *testing.T, id, domain string, records ...dmarcrpt.Record) []byte {
	t.Helper()
	r := &dmarcrpt.Report{Org: "R", Email: "r@r.example", ID: id, Begin: sunday.Truncate(24*time.Hour).AddDate(0, 0, -1), End: sunday.Truncate(24 * time.Hour).Add(-time.Second),
		Policy: dmarcrpt.Policy{Domain: domain, P: "none"}, Records: records}
	_, file, err := r.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func mail(file []byte) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: r@r.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	return append(append([]byte(b.String()), file...), "\r\n--x--\r\n"...)
}

func row(ip string, count int64, dkim, spf, disposition string) dmarcrpt.Record {
	return dmarcrpt.Record{SourceIP: netip.MustParseAddr(ip), Count: count, DKIM: dkim, SPF: spf, Disposition: disposition, HeaderFrom: "example.org"}
}

// DMR-2: what is taken, and why the rest is not; each once.
func TestTake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		in := newService(s)
		good := mail(report(t, "1", "example.org", row("192.0.2.1", 3, "pass", "pass", "none"), row("192.0.2.9", 2, "fail", "fail", "none")))
		several := from("r.example", dmarc.Pass)
		several.DMARC = append(several.DMARC, several.DMARC...)
		for _, tt := range []struct {
			name   string
			msg    []byte
			facts  *verify.Facts
			reason string // "": it is taken
		}{
			{"good", good, from("r.example", dmarc.Pass), ""},
			{"again", good, from("r.example", dmarc.Pass), ""},
			{"below a domain of ours", mail(report(t, "2", "sub.example.org")), from("r.example", dmarc.Pass), ""},
			{"nobody looked", good, nil, "mail from other servers is not verified here (incoming.verify)"},
			{"forged", good, from("r.example", dmarc.Fail), "DMARC of r.example: fail"},
			{"no policy", good, from("r.example", dmarc.None), "DMARC of r.example: none"},
			{"several authors", good, several, "the From field names several domains"},
			{"about others", mail(report(t, "3", "example.net")), from("r.example", dmarc.Pass), "the report is about no domain of this server"},
			{"no report", []byte("From: r@r.example\r\n\r\nhello\r\n"), from("r.example", dmarc.Pass), "no DMARC report attached"},
			{"broken", mail([]byte("\x1f\x8bnonsense")), from("r.example", dmarc.Pass), "DMARC report: "},
		} {
			taken, reason, err := in.Take(t.Context(), "dmarc-reports@example.org", tt.msg, tt.facts)
			if err != nil || taken != (tt.reason == "") || !strings.HasPrefix(reason, tt.reason) {
				t.Errorf("%s: taken %v, %q, %v", tt.name, taken, reason, err)
			}
		}
		if reason, err := in.TakePost(t.Context(), netip.MustParseAddr("198.51.100.1"), report(t, "4", "example.org", row("192.0.2.1", 100, "fail", "fail", "reject"))); reason != "" || err != nil {
			t.Errorf("posted: %q, %v", reason, err)
		}
		if reason, err := in.TakePost(t.Context(), netip.MustParseAddr("198.51.100.1"), []byte("{}")); reason == "" || err != nil {
			t.Errorf("posted: %q, %v", reason, err)
		}
		all, err := in.Reports(t.Context(), outbox.Filter{})
		if err != nil || len(all) != 3 {
			t.Fatalf("%+v, %v", all, err)
		}
		first, err := in.Reports(t.Context(), outbox.Filter{Domain: "example.org", Limit: 10})
		if err != nil || len(first) != 2 {
			t.Fatalf("%+v, %v", first, err)
		}
		for _, x := range first {
			r, err := in.Show(t.Context(), x.ID)
			if ok, failed := r.Totals(); err != nil || x.OK != ok || x.Failed != failed || x.Source == "mail" && (ok != 3 || failed != 2 || x.Submitter != "r.example") {
				t.Errorf("%+v: %+v, %v", x, r, err)
			}
		}
		if _, err := in.Show(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "waxwing dmarc reports") {
			t.Error(err)
		}
	})
}

// DMR-3: by source, and what follows.
func TestDigest(t *testing.T) {
	t.Parallel()
	in := newService(storetest.Open(t))
	forwarded := row("203.0.113.5", 4, "pass", "fail", "none")
	forwarded.DKIMResults = []dmarcrpt.DKIMResult{{Domain: "example.org", Selector: "s", Result: "pass"}}
	list := row("203.0.113.6", 2, "fail", "fail", "quarantine")
	list.SPFResults = []dmarcrpt.SPFResult{{Domain: "lists.example", Result: "pass"}}
	other := row("203.0.113.7", 9, "fail", "fail", "none")
	for i, by := range []string{"a.example", "b.example"} {
		if taken, reason, err := in.Take(t.Context(), "dmarc-reports@example.org", mail(report(t, fmt.Sprint(i), "example.org", row("192.0.2.1", 10, "pass", "pass", "none"), forwarded, list, other)), from(by, dmarc.Pass)); !taken {
			t.Fatal(reason, err)
		}
	}
	if reason, err := in.TakePost(t.Context(), netip.MustParseAddr("198.51.100.1"), report(t, "x", "example.org", row("192.0.2.1", 100, "fail", "fail", "reject"))); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	d, err := in.Digest(t.Context(), "", 7)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, l := range d.Lines {
		got += fmt.Sprintf("%s %s %s %d/%d/%d %v; ", l.Source, l.Kind, l.By, l.Passed, l.Failed, l.Hit, l.Unverified)
	}
	if want := "192.0.2.1 own  0/100/100 true; 192.0.2.1 own  20/0/0 false; 203.0.113.5 forwarder  8/0/0 false; 203.0.113.6 forwarder lists.example 0/4/4 false; 203.0.113.7 other  0/18/0 false; "; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(d.Advice) != 1 || d.Advice[0].Word != AdviseForwarders || !strings.Contains(d.Advice[0].Text, "4 messages that forwarders or mailing lists passed on fail, and would be hit by p=quarantine") {
		t.Errorf("%+v", d.Advice)
	}
	if none, err := in.Digest(t.Context(), "example.net", 7); err != nil || len(none.Lines) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

// The advice over what there can be: own hosts that fail come first, and nothing is advised
// where too little is known.
func TestAdvise(t *testing.T) {
	t.Parallel()
	two := []string{"a.example", "b.example"}
	own := func(passed, failed, hit int64) Line {
		return Line{Domain: "example.org", Kind: Own, Passed: passed, Failed: failed, Hit: hit, Reporters: two}
	}
	others := Line{Domain: "example.org", Kind: Other, Failed: 7, Reporters: two}
	for _, tt := range []struct {
		name, policy string
		lines        []Line
		want, text   string
		urgent       bool
	}{
		{"own fails", "none", []Line{own(100, 1, 0), others}, AdviseOwn, "1 of 101 messages from your own hosts fail DMARC", false},
		{"own is refused", "reject", []Line{own(100, 1, 1)}, AdviseOwn, "1 of 101", true},
		{"little", "none", []Line{own(19, 0, 0)}, AdviseWait, "too little is known", false},
		{"one reporter", "none", []Line{{Domain: "example.org", Kind: Own, Passed: 50, Reporters: two[:1]}}, AdviseWait, "by 1 reporters", false},
		{"nothing of ours", "none", []Line{others}, AdviseWait, "0 messages", false},
		{"clean", "none", []Line{own(20, 0, 0), others}, AdviseStricter, "safe to move to quarantine: ", false},
		{"clean again", "quarantine", []Line{own(20, 0, 0), others}, AdviseStricter, "safe to move to reject: ", false},
		{"strict already", "reject", []Line{own(20, 0, 0), others}, AdviseKeep, "the policy is reject", false},
		{"forwarders", "quarantine", []Line{own(20, 0, 0), {Domain: "example.org", Kind: Forwarder, Failed: 3}}, AdviseForwarders, "would be hit by p=reject", false},
		{"by https alone", "none", []Line{{Domain: "example.org", Kind: Own, Failed: 3, Unverified: true}}, "", "", false},
	} {
		for i := range tt.lines {
			tt.lines[i].Policy = tt.policy
		}
		all := Advise(tt.lines)
		if tt.want == "" {
			if len(all) != 0 {
				t.Errorf("%s: %+v", tt.name, all)
			}
			continue
		}
		if len(all) != 1 || all[0].Word != tt.want || all[0].Urgent != tt.urgent || !strings.Contains(all[0].Text, tt.text) {
			t.Errorf("%s: %+v", tt.name, all)
		}
	}
}

// FuzzTake: whatever comes to a report address is taken or not, for a reason that is fit for a header.
func FuzzTake(f *testing.F) {
	sample, err := os.ReadFile("../../../dmarcrpt/testdata/rfc9990-sample.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mail(sample))
	f.Add([]byte("From: a@b.example\r\n\r\n<feedback>"))
	in := newService(storetest.Open(f))
	in.Hosted = func(context.Context, dns.Name) (bool, error) { return true, nil }
	in.PerReporter, in.PerDay = 1<<30, 1<<30
	f.Fuzz(func(t *testing.T, msg []byte) {
		taken, reason, err := in.Take(t.Context(), "dmarc-reports@example.org", msg, from("r.example", dmarc.Pass))
		if taken != (reason == "" && err == nil) || strings.ContainsAny(reason, "\r\n") {
			t.Fatalf("taken %v, reason %q, %v", taken, reason, err)
		}
	})
}
