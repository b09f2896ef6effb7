package intake

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// reporter makes report mails, signed with a real key that the resolver serves.
type reporter struct {
	t   *testing.T
	key dkim.Key
}

func newReporter(t *testing.T, r *rig, services ...string) *reporter {
	t.Helper()
	k, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	txt, err := dkim.Record(k.Public(), services...)
	if err != nil {
		t.Fatal(err)
	}
	r.dns.Replies["TXT s1._domainkey.reporter.example"] = dns.Answer[string]{Records: []string{txt}}
	return &reporter{t, dkim.Key{Domain: dns.MustParse("reporter.example"), Selector: "s1", Signer: k}}
}

func (r *reporter) mail(from string, file []byte) []byte {
	msg := "From: <tlsrpt@" + from + ">\r\nTo: <tls-reports@example>\r\nSubject: Report\r\nDate: Sun, 22 Nov 2026 01:00:00 +0000\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(file) + "\r\n--b--\r\n"
	fields, err := dkim.Sign([]byte(msg), []dkim.Key{r.key}, dkim.SignOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return append(fields, msg...)
}

func reportAbout(t *testing.T, id string, domains ...string) []byte {
	t.Helper()
	rep := tlsrpt.Report{Organization: "R", Begin: saturday, End: saturday.Add(24*time.Hour - time.Second), ID: id}
	for _, d := range domains {
		rep.Policies = append(rep.Policies, tlsrpt.PolicyResult{Type: tlsrpt.PolicySTS, Domain: d, Success: 7, Failed: 1,
			Details: []tlsrpt.FailureDetail{{Type: tlsrpt.CertificateExpired, Sessions: 1}}})
	}
	j, err := rep.Encode()
	if err != nil {
		t.Fatal(err)
	}
	gz, err := tlsrpt.Compress(j)
	if err != nil {
		t.Fatal(err)
	}
	return gz
}

func (r *rig) reports(t *testing.T) []reportbox.Received {
	t.Helper()
	out, err := r.Reports(context.Background(), outbox.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// RPT-14, RPT-16, RPT-17.
func TestTake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		rep := newReporter(t, r, "tlsrpt")
		msg := rep.mail("mail.reporter.example", reportAbout(t, "id-1", "example", "mx.sender.example", "stranger.test", "example"))
		for range 2 { // the second changes nothing
			if taken, reason, err := r.Take(ctx, "tls-reports@example", msg); !taken || err != nil {
				t.Fatalf("not taken: %q, %v", reason, err)
			}
		}
		got := r.reports(t)
		if len(got) != 2 || got[0].Submitter != "reporter.example" || got[0].Source != "mail" {
			t.Fatalf("stored %+v", got)
		}
		for _, g := range got {
			want := map[string]int64{"example": 14, "mx.sender.example": 7}[g.PolicyDomain]
			shown, j, err := r.Show(ctx, g.ID)
			if err != nil || g.OK != want || bytes.Contains(j, []byte("stranger")) || len(shown.Policies) != int(want/7) {
				t.Errorf("%+v: %s, %v", g, j, err)
			}
		}
		if _, _, err := r.Show(ctx, 1); !errors.Is(err, reportbox.ErrNoReport) {
			t.Errorf("unknown id: %v", err)
		}
		// A report that changed under the same id is a repeated one.
		r.Take(ctx, "tls-reports@example", rep.mail("reporter.example", reportAbout(t, "id-1", "example")))
		if got := r.reports(t); len(got) != 2 {
			t.Errorf("another one with the same id: %+v", got)
		}
	})
}

func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	rep := newReporter(t, r)
	good := reportAbout(t, "id", "example")
	bomb, err := tlsrpt.Compress(bytes.Repeat([]byte(" "), 40<<20))
	if err != nil {
		t.Fatal(err)
	}
	signed := rep.mail("reporter.example", good)
	unsigned := signed[bytes.Index(signed, []byte("From:")):]
	for _, tt := range []struct {
		name   string
		msg    []byte
		reason string
	}{
		{"unsigned", unsigned, "no DKIM signature of reporter.example"},
		{"another organisation", rep.mail("reporter.test", good), "no DKIM signature of reporter.test"},
		{"altered", bytes.Replace(signed, []byte("Hello"), []byte("Howdy"), 1), "DKIM signature of reporter.example: fail"},
		{"stranger's domain", rep.mail("reporter.example", reportAbout(t, "id", "stranger.test")), "no domain of this server"},
		{"no report", []byte("From: <a@reporter.example>\r\n\r\nHello\r\n"), "no TLS report attached"},
		{"gzip bomb", rep.mail("reporter.example", bomb), "too large"},
		{"garbage", rep.mail("reporter.example", []byte("garbage\x00")), "invalid character"},
		{"no From", []byte("Subject: x\r\n\r\nHello\r\n"), "From"},
	} {
		taken, reason, err := r.Take(context.Background(), "tls-reports@example", tt.msg)
		if taken || err != nil || !strings.Contains(reason, tt.reason) || strings.ContainsAny(reason, "\r\n") {
			t.Errorf("%s: taken %v, reason %q, %v", tt.name, taken, reason, err)
		}
	}
	r.dns.Replies["TXT s1._domainkey.reporter.example"] = &dns.Error{Timeout: true}
	if taken, _, err := r.Take(context.Background(), "tls-reports@example", signed); taken || err == nil {
		t.Error("a DNS timeout must be temporary")
	}
	if got := r.reports(t); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

// AUT-6: a report whose signatures were verified when it came is taken by what was found then: nobody is asked for a key.
func TestTakeVerified(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	rep := newReporter(t, r)
	msg := rep.mail("reporter.example", reportAbout(t, "id", "example"))
	r.dns.Replies = map[string]any{}
	found := dkim.Verification{Domain: dns.MustParse("reporter.example"), Result: dkim.Fail, Services: []string{"tlsrpt"}, SignedHeaders: []string{"from"}}
	if taken, reason, err := r.TakeVerified(t.Context(), "tls-reports@example", msg, []dkim.Verification{found}); taken || reason != "DKIM signature of reporter.example: fail" || err != nil {
		t.Errorf("%v, %q, %v", taken, reason, err)
	}
	if taken, reason, err := r.TakeVerified(t.Context(), "tls-reports@example", msg, nil); taken || reason != "no DKIM signature of reporter.example" || err != nil {
		t.Errorf("%v, %q, %v", taken, reason, err)
	}
	found.Result = dkim.Pass
	if taken, reason, err := r.TakeVerified(t.Context(), "tls-reports@example", msg, []dkim.Verification{found}); !taken || err != nil {
		t.Errorf("%v, %q, %v", taken, reason, err)
	}
	if got := r.reports(t); len(got) != 1 || got[0].Submitter != "reporter.example" {
		t.Errorf("%+v", got)
	}
}

// RPT-14.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	v := func(change func(*dkim.Verification)) dkim.Verification {
		x := dkim.Verification{Domain: dns.MustParse("example.org"), Result: dkim.Pass, SignedHeaders: []string{"from", "subject"}}
		if change != nil {
			change(&x)
		}
		return x
	}
	domain := func(d string) func(*dkim.Verification) {
		return func(x *dkim.Verification) { x.Domain = dns.MustParse(d) }
	}
	for _, tt := range []struct {
		name, from string
		vs         []dkim.Verification
		want       string
		temporary  bool
	}{
		{"the From domain", "example.org", []dkim.Verification{v(nil)}, "example.org", false},
		{"a parent", "a.b.example.org", []dkim.Verification{v(nil)}, "example.org", false},
		{"the nearest", "a.b.example.org", []dkim.Verification{v(nil), v(domain("b.example.org")), v(nil)}, "b.example.org", false},
		{"a child", "example.org", []dkim.Verification{v(domain("a.example.org"))}, "", false},
		{"a sibling", "b.example.org", []dkim.Verification{v(domain("a.example.org"))}, "", false},
		{"a public suffix", "example.co.uk", []dkim.Verification{v(domain("co.uk"))}, "", false},
		{"l=", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.BodyLength = true })}, "", false},
		{"s=email", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.Services = []string{"email"} })}, "", false},
		{"s=tlsrpt", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.Services = []string{"email", "tlsrpt"} })}, "example.org", false},
		{"From not signed", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.SignedHeaders = nil })}, "", false},
		{"failed", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.Result = dkim.Fail })}, "", false},
		{"temporary", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.Result = dkim.TempError })}, "", true},
		{"temporary beside a good one", "example.org", []dkim.Verification{v(func(x *dkim.Verification) { x.Result = dkim.TempError }), v(nil)}, "example.org", false},
		{"none", "example.org", nil, "", false},
	} {
		got, reason, err := authenticate(dns.MustParse(tt.from), tt.vs)
		if got.ASCII() != tt.want || (err != nil) != tt.temporary || (tt.want == "" && reason == "") {
			t.Errorf("%s: %q, %q, %v", tt.name, got, reason, err)
		}
	}
}

// RPT-17: an id belongs to the domain that authenticated the report.
func TestIDsOfOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	for i, submitter := range []string{"one.test", "two.test", "one.test"} {
		rep, err := tlsrpt.Parse(bytes.NewReader(reportAbout(t, "same-id", "example")), tlsrpt.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if reason, err := r.keep(context.Background(), reportbox.Mail(dns.MustParse(submitter)), rep); reason != "" || err != nil {
			t.Fatal(reason, err)
		}
		if got := r.reports(t); len(got) != min(i+1, 2) {
			t.Errorf("after %d: %+v", i+1, got)
		}
	}
}

// RPT-14, RPT-17: a valid signature is no leave to fill the store. What one
// organisation signs about one of ours is bounded, and all together; what is
// beyond is no report but mail, and counted. A repeated report costs nothing.
func TestMailCaps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		r.PerReporter, r.PerDay = 3, 8
		counted := map[string]int{}
		r.Count = func(result string) { counted["in "+result]++ }
		by := func(domain string) Verifier { return passesAs{dns.MustParse(domain)} }
		take := func(from, id string, domains ...string) string {
			t.Helper()
			r.Verifier = by(from)
			msg := append([]byte("From: <a@"+from+">\r\nContent-Type: application/tlsrpt+json\r\n\r\n"), reportAbout(t, id, domains...)...)
			taken, reason, err := r.Take(ctx, "tls-reports@example", msg)
			if err != nil || taken == (reason != "") {
				t.Fatalf("%s of %s: %v %q %v", id, from, taken, reason, err)
			}
			return reason
		}
		const perReporter = "more TLS reports of evil.test about sender.example today than are taken (tlsrpt.max_received_per_reporter)"
		for i, tt := range []struct{ from, id, domain, reason string }{
			{"a.evil.test", "1", "sender.example", ""},
			{"b.evil.test", "1", "sender.example", ""}, // another subdomain: the same organisation
			{"b.evil.test", "1", "sender.example", ""}, // repeated
			{"b.evil.test", "1", "sender.example", ""},
			{"c.evil.test", "2", "mx.sender.example", ""}, // another name below ours: the same
			{"d.evil.test", "3", "sender.example", perReporter},
			{"a.evil.test", "1", "sender.example", ""}, // repeated: still known
			{"a.evil.test", "4", "sender.example", perReporter},
			{"a.evil.test", "5", "example", ""}, // about another
			{"good.test", "6", "sender.example", ""},
			{"good.test", "7", "sender.example", ""},
			{"good.test", "8", "sender.example", ""},
			{"third.test", "9", "sender.example", ""},
			{"fourth.test", "10", "sender.example", "more TLS reports today than are taken (tlsrpt.max_received)"},
		} {
			if reason := take(tt.from, tt.id, tt.domain); reason != tt.reason {
				t.Errorf("%d: %s of %s: %q, want %q", i, tt.id, tt.from, reason, tt.reason)
			}
		}
		if n := len(r.reports(t)); n != 8 {
			t.Errorf("%d reports are stored, want 8", n)
		}
		refused, err := r.RefusedReports(ctx)
		for i := range refused {
			if refused[i].Octets < 100*refused[i].Stored {
				t.Errorf("%+v: so few octets", refused[i])
			}
			refused[i].Octets = 0
		}
		want := []reportbox.Refused{{Day: "2026-11-21", Submitter: "evil.test", Domain: "sender.example", Stored: 3, Refused: 2}, {Day: "2026-11-21", Stored: 8, Refused: 1}}
		if err != nil || !slices.Equal(refused, want) {
			t.Errorf("refused: %+v %v", refused, err)
		}
		if counted["in over-cap"] != 3 || counted["in taken"] != 11 {
			t.Errorf("counted: %v", counted)
		}
		r.clock.Set(saturday.Add(36 * time.Hour))
		if reason := take("d.evil.test", "3", "sender.example"); reason != "" {
			t.Errorf("the next day: %s", reason)
		}
		// A report about two domains is stored as a whole or not at all.
		r.PerReporter = 1
		if reason := take("e.evil.test", "11", "example", "sender.example"); reason == "" {
			t.Error("half of a report was taken")
		}
		if n := len(r.reports(t)); n != 9 {
			t.Errorf("%d reports are stored, want 9", n)
		}
		r.clock.Set(saturday.Add(20 * 24 * time.Hour))
		if err := r.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if refused, err := r.RefusedReports(ctx); len(refused) != 0 || err != nil {
			t.Errorf("after weeks: %+v %v", refused, err)
		}
	})
}

// RPT-16: what is stored of one report by mail is bounded too.
func TestLargeMail(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.Verifier = passes{}
	noise := make([]byte, 1500)
	rep := tlsrpt.Report{Organization: "R", Begin: saturday, End: saturday.Add(24*time.Hour - time.Second), ID: "large"}
	p := tlsrpt.PolicyResult{Type: tlsrpt.PolicySTS, Domain: "example", Failed: 900}
	for range 900 {
		rand.Read(noise)
		p.Details = append(p.Details, tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, Sessions: 1, Info: base64.StdEncoding.EncodeToString(noise)})
	}
	rep.Policies = []tlsrpt.PolicyResult{p}
	j, err := rep.Encode()
	if err != nil {
		t.Fatal(err)
	}
	msg := append([]byte("From: <a@reporter.example>\r\nContent-Type: application/tlsrpt+json\r\n\r\n"), j...)
	taken, reason, err := r.Take(context.Background(), "tls-reports@example", msg)
	if taken || err != nil || !strings.Contains(reason, "octets, 1048576 are taken") || len(r.reports(t)) != 0 {
		t.Errorf("taken %v: %q %v", taken, reason, err)
	}
}

// passesAs verifies everything as signed by a domain.
type passesAs struct{ domain dns.Name }

func (p passesAs) Verify(context.Context, []byte) ([]dkim.Verification, error) {
	return []dkim.Verification{{Domain: p.domain, Result: dkim.Pass, SignedHeaders: []string{"from"}}}, nil
}

// RPT-17: hosted domains, our host names, and for TLSA the hosts below a hosted domain.
func TestIsOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.HostNames = []dns.Name{dns.MustParse("mx.elsewhere.test")}
	for _, tt := range []struct {
		name string
		typ  tlsrpt.PolicyType
		want bool
	}{
		{"example", tlsrpt.PolicySTS, true},
		{"sender.example", tlsrpt.PolicyNone, true},
		{"mx.sender.example", tlsrpt.PolicySTS, true}, // our host name
		{"mx.elsewhere.test", tlsrpt.PolicyTLSA, true},
		{"mx2.sender.example", tlsrpt.PolicyTLSA, true},
		{"mx2.sender.example", tlsrpt.PolicySTS, false},
		{"a.b.mx2.sender.test", tlsrpt.PolicyTLSA, false},
		{"test", tlsrpt.PolicyTLSA, false},
	} {
		got, err := r.isOurs(context.Background(), dns.MustParse(tt.name), tt.typ)
		if got != tt.want || err != nil {
			t.Errorf("%s %s: %v, %v", tt.typ, tt.name, got, err)
		}
	}
}

// Our own report, signed and sent by one server, is taken in by the one it is about.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sent, b := storetest.Open(t), newRig(t, storetest.Open(t))
	k, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	txt, err := dkim.Record(k.Public(), "tlsrpt")
	if err != nil {
		t.Fatal(err)
	}
	b.dns.Replies["TXT k._domainkey.sender.example"] = dns.Answer[string]{Records: []string{txt}}
	for _, d := range []string{"example", "mx.sender.example"} {
		b.dns.Replies["TXT _smtp._tls."+d] = dns.Answer[string]{Records: []string{"v=TLSRPTv1; rua=mailto:tls-reports@example"}}
	}
	a := tlsreport.New(&outbox.Box{Store: sent, DNS: b.dns, Enqueuer: b.out, Signer: realSigner{outboxtest.Signer{"sender.example"}, dkim.Key{Selector: "k", Signer: k}},
		Hosted: b.Hosted, Hostname: b.Hostname, Now: func() time.Time { return saturday.Add(25 * time.Hour) }, Log: b.Log}, tlsreport.Service{})
	example, mx := dns.MustParse("example"), dns.MustParse("mx.sender.example")
	err = sent.Write(ctx, func(tx *store.Tx) error {
		return tlsresult.Save(tx, saturday, []delivery.Observation{
			{RecipientDomain: example, Type: tlsrpt.PolicySTS, PolicyDomain: example, Strings: []string{"version: STSv1"}, MX: []string{"*.example"}, OK: 1},
			{RecipientDomain: example, Type: tlsrpt.PolicyTLSA, PolicyDomain: mx, Strings: []string{"3 1 1 aa"}, Failed: 1,
				Details: []delivery.Detail{{Type: tlsrpt.ValidationFailure, MXHostname: mx.ASCII(), Reason: "dane-no-match", Count: 1}}},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.SendDay(ctx, outbox.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range b.out.All() {
		msg := []byte("Received: from x\r\n\tby y; Sun, 22 Nov 2026 01:00:00 +0000\r\n" + m.Data)
		if taken, reason, err := b.Take(ctx, m.Env.Recipients[0].Address, msg); !taken || err != nil {
			t.Fatalf("not taken: %s, %v", reason, err)
		}
	}
	got := b.reports(t)
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, g := range got {
		rep, _, err := b.Show(ctx, g.ID)
		if err != nil || rep.Check() != nil || !strings.Contains(rep.Text(), g.PolicyDomain) {
			t.Errorf("%+v: %v", rep, err)
		}
	}
}

type realSigner struct {
	outboxtest.Signer
	key dkim.Key
}

func (s realSigner) Sign(_ context.Context, from dns.Name, msg []byte, extra []string) ([]byte, error) {
	s.key.Domain = from
	return dkim.Sign(msg, []dkim.Key{s.key}, dkim.SignOptions{Headers: extra})
}

// corpusMails are the reports of package tlsrpt's corpora as mails of
// reporter.example: those that came as mail as they came, but for From.
func corpusMails(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../../tlsrpt/testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	const from = "From: <a@reporter.example>\r\n"
	out := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		switch {
		case err != nil: // a directory
		case strings.HasSuffix(path, ".json"):
			out[path] = append([]byte(from+"Content-Type: application/tlsrpt+json\r\n\r\n"), b...)
		case strings.HasSuffix(path, ".eml"):
			text := message.ToCRLF(string(b))
			head, body, _ := strings.Cut("\r\n"+string(text), "\r\n\r\n")
			head = regexp.MustCompile(`(?i)\r\nfrom:`).ReplaceAllString(head, "\r\nX-From:")
			out[path] = []byte(from + strings.TrimPrefix(head, "\r\n") + "\r\n\r\n" + body)
		}
	}
	return out
}

// RPT-14, RPT-16: every report of the corpora is taken when it comes by mail.
func TestTakeCorpus(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mails := corpusMails(t)
	if len(mails) != 29 {
		t.Errorf("%d reports in the corpora", len(mails))
	}
	for path, msg := range mails {
		r := newRig(t, storetest.Open(t))
		r.Verifier = passes{}
		r.Hosted = func(context.Context, dns.Name) (bool, error) { return true, nil }
		taken, reason, err := r.Take(ctx, "r@example", msg)
		if strings.HasSuffix(path, "a01-no-policy-domain.json") { // RPT-26: nothing is left of it
			if taken || err != nil || reason != "the report is about no domain of this server; policy 1 was left out: no policy-domain" {
				t.Errorf("%s: %v %s %v", path, taken, reason, err)
			}
			continue
		}
		if !taken || err != nil {
			t.Errorf("%s: %s %v", path, reason, err)
		}
		for _, got := range r.reports(t) {
			if got.Source != "mail" || got.Submitter != "reporter.example" || got.PolicyDomain == "" {
				t.Errorf("%s: %+v", path, got)
			}
		}
		if len(r.reports(t)) == 0 {
			t.Errorf("%s: taken, and nothing is stored", path)
		}
	}
}

// RPT-26: two reports in one mail are two; what was left out of one is stored with it
// and shown, by mail and by HTTPS alike.
func TestTakeTwoWithNotes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	file := func(id string) string {
		return `{"organization-name":"O","date-range":{"start-datetime":"2026-11-20t00:00z","end-datetime":"2026-11-20T23:59:60Z"},"report-id":"` + id +
			`","policies":[{"policy":{"policy-type":"no-policy-found"},"summary":{"total-successful-session-count":1}},` +
			`{"policy":{"policy-type":"sts","policy-domain":"ours.example"},"summary":{"total-successful-session-count":3,"total-failure-session-count":0}}]}`
	}
	msg := "From: <a@reporter.example>\r\nContent-Type: multipart/mixed (two); boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n%\r\n" +
		"--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + file("one") + "\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + file("two") + "\r\n--b--\r\n"
	r := newRig(t, storetest.Open(t))
	r.Verifier = passes{}
	r.Hosted = func(_ context.Context, n dns.Name) (bool, error) { return n.ASCII() == "ours.example", nil }
	for range 2 { // a second copy changes nothing
		if taken, reason, err := r.Take(ctx, "r@ours.example", []byte(msg)); !taken || err != nil {
			t.Fatal(reason, err)
		}
	}
	if reason, err := r.TakePost(ctx, netip.MustParseAddr("192.0.2.1"), []byte(file("three"))); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	got := r.reports(t)
	if len(got) != 3 {
		t.Fatalf("%d reports", len(got))
	}
	for _, g := range got {
		rep, _, err := r.Show(ctx, g.ID)
		if err != nil || g.OK != 3 || !slices.Equal(rep.Notes, []string{"policy 1 was left out: no policy-domain"}) || !strings.Contains(rep.Text(), "Note: policy 1 was left out") {
			t.Errorf("%+v: %+v, %v", g, rep, err)
		}
	}
}

// FuzzTake: whatever comes to a report address, a reason is given exactly where
// it is not taken, and what is taken can be read again: one stored report that
// cannot would spoil every page about its domain.
func FuzzTake(f *testing.F) {
	f.Add([]byte("From: <a@reporter.example>\r\nContent-Type: application/tlsrpt+gzip\r\n\r\n\x1f\x8b"))
	f.Add([]byte("From: <a@reporter.example>\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n"))
	for _, msg := range corpusMails(f) {
		f.Add(msg)
	}
	s := storetest.Open(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		ctx := context.Background()
		r := &Service{Verifier: passes{}, Hostname: dns.MustParse("mx.example"),
			Box:    &reportbox.Box{Sort: Sort(), Store: s, Now: func() time.Time { return saturday }, Log: slog.New(slog.DiscardHandler), Outbox: &outbox.Box{Family: outbox.Family{Local: "tls-reports"}}},
			Hosted: func(context.Context, dns.Name) (bool, error) { return true, nil }}
		taken, reason, err := r.Take(ctx, "r@example", msg)
		if taken != (reason == "" && err == nil) || strings.ContainsAny(reason, "\r\n") {
			t.Fatalf("taken %v, reason %q, %v", taken, reason, err)
		}
		if !taken {
			return
		}
		if _, err := r.Digest(ctx, "", 10000); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM tls_received`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

type passes struct{}

func (passes) Verify(ctx context.Context, msg []byte) ([]dkim.Verification, error) {
	return passesAs{dns.MustParse("reporter.example")}.Verify(ctx, msg)
}
