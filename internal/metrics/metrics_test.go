package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// TestAttempt (SES-12): every count is read off the attempt's values.
func TestAttempt(t *testing.T) {
	t.Parallel()
	m := New()
	failure := &delivery.TLSFailure{Type: tlsrpt.ValidationFailure, Word: "dane-no-match"}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.Attempt(&delivery.Job{Envelope: delivery.Envelope{Need: delivery.RequireTLS}}, &delivery.Result{
		Transport: "direct", Started: start, Ended: start.Add(time.Second),
		Destination: delivery.Destination{MXSecure: true, Hosts: []delivery.Host{
			{DANE: delivery.DANE{State: delivery.DANEUsable}}, {DANE: delivery.DANE{State: delivery.DANEFailed}}}},
		Finding:  delivery.Finding{Looked: true, Policy: &mtasts.Policy{Mode: mtasts.ModeEnforce}},
		Decision: delivery.Decision{Ignored: map[reason.Word]int{"tlsa-unusable": 2}},
		Visits: []delivery.Visit{{Sessions: []delivery.Session{
			{Connected: true, TLSFailure: failure, DANE: &delivery.Verification{Failure: failure}}, {Connected: true, Plaintext: true}}}},
		Recipients: []delivery.RecipientResult{
			{Outcome: delivery.Delivered, TLS: "dane"},
			{Outcome: delivery.Failed, Word: "requiretls-not-offered", PolicyFailure: true}},
	})
	m.Attempt(&delivery.Job{}, &delivery.Result{Transport: "direct",
		Destination: delivery.Destination{Fail: &delivery.Failure{Word: "null-mx"}},
		Finding:     delivery.Finding{Looked: true, Failure: &mtasts.Error{Word: reason.STSFetch}}})
	// STS-14: where MTA-STS was not looked at, nothing is counted.
	m.Attempt(&delivery.Job{}, &delivery.Result{Transport: "relay", Recipients: []delivery.RecipientResult{{Outcome: delivery.Deferred}},
		Visits: []delivery.Visit{{Sessions: []delivery.Session{
			{Err: &delivery.Failure{Word: "connect-refused"}}, {Err: &delivery.Failure{Word: "connect-timeout"}}, {Err: &delivery.Failure{Word: "connect-unreachable"}},
			{Err: &delivery.Failure{Word: "canceled"}}, {Err: &delivery.Failure{Word: "connect-failed"}}, {Connected: true, Reused: true},
			{Connected: true, TLS: &delivery.TLSFacts{Weak: &delivery.TLSFailure{Word: "tls-version"}}}}}}})
	// SES-15: each cause once a session, where a plan without TLSOptional would have stopped.
	m.Attempt(&delivery.Job{Envelope: delivery.Envelope{Recipients: []delivery.Recipient{{Attempts: 4}}}}, &delivery.Result{Transport: "direct", Visits: []delivery.Visit{{
		Plan:     delivery.Plan{Waived: delivery.Demands{TLS: true, DANE: true}},
		Sessions: []delivery.Session{{Connected: true, TLS: &delivery.TLSFacts{}, DANE: &delivery.Verification{Failure: failure}, PKIX: &delivery.Verification{Failure: failure}}}}}})
	m.Attempt(&delivery.Job{Local: true}, &delivery.Result{Transport: "local", Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}}})
	want := `
# HELP waxwing_connections_total Connections dialled for a delivery, by transport and result (ok, refused, timeout, unreachable, canceled, error).
# TYPE waxwing_connections_total counter
waxwing_connections_total{result="canceled",transport="relay"} 1
waxwing_connections_total{result="error",transport="relay"} 1
waxwing_connections_total{result="ok",transport="direct"} 3
waxwing_connections_total{result="ok",transport="relay"} 1
waxwing_connections_total{result="refused",transport="relay"} 1
waxwing_connections_total{result="timeout",transport="relay"} 1
waxwing_connections_total{result="unreachable",transport="relay"} 1
# HELP waxwing_dane_hosts_total Hosts of destinations by what their TLSA lookup came to (none, usable, unusable, failed).
# TYPE waxwing_dane_hosts_total counter
waxwing_dane_hosts_total{state="failed"} 1
waxwing_dane_hosts_total{state="usable"} 1
# HELP waxwing_destinations_total Destinations looked up for a delivery, by the DNSSEC state of their MX answer (secure, other) or the reason word of the failure.
# TYPE waxwing_destinations_total counter
waxwing_destinations_total{result="null-mx"} 1
waxwing_destinations_total{result="other"} 2
waxwing_destinations_total{result="secure"} 1
# HELP waxwing_mtasts_lookups_total Lookups of a domain's MTA-STS for a delivery, by what was found (none, testing, enforce, or the error word).
# TYPE waxwing_mtasts_lookups_total counter
waxwing_mtasts_lookups_total{result="enforce"} 1
waxwing_mtasts_lookups_total{result="fetch"} 1
# HELP waxwing_plaintext_fallbacks_total Plaintext retries after a TLS failure, where no policy forbade them.
# TYPE waxwing_plaintext_fallbacks_total counter
waxwing_plaintext_fallbacks_total 1
# HELP waxwing_posture_dropped_total Facts about recipient domains that were lost: too many waited to be written, or writing failed again and again.
# TYPE waxwing_posture_dropped_total counter
waxwing_posture_dropped_total 7
# HELP waxwing_recipients_settled_total Recipients settled by an attempt, by transport, outcome and how the connection was secured.
# TYPE waxwing_recipients_settled_total counter
waxwing_recipients_settled_total{outcome="delivered",tls="dane",transport="direct"} 1
waxwing_recipients_settled_total{outcome="delivered",tls="none",transport="local"} 1
waxwing_recipients_settled_total{outcome="deferred",tls="none",transport="relay"} 1
waxwing_recipients_settled_total{outcome="failed",tls="none",transport="direct"} 1
# HELP waxwing_requiretls_unsupported_total Recipients whose REQUIRETLS message failed or waits because a host could not honour it, by reason word.
# TYPE waxwing_requiretls_unsupported_total counter
waxwing_requiretls_unsupported_total{reason="requiretls-not-offered"} 1
# HELP waxwing_tls_failures_total Failed TLS sessions by result type of RFC 8460 and reason word.
# TYPE waxwing_tls_failures_total counter
waxwing_tls_failures_total{reason="dane-no-match",type="validation-failure"} 2
# HELP waxwing_tls_optional_ignored_total Findings set aside because the message said TLS-Required: No, by cause.
# TYPE waxwing_tls_optional_ignored_total counter
waxwing_tls_optional_ignored_total{cause="dane-no-match"} 1
waxwing_tls_optional_ignored_total{cause="tlsa-unusable"} 2
# HELP waxwing_tls_weak_sessions_total TLS sessions that were taken although they prove nothing, because plaintext would have been taken too, by reason word.
# TYPE waxwing_tls_weak_sessions_total counter
waxwing_tls_weak_sessions_total{reason="tls-version"} 1
`
	m.PostureDropped(7)
	names := []string{}
	for line := range strings.SplitSeq(want, "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	// SES-15: result and number of the attempt.
	labels := map[string]uint64{}
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			if f.GetName() != "waxwing_delivery_seconds" {
				continue
			}
			key := ""
			for _, l := range x.GetLabel() {
				key += l.GetName() + "=" + l.GetValue() + " "
			}
			labels[key] = x.GetHistogram().GetSampleCount()
		}
	}
	for key, n := range map[string]uint64{
		"attempt=1 result=delivered tls=dane transport=direct ": 1, "attempt=1 result=delivered tls=none transport=local ": 1, "attempt=1 result=deferred tls=none transport=relay ": 1,
		"attempt=1 result=failed tls=none transport=direct ": 1, "attempt=5+ result=failed tls=none transport=direct ": 1,
	} {
		if labels[key] != n {
			t.Errorf("%s: %d of %d: %v", key, labels[key], n, labels)
		}
	}
	for before, want := range map[int]string{0: "1", 1: "2-4", 3: "2-4", 4: "5+", 40: "5+"} {
		if got := attemptNumber(&delivery.Job{Envelope: delivery.Envelope{Recipients: []delivery.Recipient{{}, {Attempts: before}}}}); got != want {
			t.Errorf("after %d attempts: %s", before, got)
		}
	}
}

// TestNil: a server without metrics counts nothing and does not fall over.
func TestNil(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.Attempt(&delivery.Job{}, &delivery.Result{})
	m.Accepted("mx")
	m.Report("tlsrpt", "in", "taken")
	m.PolicyFetched("ok", time.Second)
	m.SelfTest("signed", true)
	m.DNSSECSource("trust")
	m.DNSFindings("fault", 1)
}
