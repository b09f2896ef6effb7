// Package metrics counts what deliveries came to, for Prometheus (SES-12).
// Everything is read off the values of package delivery when an attempt is
// settled, so that a metric cannot say something else than the queue page or
// the report: the label values are the same reason words, and their number is bounded.
package metrics

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/disposition"
	"waxwing/internal/guard"
	"waxwing/internal/junk"
	"waxwing/internal/reason"
)

// Metrics is a set of counters with a registry of its own. Methods are safe
// for concurrent use; a nil *Metrics counts nothing.
type Metrics struct {
	Registry *prometheus.Registry

	destinations  *prometheus.CounterVec
	dane          *prometheus.CounterVec
	fallbacks     prometheus.Counter
	posture       prometheus.Counter
	requireTLS    *prometheus.CounterVec
	ignored       *prometheus.CounterVec
	exceptions    *prometheus.CounterVec
	sts           *prometheus.CounterVec
	tlsFailures   *prometheus.CounterVec
	recipients    *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	messages      *prometheus.CounterVec
	reports       *prometheus.CounterVec
	dmarcReports  *prometheus.CounterVec
	posts         *prometheus.CounterVec
	overLimit     *prometheus.CounterVec
	incoming      *prometheus.CounterVec
	junk          *prometheus.CounterVec
	blocklists    *prometheus.CounterVec
	filters       *prometheus.CounterVec
	milterChanges *prometheus.CounterVec
	milterSeconds *prometheus.HistogramVec
	logins        *prometheus.CounterVec
	proxies       *prometheus.CounterVec
	resolverState *prometheus.GaugeVec
	dnssecSource  *prometheus.GaugeVec
	dnsFindings   *prometheus.GaugeVec
	disk          prometheus.Gauge
	backup        prometheus.Gauge
	clients       *clients
	outbound      outbound
	hosted        hosted
	certificates  *certificates
	machine       *machine
	panics        *prometheus.CounterVec
}

// New returns fresh counters, registered together with those of the Go runtime
// and the process.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Registry:     prometheus.NewRegistry(),
		destinations: counter("waxwing_destinations_total", "Destinations looked up for a delivery, by the DNSSEC state of their MX answer (secure, other) or the reason word of the failure.", "result"),
		dane:         counter("waxwing_dane_hosts_total", "Hosts of destinations by what their TLSA lookup came to (none, usable, unusable, failed).", "state"),
		fallbacks:    prometheus.NewCounter(prometheus.CounterOpts{Name: "waxwing_plaintext_fallbacks_total", Help: "Plaintext retries after a TLS failure, where no policy forbade them."}),
		posture:      prometheus.NewCounter(prometheus.CounterOpts{Name: "waxwing_posture_dropped_total", Help: "Facts about recipient domains that were lost: too many waited to be written, or writing failed again and again."}),
		requireTLS:   counter("waxwing_requiretls_unsupported_total", "Recipients whose REQUIRETLS message failed or waits because a host could not honour it, by reason word.", "reason"),
		exceptions:   counter("waxwing_delivery_exceptions_total", "Attempts for which an operator's exception set transport security aside, by what.", "what"),
		ignored:      counter("waxwing_tls_optional_ignored_total", "Findings set aside because the message said TLS-Required: No, by cause.", "cause"),
		sts:          counter("waxwing_mtasts_lookups_total", "Lookups of a domain's MTA-STS for a delivery, by what was found (none, testing, enforce, or the error word).", "result"),
		tlsFailures:  counter("waxwing_tls_failures_total", "Failed TLS sessions by result type of RFC 8460 and reason word.", "type", "reason"),
		recipients:   counter("waxwing_recipients_settled_total", "Recipients settled by an attempt, by transport, outcome and how the connection was secured.", "transport", "outcome", "tls"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waxwing_delivery_seconds", Help: "Duration of delivery attempts, by transport, how the connection was secured, result (delivered, deferred, failed) and number of the attempt (1, 2-4, 5+).",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 11)}, []string{"transport", "tls", "result", "attempt"}),
		messages:      counter("waxwing_messages_accepted_total", "Messages answered with 250, by listener kind.", "listener"),
		reports:       counter("waxwing_tlsrpt_reports_total", "TLS reports by direction (in, out) and result.", "direction", "result"),
		dmarcReports:  counter("waxwing_dmarc_reports_total", "DMARC reports by direction (in, out) and result.", "direction", "result"),
		posts:         counter("waxwing_tlsrpt_posts_total", "Requests to post a TLS report by HTTPS, by the status that answered them.", "status"),
		overLimit:     counter("waxwing_account_limit_refusals_total", "Refusals of mail beyond what an account may send in a day, by limit (messages, recipients).", "limit"),
		junk:          counter("waxwing_junk_decisions_total", "Messages from other servers by where they went, once for each account: inbox, junk, reject.", "action"),
		blocklists:    counter("waxwing_dnsbl_lookups_total", "Questions to DNS blocklists about clients, by list and answer: listed, clear, failed.", "zone", "result"),
		filters:       counter("waxwing_filter_answers_total", "Messages about which filters were asked, by filter (rspamd, or the name of a milter) and answer: silent; of Rspamd also answered, too-large; of milters accepted, refused, deferred, discarded, quarantined.", "filter", "result"),
		milterChanges: counter("waxwing_milter_changes_refused_total", "Changes of messages that milters asked for and that were not made, by milter; the log says why.", "filter"),
		milterSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waxwing_milter_seconds", Help: "For how long milters were waited for about one message, by milter.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"filter"}),
		incoming:      counter("waxwing_incoming_decisions_total", "Messages from other servers by what was decided about who sent them (deliver, junk, reject, defer) and the reason word.", "action", "reason"),
		logins:        counter("waxwing_logins_total", "Logins by mechanism and result (ok, failed, denied, broken-off, refused, busy, error).", "mechanism", "result"),
		proxies:       counter("waxwing_proxy_refused_total", "Connections of load balancers closed for want of a good PROXY header, by listener kind and reason (garbage, timeout, lost, empty, limit-pending).", "listener", "reason"),
		resolverState: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_resolver_selftest", Help: "1 where the last self-test of the resolver passed, by test."}, []string{"test"}),
		dnssecSource:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_dnssec_source", Help: "1 for whose word on DNSSEC counts: validate (Waxwing proves answers itself), trust (the AD bit of a trusted resolver), none (nobody's: no DANE)."}, []string{"source"}),
	}
	m.dnsFindings = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waxwing_dns_findings", Help: "What the last checks of all hosted domains' DNS found, by level (fault, unknown, advice)."}, []string{"level"})
	m.disk = prometheus.NewGauge(prometheus.GaugeOpts{Name: "waxwing_disk_free_octets", Help: "Room left on the disk of data_dir. Under limits.disk_reserve mail is answered 452."})
	m.backup = prometheus.NewGauge(prometheus.GaugeOpts{Name: "waxwing_last_backup_timestamp_seconds", Help: "When the last backup was made: the time of the file last-backup in data_dir, in seconds since 1970; 0: never."})
	m.panics = counter("waxwing_panics_total", "Panics that were contained, by the area whose work panicked.", "area")
	for _, k := range guard.Areas() {
		m.panics.WithLabelValues(string(k.Area)) // 0 from the start, so that the first one shows as an increase
	}
	m.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.destinations, m.dane, m.fallbacks, m.posture, m.requireTLS, m.ignored, m.exceptions, m.sts, m.tlsFailures, m.recipients, m.duration, m.messages, m.reports, m.dmarcReports, m.posts, m.overLimit, m.incoming, m.junk, m.blocklists, m.filters, m.milterChanges, m.milterSeconds, m.logins, m.proxies, m.resolverState, m.dnssecSource, m.dnsFindings, m.disk, m.backup, m.panics)
	m.clients = newClients(m.Registry)
	m.outbound = newOutbound(m.Registry)
	m.hosted = newHosted(m.Registry)
	m.certificates = newCertificates(m.Registry)
	m.machine = newMachine(m.Registry)
	return m
}

// DiskFree notes how much room the disk has now.
func (m *Metrics) DiskFree(octets int64) { m.disk.Set(float64(octets)) }

// LastBackup notes when the last backup was made (OPS-1).
func (m *Metrics) LastBackup(at time.Time) { m.backup.Set(float64(at.UnixNano()) / 1e9) }

// Attempt counts one settled attempt.
func (m *Metrics) Attempt(job *delivery.Job, res *delivery.Result) {
	if m == nil {
		return
	}
	tls := "none"
	for _, r := range res.Recipients {
		if r.Outcome == delivery.Delivered && r.TLS != "" {
			tls = r.TLS
		}
		m.recipients.WithLabelValues(string(res.Transport), r.Outcome.String(), cmp.Or(r.TLS, "none")).Inc()
		if job.Need == delivery.RequireTLS && r.Outcome != delivery.Delivered && r.PolicyFailure {
			m.requireTLS.WithLabelValues(label(r.Word)).Inc()
		}
	}
	m.duration.WithLabelValues(string(res.Transport), tls, attemptResult(res.Recipients), attemptNumber(job)).Observe(max(0, res.Ended.Sub(res.Started).Seconds()))
	if job.Local {
		m.hosted.settled(res)
		for i := range res.Visits {
			for j := range res.Visits[i].Sessions {
				m.outbound.dialled("lmtp", &res.Visits[i].Sessions[j])
			}
		}
		return
	}
	m.destination(&res.Destination)
	if res.Finding.Looked {
		m.sts.WithLabelValues(stsResult(res.Finding)).Inc()
	}
	for _, f := range res.Decision.SetAside {
		m.exceptions.WithLabelValues(string(f.Word)).Inc()
	}
	for cause, n := range res.Decision.Ignored {
		m.ignored.WithLabelValues(string(cause)).Add(float64(n))
	}
	for i := range res.Visits {
		a := &res.Visits[i]
		m.waived(a)
		for j := range a.Sessions {
			m.session(a.Sessions[j])
			m.outbound.dialled(string(res.Transport), &a.Sessions[j])
		}
	}
}

func (m *Metrics) destination(d *delivery.Destination) {
	result := "other"
	switch {
	case d.Fail != nil:
		result = string(d.Fail.Word)
	case d.MXSecure:
		result = dns.Secure.String()
	}
	m.destinations.WithLabelValues(result).Inc()
	for _, h := range d.Hosts {
		m.dane.WithLabelValues(h.DANE.State.String()).Inc()
	}
}

func (m *Metrics) session(s delivery.Session) {
	if s.Reused {
		return // its TLS was counted when it was made
	}
	if s.Plaintext {
		m.fallbacks.Inc()
	}
	seen := map[*delivery.TLSFailure]bool{}
	for _, f := range failures(s) {
		if f != nil && !seen[f] {
			seen[f] = true
			m.tlsFailures.WithLabelValues(string(f.Type), label(f.Word)).Inc()
		}
	}
}

func failures(s delivery.Session) []*delivery.TLSFailure {
	all := []*delivery.TLSFailure{s.TLSFailure}
	if s.PKIX != nil {
		all = append(all, s.PKIX.Failure)
	}
	if s.DANE != nil {
		all = append(all, s.DANE.Failure)
	}
	return all
}

func stsResult(f delivery.Finding) string {
	switch {
	case f.Failure != nil && f.Policy == nil:
		return string(f.Failure.Word)
	case f.Policy == nil:
		return "none"
	}
	return string(f.Policy.Mode)
}

// Panicked counts a panic that was contained (OPS-9).
func (m *Metrics) Panicked(a guard.Area) {
	if m != nil {
		m.panics.WithLabelValues(string(a)).Inc()
	}
}

// Accepted counts a message answered with 250.
func (m *Metrics) Accepted(listener string) {
	if m != nil {
		m.messages.WithLabelValues(listener).Inc()
	}
}

// Incoming counts a decision about who sent a message.
func (m *Metrics) Incoming(d disposition.Decision) {
	if m != nil {
		m.incoming.WithLabelValues(d.Action.String(), string(d.Word)).Inc()
	}
}

// Weighed counts a decision about junk.
func (m *Metrics) Weighed(d junk.Decision) {
	if m != nil {
		m.junk.WithLabelValues(d.Action.String()).Inc()
	}
}

// Listed counts an answer of a DNS blocklist.
func (m *Metrics) Listed(zone, result string) {
	if m != nil {
		m.blocklists.WithLabelValues(zone, result).Inc()
	}
}

// Filtered counts an answer of a filter.
func (m *Metrics) Filtered(filter, result string) {
	if m != nil {
		m.filters.WithLabelValues(filter, result).Inc()
	}
}

// Screened counts what came of a milter and a message.
func (m *Metrics) Screened(milter, result string, notDone int, took time.Duration) {
	if m == nil {
		return
	}
	m.filters.WithLabelValues(milter, result).Inc()
	m.milterSeconds.WithLabelValues(milter).Observe(took.Seconds())
	if notDone > 0 {
		m.milterChanges.WithLabelValues(milter).Add(float64(notDone))
	}
}

// OverLimit counts a refusal for what the account has sent today.
func (m *Metrics) OverLimit(limit string) {
	if m != nil {
		m.overLimit.WithLabelValues(limit).Inc()
	}
}

// Login counts a login that was tried. Mechanism is one that is offered.
func (m *Metrics) Login(mechanism, result string) {
	if m != nil {
		m.logins.WithLabelValues(mechanism, result).Inc()
	}
}

// ProxyRefused counts a connection of a load balancer that was closed for its
// PROXY header.
func (m *Metrics) ProxyRefused(listener, reason string) {
	if m != nil {
		m.proxies.WithLabelValues(listener, reason).Inc()
	}
}

// PostureDropped counts facts about recipient domains that were lost.
func (m *Metrics) PostureDropped(n int) {
	if m != nil {
		m.posture.Add(float64(n))
	}
}

// Posted counts one request to post a TLS report.
func (m *Metrics) Posted(status int) {
	if m != nil {
		m.posts.WithLabelValues(strconv.Itoa(status)).Inc()
	}
}

// Report counts a report that was sent or came in, by the noun of its sort: tlsrpt or dmarc.
func (m *Metrics) Report(noun, direction, result string) {
	switch {
	case m == nil:
	case noun == "dmarc":
		m.dmarcReports.WithLabelValues(direction, result).Inc()
	default:
		m.reports.WithLabelValues(direction, result).Inc()
	}
}

// DNSFindings notes how many findings of a level there are (DNS-W).
func (m *Metrics) DNSFindings(level string, n int) {
	if m != nil {
		m.dnsFindings.WithLabelValues(level).Set(float64(n))
	}
}

// SelfTest records one of the resolver's self-tests (DNS-6).
func (m *Metrics) SelfTest(test string, ok bool) {
	if m == nil {
		return
	}
	v := 0.0
	if ok {
		v = 1
	}
	m.resolverState.WithLabelValues(test).Set(v)
}

// DNSSECSource records whose word on DNSSEC counts (VAL-2).
func (m *Metrics) DNSSECSource(source dns.Source) {
	if m == nil {
		return
	}
	for _, s := range []dns.Source{dns.SourceOwn, dns.SourceResolver, dns.SourceNone} {
		v := 0.0
		if s == source {
			v = 1
		}
		m.dnssecSource.WithLabelValues(string(s)).Set(v)
	}
}

// label is the word of a reason as a label. Hosts choose the codes that they answer: their
// classes are few.
func label(w reason.Word) string {
	if code, ok := w.StartTLSCode(); ok {
		return strings.TrimSuffix(string(w), strconv.Itoa(code)) + strconv.Itoa(code/100) + "xx"
	}
	return string(w)
}
