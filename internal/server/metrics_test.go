package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/account"
	"waxwing/internal/allowance"
	"waxwing/internal/companion"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/lab"
	"waxwing/internal/outbox"
	"waxwing/internal/sendmail"
	"waxwing/milter/miltertest"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/smtpserver"
	"waxwing/socketmap"
)

// world is a server in the lab that has everything switched on, and is looked at as
// Prometheus does.
type world struct {
	t *testing.T
	n *lab.Internet
	m *lab.Machine
}

// mover is something that happens to a server, and the metrics that it moves.
type mover struct {
	metrics []string // without "waxwing_" in front
	move    func(w *world)
}

// movers has every metric that there is: one that nothing moves counts nothing.
func movers() []mover {
	return []mover{
		{[]string{"messages_accepted_total{listener=mx}", "client_connections_total{listener=mx}", "connections_ended_total{listener=mx}"},
			func(w *world) { w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address()})) }},
		{[]string{"messages_accepted_total{listener=submission}", "logins_total{result=ok}", "recipients_settled_total{transport=local}", "delivery_seconds{transport=local}"},
			func(w *world) { w.check(w.m.Submit(w.ctx(), lab.Mail{From: w.m.Address(), To: w.m.Address()})) }},
		{[]string{"hosted_recipients_total{to=mailbox}"}, func(w *world) { w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address()})) }},
		{[]string{"forwards_total{why=alias}", "hosted_recipients_total{to=others}"}, func(w *world) {
			w.check(w.m.Accounts.AddAlias(w.ctx(), account.Alias{Address: "team@" + w.m.Domain.ASCII(), Members: []string{"others@far.test"}}))
			w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: "team@" + w.m.Domain.ASCII()}))
		}},
		{[]string{"messages_accepted_total{listener=sendmail}", "client_connections_total{listener=sendmail}"}, (*world).sendmail},
		{[]string{"connections_open{listener=mx}"}, func(w *world) { w.dial(25) }},
		{[]string{"client_errors_total"}, func(w *world) { w.talk("BOGUS\r\n") }},
		{[]string{"inbound_tls_handshakes_total{listener=mx,result=plaintext}"}, (*world).noTLS},
		{[]string{"client_limits_total{limit=recipients}"}, (*world).manyRecipients},
		{[]string{"connections_refused_total"}, (*world).crowd},
		{[]string{"proxy_refused_total"}, (*world).badProxy},
		{[]string{"tlsrpt_posts_total"}, func(w *world) { w.https(http.MethodPost, "/tlsrpt", "{}") }},
		{[]string{"panics_total{area=https}"}, (*world).panic},
		{[]string{"destinations_total", "dane_hosts_total", "mtasts_lookups_total", "recipients_settled_total{tls=dane}", "delivery_seconds{transport=direct}", "connections_total{result=ok}"},
			func(w *world) {
				w.deliver(delivery.FollowPolicy, lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMatch}}})
			}},
		{[]string{"mtasts_fetch_seconds"}, func(w *world) {
			w.deliver(delivery.FollowPolicy, lab.Publish{Hosts: []lab.Host{{Cert: lab.GoodCert}}, STS: &lab.STS{Mode: mtasts.ModeEnforce}})
		}},
		{[]string{"tls_failures_total", "plaintext_fallbacks_total"}, func(w *world) {
			w.deliver(delivery.FollowPolicy, lab.Publish{Hosts: []lab.Host{{StartTLS: lab.Broken}}})
		}},
		{[]string{"tls_weak_sessions_total"}, (*world).oldTLS},
		{[]string{"requiretls_unsupported_total"}, func(w *world) {
			w.deliver(delivery.RequireTLS, lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMatch}}})
		}},
		{[]string{"tls_optional_ignored_total"}, func(w *world) {
			w.deliver(delivery.TLSOptional, lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMismatch}}})
		}},
		{[]string{"delivery_exceptions_total"}, func(w *world) {
			w.deliverTo("except.test", delivery.FollowPolicy, lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMatch}}})
		}},
		{[]string{"posture_dropped_total"}, (*world).manyFacts},
		{[]string{"companion_datagrams_total", "companion_sessions_total"}, (*world).datagram},
		{[]string{"companion_policy_answers_total"}, (*world).lookup},
		{[]string{"account_limit_refusals_total"}, (*world).overLimit}, // the account sends nothing any more
		{[]string{"tlsrpt_reports_total{direction=out}"}, func(w *world) {
			w.n.Clock.Advance(24 * time.Hour) // over the day of all that was delivered
			_, err := w.m.TLSReport.SendDay(w.ctx(), outbox.SendOptions{})
			w.check(err)
		}},
		{[]string{"dmarc_reports_total{direction=out}"}, func(w *world) {
			w.check(w.m.DMARCResults.Write(w.ctx(), []delivery.Evaluation{{Policy: dmarcrpt.Policy{Domain: "far.test"}}}))
			w.n.Clock.Advance(24 * time.Hour)
			_, err := w.m.DMARCReport.SendDay(w.ctx(), outbox.SendOptions{})
			w.check(err)
		}},
		{[]string{"dns_findings{level=fault}"}, func(w *world) { // the lab's domains publish no names of addresses
			w.n.Clock.Advance(time.Hour)
			w.check(w.m.DNSWatch.Step(w.ctx()))
		}},
		{[]string{"incoming_decisions_total{action=deliver}", "junk_decisions_total{action=inbox}"}, func(w *world) { w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address()})) }},
		{[]string{"dnsbl_lookups_total{zone=list.test}"}, func(w *world) {
			w.m.Junk.Lists.Begin(w.ctx(), netip.MustParseAddr("8.8.8.8")).Result(w.ctx())
		}},
		{[]string{"filter_answers_total{filter=rspamd,result=silent}"}, func(w *world) { // nobody listens there
			w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address()}))
		}},
		{[]string{"filter_answers_total{filter=test,result=accepted}", "milter_changes_refused_total{filter=test}", "milter_seconds"}, func(w *world) {
			w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address()}))
		}},
		{[]string{"disk_free_octets"}, (*world).fillDisk},
		{[]string{"last_backup_timestamp_seconds"}, (*world).backUp},
		{[]string{"messages_refused_total{listener=mx,result=refused}"}, (*world).loop},
		{[]string{"dns_lookups_total{type=MX}", "queue_recipients{state=waiting}", "queue_oldest_age_seconds{state=waiting}"}, func(w *world) {
			w.deliver(delivery.FollowPolicy, lab.Publish{Zone: dns.Secure, Hosts: []lab.Host{{TLSA: lab.EEMismatch}}})
			w.n.Clock.Advance(time.Minute)
		}},
		{[]string{"store_octets"}, func(w *world) {
			w.check(w.m.Hand(w.ctx(), lab.Mail{From: "them@far.test", To: w.m.Address(), Body: dense(300_000)}))
		}},
		{[]string{"http_requests_total{purpose=tlsrpt,result=4xx}"}, func(w *world) { w.https(http.MethodPost, "/tlsrpt", "{}") }},
		{[]string{"http_requests_total{purpose=other,result=4xx}"}, func(w *world) { w.https(http.MethodGet, "/nothing", "") }},
		{[]string{"resolver_selftest", "dnssec_source", "build_info", "store_up"}, func(*world) {}}, // done at the start
	}
}

// dense are lines that cannot be compressed much.
func dense(lines int) string {
	var b strings.Builder
	octets := make([]byte, 54)
	for range lines {
		rand.Read(octets)
		b.WriteString(base64.StdEncoding.EncodeToString(octets) + "\r\n")
	}
	return b.String()
}

// constant are metrics that stay as they are where all is well.
var constant = map[string]bool{"waxwing_resolver_selftest": true, "waxwing_dnssec_source": true, "waxwing_build_info": true, "waxwing_store_up": true}

// elsewhere are metrics of what the world's server has not: the tests that move them.
var elsewhere = map[string]string{
	"waxwing_webhook_posts_total":                   "TestWebhooks",
	"waxwing_certificate_attempts_total":            "TestCertificateMetrics",
	"waxwing_certificate_expiry_timestamp_seconds":  "TestCertificateMetrics",
	"waxwing_dns_publish_sets":                      "TestMetrics of dnspublish",
	"waxwing_dns_publish_success_timestamp_seconds": "TestMetrics of dnspublish",
	"waxwing_host_key_stage":                        "TestCertificateMetrics",
}

// OPS-1: each metric that a server has is moved by what it says it counts,
// seen from outside. (waxwing_messages_accepted_total never moved: it waited for a verb
// that nobody sent.)
func TestEveryMetricMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	left := map[string]bool{} // of all that are registered
	for _, name := range registered(w.m.Metrics.Registry) {
		left[name] = true
	}
	for _, mv := range movers() {
		before := w.scrape()
		mv.move(w)
		for _, m := range mv.metrics {
			name, want := series("waxwing_" + m)
			delete(left, name)
			moved := func() bool {
				now := w.scrape()
				return now.sum(name, want) != before.sum(name, want) || constant[name] && now[name] != nil
			}
			// Two minutes: facts that are dropped are told when the others are written.
			for end := time.Now().Add(2 * time.Minute); !moved(); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s does not move", m)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if elsewhere[name] != "" {
			continue
		}
		t.Errorf("nothing is known to move %s: give it a mover", name)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	n, err := lab.NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	dir := t.TempDir()
	forger := miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer { // wants what is not done
		if cmd != 'E' {
			return nil
		}
		a := miltertest.Say(miltertest.Packet('h', miltertest.Texts("Received", "from nowhere")), miltertest.Packet('c'))
		return &a
	})
	extra := fmt.Sprintf(`[[listen]]
address = "127.0.0.1:9100"
kind = "metrics"
[[listen]]
address = "127.0.0.1:2525"
kind = "mx"
max_connections = 1
[[listen]]
address = "127.0.0.1:2626"
kind = "mx"
proxy_from = ["127.0.0.0/8"]
[[junk.dnsbl]]
zone = "list.test"
points = 4
[junk.rspamd]
url = "http://127.0.0.1:1"
[[milter]]
name = "test"
address = "%[3]s"
[limits]
max_recipients = 100
[[delivery.exceptions]]
domain = "except.test"
dane = "off"
reason = "this test"
until = "%[2]s"
[companion]
datagrams = "%[1]s/tlsrpt.sock"
policies = ["unix:%[1]s/policies.sock"]
`, dir, n.Clock.Now().AddDate(0, 1, 0).Format(time.DateOnly), forger.Addr)
	m, err := n.StartMachine(context.WithoutCancel(t.Context()), lab.MachineSpec{Domain: "sender.test", Account: "you", Dir: t.TempDir(), Extra: extra})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &world{t, n, m}
}

func (w *world) fillDisk() {
	w.check(os.WriteFile(filepath.Join(w.t.TempDir(), "large"), make([]byte, 16<<20), 0o600))
}

// loop hands in a message that has come round too often.
func (w *world) loop() {
	m := lab.Mail{From: "them@far.test", To: w.m.Address()}
	for i := range 200 {
		m.Header = append(m.Header, fmt.Sprintf("Received: from a by b; %d", i))
	}
	if err := w.m.Hand(w.ctx(), m); err == nil {
		w.t.Error("a loop was taken")
	}
}

// backUp does what docs/operating/backup.md says to who backs up by other means.
func (w *world) backUp() {
	w.check(os.WriteFile(filepath.Join(w.m.Dir, "data", "last-backup"), nil, 0o600))
}

func (w *world) ctx() context.Context { return w.t.Context() }

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// registered are the names of the metrics of our own.
func registered(r *prometheus.Registry) (names []string) {
	for _, d := range described(r) {
		names = append(names, d.name)
	}
	return names
}

// scraped is what Prometheus would read: the series by name, counts of histograms by
// the histogram's.
type scraped map[string][]sample

type sample struct {
	labels map[string]string
	v      float64
}

var (
	sampleLine = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? ([^ ]+)$`)
	labelPair  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

func (w *world) scrape() scraped {
	w.t.Helper()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + w.real("127.0.0.1:9100") + "/metrics")
	w.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.check(err)
	out := scraped{}
	for line := range strings.Lines(string(text)) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		w.check(err)
		x := sample{labels: map[string]string{}, v: v}
		for _, l := range labelPair.FindAllStringSubmatch(m[2], -1) {
			x.labels[l[1]] = l[2]
		}
		name := strings.TrimSuffix(m[1], "_count")
		out[name] = append(out[name], x)
	}
	return out
}

// series splits "name{label=value}".
func series(s string) (name string, want map[string]string) {
	name, rest, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
	want = map[string]string{}
	for _, l := range strings.Split(rest, ",") {
		if k, v, ok := strings.Cut(l, "="); ok {
			want[k] = v
		}
	}
	return name, want
}

func (s scraped) sum(name string, want map[string]string) (sum float64) {
	for _, v := range s[name] {
		fits := true
		for k, x := range want {
			fits = fits && v.labels[k] == x
		}
		if fits {
			sum += v.v
		}
	}
	return sum
}

// real is where the lab really listens for an address.
func (w *world) real(address string) string {
	w.t.Helper()
	nc, err := w.n.Network.DialContext(w.ctx(), "tcp", address)
	w.check(err)
	defer nc.Close()
	return nc.RemoteAddr().String()
}

// dial connects to a listener of the machine; the connection stays open.
func (w *world) dial(port uint16) net.Conn {
	w.t.Helper()
	host := netip.MustParseAddrPort("127.0.0.1:" + strconv.Itoa(int(port)))
	if port < 1000 {
		a := w.machineAddr()
		host = netip.AddrPortFrom(a, port)
	}
	nc, err := w.n.Network.DialContext(w.ctx(), "tcp", host.String())
	w.check(err)
	w.t.Cleanup(func() { nc.Close() })
	w.check(nc.SetDeadline(time.Now().Add(2 * time.Minute)))
	return nc
}

// machineAddr is that of the MX record.
func (w *world) machineAddr() netip.Addr {
	w.t.Helper()
	a, err := w.m.DNS.LookupA(w.ctx(), w.m.Hostname)
	w.check(err)
	return a.Records[0]
}

// talk says a line after the greeting, and reads the answer.
func (w *world) talk(line string) {
	w.t.Helper()
	nc := w.dial(25)
	r := bufio.NewReader(nc)
	for _, say := range []string{"", line} {
		_, err := io.WriteString(nc, say)
		w.check(err)
		_, err = r.ReadString('\n')
		w.check(err)
	}
}

// noTLS is a client that is told to begin TLS and goes on with SMTP.
func (w *world) noTLS() {
	w.t.Helper()
	nc := w.dial(25)
	r := bufio.NewReader(nc)
	for _, say := range []string{"", "EHLO far.test\r\n", "STARTTLS\r\n", "EHLO far.test\r\n"} {
		_, err := io.WriteString(nc, say)
		w.check(err)
		for line := "-"; len(line) < 4 || line[3] == '-'; {
			if line, err = r.ReadString('\n'); err != nil {
				return // the server has hung up
			}
		}
	}
}

// manyRecipients names one more than a message may have.
func (w *world) manyRecipients() {
	w.t.Helper()
	nc := w.dial(25)
	r := bufio.NewReader(nc)
	for i := range 104 {
		say := "RCPT TO:<" + w.m.Address() + ">\r\n"
		switch i {
		case 0:
			say = ""
		case 1:
			say = "HELO many.test\r\n"
		case 2:
			say = "MAIL FROM:<them@far.test>\r\n"
		}
		_, err := io.WriteString(nc, say)
		w.check(err)
		_, err = r.ReadString('\n')
		w.check(err)
	}
}

func (w *world) crowd() {
	for range 2 { // of which one is allowed
		_, err := bufio.NewReader(w.dial(2525)).ReadString('\n')
		w.check(err)
	}
}

func (w *world) badProxy() {
	nc := w.dial(2626)
	_, err := io.WriteString(nc, "EHLO nobody.test\r\n")
	w.check(err)
}

func (w *world) sendmail() {
	w.t.Helper()
	p := &sendmail.Program{Stdin: strings.NewReader("Subject: x\n\nhello\n"), Stdout: io.Discard, Stderr: io.Discard, Now: w.n.Clock.Now}
	w.check(p.Run(w.ctx(), []string{"-C", w.m.Sendmail, w.m.Address()}))
}

func (w *world) overLimit() {
	w.t.Helper()
	one := int64(1)
	w.check(w.m.Allowance.SetLimit(w.ctx(), w.m.Account, func(o allowance.Own) allowance.Own { o.Messages = &one; return o }))
	sent := 0 // what this server had reserved before the limit may still go out
	for w.m.Submit(w.ctx(), lab.Mail{From: w.m.Address(), To: w.m.Address()}) == nil {
		if sent++; sent > 200 {
			w.t.Fatal("messages beyond the limit are taken")
		}
	}
}

func (w *world) https(method, path, body string) *http.Response {
	w.t.Helper()
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.n.Root.Pool(), ServerName: w.m.Hostname.ASCII(), Time: w.n.Clock.Now}}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(w.ctx(), method, "https://"+w.real(netip.AddrPortFrom(w.machineAddr(), 443).String())+path, strings.NewReader(body))
	w.check(err)
	req.Host = "mta-sts.sender.test"
	req.Header.Set("Content-Type", "application/tlsrpt+json")
	resp, err := c.Do(req)
	w.check(err)
	resp.Body.Close()
	return resp
}

func (w *world) panic() {
	w.t.Helper()
	db := w.m.STSPublish.Store
	w.m.STSPublish.Store = nil
	if resp := w.https(http.MethodGet, "/.well-known/mta-sts.txt", ""); resp.StatusCode != http.StatusInternalServerError {
		w.t.Errorf("a request that panics: %s", resp.Status)
	}
	w.m.STSPublish.Store = db
}

// deliver sends a mail to a new domain.
func (w *world) deliver(need delivery.TLSNeed, p lab.Publish) {
	w.t.Helper()
	w.deliverTo(fmt.Sprintf("d%d.test", time.Now().UnixNano()), need, p)
}

func (w *world) deliverTo(domain string, need delivery.TLSNeed, p lab.Publish) {
	w.t.Helper()
	name := dns.MustParse(domain)
	_, err := w.n.Publish(w.ctx(), name, p, "mailto:reports@sender.test")
	w.check(err)
	w.check(w.m.Submit(w.ctx(), lab.Mail{From: w.m.Address(), To: "you@" + name.ASCII(), Need: need}))
}

// oldTLS delivers to a host that speaks TLS 1.0 only.
func (w *world) oldTLS() {
	w.t.Helper()
	addr := netip.MustParseAddr("127.99.0.1")
	now := w.n.Clock.Now()
	cert, err := w.n.Issuer.Leaf(now.Add(-time.Hour), now.Add(time.Hour), "mx.old.test")
	w.check(err)
	l, err := w.n.Network.Listen(netip.AddrPortFrom(addr, 25))
	w.check(err)
	srv := &smtpserver.Server{Hostname: "mx.old.test", Backend: sink{}, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}}
	go srv.Serve(w.ctx(), l)
	w.check(w.n.DNS.Set(dnstest.Zone{Name: "old.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A " + addr.String()}}))
	w.check(w.m.Submit(w.ctx(), lab.Mail{From: w.m.Address(), To: "you@old.test"}))
}

// sink takes all mail.
type sink struct{}

func (sink) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return sink{}, nil
}
func (sink) Mail(context.Context, smtp.MailParams) error { return nil }
func (sink) Rcpt(context.Context, smtp.RcptParams) error { return nil }
func (sink) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	_, err := io.Copy(io.Discard, r)
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "taken"), err
}
func (sink) Reset() {}
func (sink) Close() {}

// manyFacts are more than can wait to be written.
func (w *world) manyFacts() {
	res := &delivery.Result{Transport: "direct", Destination: delivery.Destination{MXSecure: true, Hosts: []delivery.Host{{}}}, Ended: w.n.Clock.Now()}
	jobs := make([]delivery.Job, 100_000)
	for i := range jobs { // before, so that the facts come faster than they can be written
		jobs[i].Domain = delivery.RecipientDomain{Name: dns.MustParse(fmt.Sprintf("f%d.test", i))}
	}
	for i := range jobs {
		w.m.Posture.Note(&jobs[i], res)
	}
}

func (w *world) datagram() {
	w.t.Helper()
	nc, err := net.Dial("unixgram", w.companion().Datagrams)
	w.check(err)
	defer nc.Close()
	b, err := os.ReadFile(filepath.Join("..", "companion", "testdata", "postfix-3.10.13-datagrams.txt"))
	w.check(err)
	first, _, _ := bytes.Cut(b, []byte("\n"))
	_, err = nc.Write(first)
	w.check(err)
}

func (w *world) companion() config.Companion {
	w.t.Helper()
	cfg, err := config.Load(w.m.Config)
	w.check(err)
	return cfg.Companion
}

func (w *world) lookup() {
	w.t.Helper()
	nc, err := net.Dial("unix", strings.TrimPrefix(w.companion().Policies[0], "unix:"))
	w.check(err)
	defer nc.Close()
	_, err = socketmap.Ask(nc, socketmap.Request{Map: companion.PlainMap, Key: "nowhere.test"})
	w.check(err)
}
