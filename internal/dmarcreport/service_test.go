package dmarcreport

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
)

var saturday = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// zone answers TXT questions: of names that it does not have, that there is nothing.
type zone struct {
	dns.Resolver
	mu  sync.Mutex
	txt map[string]any // by name: a text, or an error
}

func (z *zone) set(name string, v any) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.txt[name] = v
}

func (z *zone) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	a := dns.Answer[string]{Name: n}
	switch v := z.txt[n.ASCII()].(type) {
	case string:
		a.Records = []string{v}
	case error:
		return a, v
	}
	return a, nil
}

type rig struct {
	*Service
	clock *outboxtest.Clock
	dns   *zone
	out   *outboxtest.Queue
}

func newRig(s *store.Store) *rig {
	r := &rig{clock: &outboxtest.Clock{}, dns: &zone{txt: map[string]any{}}, out: &outboxtest.Queue{}}
	r.clock.Set(saturday.Add(12 * time.Hour))
	r.Service = New(&outbox.Box{Store: s, DNS: r.dns, Enqueuer: r.out, Signer: outboxtest.Signer{"sender.example"},
		Hosted:   func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "sender.example", nil },
		Hostname: dns.MustParse("mx.sender.example"), Now: r.clock.Now, Log: slog.New(slog.DiscardHandler)})
	return r
}

// see counts messages that claim to be from a domain.
func (r *rig) see(t *testing.T, at time.Time, domain string, n int, report bool) {
	t.Helper()
	e := delivery.Evaluation{Policy: dmarcrpt.Policy{Domain: domain, P: "reject"}, Report: report, Record: dmarcrpt.Record{
		SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: "reject", DKIM: "fail", SPF: "fail", HeaderFrom: domain, EnvelopeFrom: "x.example"}}
	err := r.Store.Write(t.Context(), func(tx *store.Tx) error {
		for range n {
			if err := dmarcresult.Save(tx, at, []delivery.Evaluation{e}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// DMR-1: a day from its messages to its reports: to whom they go, and what becomes of the others.
func TestDay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(s)
		const own, ext = "v=DMARC1; p=reject; rua=mailto:r@", "v=DMARC1; p=reject; rua=mailto:a@ext.example"
		for domain, record := range map[string]any{
			"_dmarc.a.example": own + "a.example!10m", "_dmarc.sub.b.example": own + "b.example", "_dmarc.b.example": "v=DMARC1; p=none",
			"_dmarc.ext1.example": ext, "_dmarc.ext2.example": ext, "_dmarc.ext3.example": ext, "_dmarc.small.example": own + "small.example!1k,mailto:z@small.example!50",
			"_dmarc.reports.example": own + "reports.example", "_dmarc.silent.example": "v=DMARC1; p=reject", "_dmarc.other.example": "v=DMARC1; p=reject; rua=tel:123",
			"_dmarc.dark.example":                               &dns.Error{Type: "TXT", RCode: "SERVFAIL"},
			"ext1.example._report._dmarc.ext.example":           "v=DMARC1;",
			"ext2.example._report._dmarc.ext.example":           "v=DMARC1; rua=mailto:instead@ext.example",
			"ext3.example._report._dmarc.ext.example":           "v=DMARC1; rua=mailto:instead@elsewhere.example",
			"unconsenting.example._report._dmarc.third.example": "no",
			"_dmarc.unconsenting.example":                       "v=DMARC1; p=reject; rua=mailto:a@third.example",
		} {
			r.dns.set(domain, record)
		}
		want := map[string]string{
			"a.example": "reported mailto:r@a.example", "sub.b.example": "reported mailto:r@b.example", "ext1.example": "reported mailto:a@ext.example",
			"ext2.example": "reported mailto:instead@ext.example", "ext3.example": "invalid ", "small.example": "reported mailto:r@small.example",
			"reports.example": "skipped ", "silent.example": "none ", "other.example": "invalid ", "dark.example": "open ", "gone.example": "none ", "unconsenting.example": "invalid ",
		}
		for domain := range want {
			r.see(t, saturday, domain, 3, domain == "reports.example")
		}
		r.clock.Set(saturday.Add(30 * time.Hour))
		sum, err := r.SendDay(t.Context(), outbox.SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range sum.Made {
			if got := string(m.State) + " " + strings.Join(m.RUA, " "); got != want[m.PolicyDomain] {
				t.Errorf("%s: %s (%s), want %s", m.PolicyDomain, got, m.Note, want[m.PolicyDomain])
			}
			delete(want, m.PolicyDomain)
		}
		if len(want) > 0 {
			t.Errorf("nothing came of %v", want)
		}
		if again, err := r.SendDay(t.Context(), outbox.SendOptions{}); err != nil || len(again.Made) != 1 { // the open one
			t.Errorf("%+v, %v", again, err)
		}
		for _, m := range r.out.All() {
			if m.Env.Purpose != delivery.DMARCReport || m.Env.Need != delivery.FollowPolicy {
				t.Errorf("%+v", m.Env)
			}
		}
		r.checkMail(t)
	})
}

// checkMail holds the mail about a.example against RFC 9990 §3.5.2.
func (r *rig) checkMail(t *testing.T) {
	t.Helper()
	for _, m := range r.out.All() {
		if m.Env.Recipients[0].Address != "r@a.example" {
			continue
		}
		h, _, err := message.SplitHeader([]byte(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Get("Subject"); got != "Report Domain: a.example Submitter: sender.example Report-ID: <2026-11-21.a.example@sender.example>" {
			t.Error(got)
		}
		if h.Get("From") != "<dmarc-reports@sender.example>" && h.Get("From") != "dmarc-reports@sender.example" || h.Get("DKIM-Signature") == "" || !strings.HasPrefix(m.Env.Sender, "dmarc-reports+") {
			t.Errorf("from %s, envelope %s", h.Get("From"), m.Env.Sender)
		}
		found := false
		err = message.Walk([]byte(m.Data), message.Limits{}, func(p message.Part) error {
			if p.MediaType != "application/gzip" {
				return nil
			}
			found = true
			if p.Filename != "sender.example!a.example!1795219200!1795305599.xml.gz" {
				t.Error(p.Filename)
			}
			b, err := io.ReadAll(p.Reader())
			if err != nil {
				return err
			}
			rep, err := dmarcrpt.Read(b)
			if err != nil {
				return err
			}
			if rep.Messages() != 3 || rep.Policy.Domain != "a.example" || rep.Org != "sender.example" || rep.Email != "dmarc-reports@sender.example" || rep.End.Sub(rep.Begin) != 24*time.Hour-time.Second {
				t.Errorf("%+v", rep)
			}
			return nil
		})
		if err != nil || !found {
			t.Errorf("%v, attached: %v", err, found)
		}
		return
	}
	t.Error("no mail to r@a.example")
}

// A record that names an https address is posted to, in gzip.
func TestPost(t *testing.T) {
	t.Parallel()
	r := newRig(storetest.Open(t))
	r.dns.set("_dmarc.p.example", "v=DMARC1; p=none; rua=https://p.example/dmarc")
	got := make(chan *dmarcrpt.Report, 1)
	r.HTTP = &http.Client{Transport: roundTrip(func(q *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			return nil, err
		}
		rep, err := dmarcrpt.Read(b)
		if err != nil || q.Header.Get("Content-Type") != "application/gzip" || q.URL.String() != "https://p.example/dmarc" {
			t.Errorf("%v, %v, %v", q.URL, q.Header, err)
		}
		got <- rep
		return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(nil)), Request: q}, nil
	})}
	r.see(t, saturday, "p.example", 2, false)
	r.clock.Set(saturday.Add(30 * time.Hour))
	if _, err := r.SendDay(t.Context(), outbox.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.StepPosts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := <-got; rep == nil || rep.Messages() != 2 {
		t.Errorf("%+v", rep)
	}
	sent, err := r.Sent(t.Context(), outbox.Filter{})
	if err != nil || len(sent) != 1 || sent[0].State != "delivered" || sent[0].Failed != 2 {
		t.Errorf("%+v, %v", sent, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// What lookup says is what the daily run goes by.
func TestLookup(t *testing.T) {
	t.Parallel()
	r := newRig(storetest.Open(t))
	r.dns.set("_dmarc.a.example", "v=DMARC1; p=quarantine; rua=mailto:r@a.example!10m,mailto:x@b.example")
	p, err := r.Lookup(t.Context(), dns.MustParse("a.example"))
	if err != nil || len(p.RUA) != 1 || p.RUA[0].MaxSize != 10<<20 || p.Policy != "quarantine" || !strings.Contains(p.Problem, "b.example does not say that it takes reports about a.example") {
		t.Errorf("%+v, %v", p, err)
	}
	var out strings.Builder
	if p.Print(&out); !strings.Contains(out.String(), "reports go to mailto:r@a.example, of 10485760 octets at most\n") {
		t.Error(out.String())
	}
	r.dns.set("_dmarc.dark.example", &dns.Error{Type: "TXT", RCode: "SERVFAIL"})
	if _, err := r.Lookup(t.Context(), dns.MustParse("dark.example")); err == nil {
		t.Error("no error")
	}
}

// DMR-5: every line of a run has its id: where it begins, each report, and where it ends.
func TestRunInTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(storetest.Open(t))
	var log bytes.Buffer
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.dns.set("_dmarc.a.example", "v=DMARC1; p=none; rua=mailto:r@a.example")
	r.see(t, saturday, "a.example", 1, false)
	r.clock.Set(saturday.Add(30 * time.Hour))
	if _, err := r.SendDay(t.Context(), outbox.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for i, want := range []string{`msg="run of DMARC reports begins" run=dmarc-2026-11-21 day=2026-11-21 units=1`,
		`msg="DMARC report" run=dmarc-2026-11-21 policy-domain=a.example day=2026-11-21 state=reported rua=[mailto:r@a.example]`,
		`msg="run of DMARC reports ends" run=dmarc-2026-11-21 day=2026-11-21 counts=map[reported:1] duration=`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d lacks %s in\n%s", i, want, log.String())
		}
	}
}
