package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/companion"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/metrics"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/peers"
	"waxwing/tlsrpt"
)

// monitoring is where the files for Prometheus and Grafana are.
var monitoring = filepath.Join("..", "..", "docs", "operating", "prometheus")

// metricName finds the metrics of ours, of Go and of the process in an expression.
var metricName = regexp.MustCompile(`\b(?:waxwing|process|go)_[a-z0-9_]+\b`)

// OPS-1: every metric that the alert rules and the dashboard name is there.
func TestMonitoringNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	r := metrics.New().Registry
	companion.NewMetrics(r)
	there := map[string]bool{}
	for _, m := range described(r) {
		there[m.name] = true
		if kindOf(m.name) == "histogram" {
			there[m.name+"_bucket"], there[m.name+"_count"], there[m.name+"_sum"] = true, true, true
		}
	}
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		there[f.GetName()] = true
	}
	named := 0
	for _, file := range []string{"waxwing.rules.yml", "waxwing.rules.test.yml", "waxwing.dashboard.json"} {
		b, err := os.ReadFile(filepath.Join(monitoring, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(b), -1) {
			named++
			if !there[name] {
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
	}
	if named < 60 {
		t.Errorf("only %d metrics are named: does the test still see them?", named)
	}
}

// The dashboard is JSON, and its panels do not cover each other.
func TestDashboard(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(monitoring, "waxwing.dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	for _, p := range board.Panels {
		if len(p.Targets) == 0 || p.Title == "" {
			t.Errorf("panel %d shows nothing", p.ID)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Fatalf("%s lies over %q at %v", p.Title, other, at)
				}
				taken[at] = p.Title
			}
		}
	}
}

// promtool is the program, or the test is skipped.
func promtool(t *testing.T) string {
	t.Helper()
	name := os.Getenv("WAXWING_TEST_PROMTOOL")
	if name == "" {
		name = "promtool"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("promtool, of Debian's package prometheus: %v", err)
	}
	return path
}

// OPS-1: promtool finds no fault with the alert rules, and each goes off where it should
// and is silent where all is well.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	for _, args := range [][]string{{"check", "rules", "waxwing.rules.yml"}, {"test", "rules", "waxwing.rules.test.yml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// get fetches a page of the listener for metrics.
func (w *world) get(path string) (int, string) {
	w.t.Helper()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + w.real("127.0.0.1:9100") + path)
	w.check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	w.check(err)
	return resp.StatusCode, string(b)
}

// seriesOf counts the samples of a page.
func seriesOf(page string) (n int) {
	for line := range strings.Lines(page) {
		if line[0] != '#' {
			n++
		}
	}
	return n
}

// OPS-1: a server that does nothing has 300 series at most; promtool finds no fault with
// their names and texts; the server is healthy and ready, until its store is away.
func TestIdleScrape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, page := w.get("/metrics")
	if n := seriesOf(page); n > 300 || n < 60 {
		t.Errorf("%d series", n)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, text := w.get(path); code != 200 || text != "ok\n" {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	w.check(os.Rename(filepath.Join(w.m.Dir, "data", "waxwing.db"), filepath.Join(w.m.Dir, "data", "away")))
	for end := time.Now().Add(2 * time.Minute); ; {
		code, text := w.get("/readyz")
		if code == http.StatusServiceUnavailable && strings.Contains(text, "store") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("without a store: %d %s", code, text)
		}
	}
	if code, _ := w.get("/healthz"); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	cmd := exec.Command(promtool(t), "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// busy makes 10,000 deliveries to as many domains, with every word, way, outcome and
// protection that there is, and hosts that answer STARTTLS with every code.
func busy(m *metrics.Metrics) {
	words := []reason.Word{}
	for _, e := range reason.All() {
		words = append(words, e.Word)
	}
	for code := 400; code < 600; code++ {
		words = append(words, reason.StartTLSReply(code))
	}
	types := []tlsrpt.ResultType{tlsrpt.StartTLSNotSupported, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted, tlsrpt.ValidationFailure,
		tlsrpt.TLSAInvalid, tlsrpt.DNSSECInvalid, tlsrpt.DANERequired, tlsrpt.STSPolicyFetchError, tlsrpt.STSPolicyInvalid, tlsrpt.STSWebPKIInvalid}
	tls := []string{"", "plaintext", "tls", "pkix", "dane", "dane+pkix"}
	sts := []reason.Word{reason.STSNoRecord, reason.STSMultipleRecords, reason.STSRecordSyntax, reason.STSNoPolicy, reason.STSFetch, reason.STSWebPKI, reason.STSPolicySyntax, reason.STSLookupFailed}
	start := time.Unix(1e9, 0)
	for i := range 10_000 {
		word := words[i%len(words)]
		f := &delivery.TLSFailure{Type: types[i%len(words)%len(types)], Word: word}
		to := dns.MustParse(fmt.Sprintf("d%d.test", i))
		m.Attempt(&delivery.Job{Domain: delivery.RecipientDomain{Name: to}, Envelope: delivery.Envelope{Need: delivery.RequireTLS, Recipients: []delivery.Recipient{{Attempts: i % 9}}}}, &delivery.Result{
			Transport: []delivery.Means{"direct", "local", "relay"}[i/54%3], Started: start, Ended: start.Add(time.Duration(i) * time.Millisecond),
			Destination: delivery.Destination{Fail: &delivery.Failure{Word: word}, Hosts: []delivery.Host{{DANE: delivery.DANE{State: delivery.DANEState(i % 4)}}}},
			Finding:     delivery.Finding{Looked: true, Failure: &mtasts.Error{Word: sts[i%len(sts)]}},
			Visits:      []delivery.Visit{{Sessions: []delivery.Session{{Connected: true, TLSFailure: f, TLS: &delivery.TLSFacts{Weak: f}}}}},
			Recipients:  []delivery.RecipientResult{{Outcome: delivery.Outcome(i % 3), TLS: tls[i/3%len(tls)], Word: word, PolicyFailure: true}},
		})
		m.LookedUp([]string{"A", "AAAA", "MX", "TXT", "CNAME", "PTR", "NS", "SRV", "TLSA", "CAA"}[i%10], []string{"secure", "insecure", "indeterminate", "bogus", "failed", "cached"}[i/10%6])
		for _, l := range []string{"mx", "submission", "submissions", "https", "metrics", "sendmail"} {
			m.Connected(l, "")
			m.Accepted(l)
			m.Refused(l, 400+i%200)
			m.Erred(l, peers.Answer{End: i%2 == 0})
		}
		m.Requested([]string{"tlsrpt", "mta-sts", "other"}[i%3], 200+i%400)
		m.PolicyFetched(string(sts[i%len(sts)]), time.Second)
		m.Panicked(guard.Areas()[i%len(guard.Areas())].Area)
	}
}

// OPS-1: the number of series is bounded, whatever 10,000 destinations do.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	busy(m)
	all, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	by := map[string]int{}
	for _, f := range all {
		for _, x := range f.GetMetric() {
			n := 1
			if h := x.GetHistogram(); h != nil {
				n = len(h.GetBucket()) + 3
			}
			total += n
			by[f.GetName()] += n
		}
	}
	var most []string
	for name, n := range by {
		most = append(most, fmt.Sprintf("%5d %s", n, name))
	}
	slices.Sort(most)
	slices.Reverse(most)
	t.Logf("%d series:\n%s", total, strings.Join(most[:8], "\n"))
	if total > 2000 {
		t.Errorf("%d series", total)
	}
}
