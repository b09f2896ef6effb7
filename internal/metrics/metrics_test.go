package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"waxwing/internal/delivery"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// TestAttempt (SES-12): every count is read off the attempt's values.
func TestAttempt(t *testing.T) {
	t.Parallel()
	m := New()
	failure := &delivery.TLSFailure{Type: tlsrpt.ValidationFailure, Reason: "dane-no-match"}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.Attempt(&delivery.Job{Envelope: delivery.Envelope{Need: delivery.RequireTLS}}, &delivery.Result{
		Transport: "direct", Started: start, Ended: start.Add(time.Second),
		Destination: delivery.Destination{MXSecure: true, Hosts: []delivery.Host{
			{DANE: delivery.DANE{State: delivery.DANEUsable}}, {DANE: delivery.DANE{State: delivery.DANEFailed}}}},
		Finding:  delivery.Finding{Policy: &mtasts.Policy{Mode: mtasts.ModeEnforce}},
		Decision: delivery.Decision{Ignored: map[delivery.Reason]int{"tlsa-unusable": 2}},
		Attempts: []delivery.Attempt{{Sessions: []delivery.Session{
			{TLSFailure: failure, DANE: &delivery.Verdict{Failure: failure}}, {Plaintext: true}}}},
		Recipients: []delivery.RecipientResult{
			{Outcome: delivery.Delivered, TLS: "dane"},
			{Outcome: delivery.Failed, Word: "requiretls-not-offered", PolicyFailure: true}},
	})
	m.Attempt(&delivery.Job{}, &delivery.Result{Transport: "direct",
		Destination: delivery.Destination{Fail: &delivery.Failure{Word: "null-mx"}},
		Finding:     delivery.Finding{Failure: &mtasts.Error{Word: mtasts.Fetch}}})
	m.Attempt(&delivery.Job{Local: true}, &delivery.Result{Transport: "local", Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}}})
	want := `
# HELP waxwing_dane_hosts_total Hosts of destinations by what their TLSA lookup came to (none, usable, unusable, failed).
# TYPE waxwing_dane_hosts_total counter
waxwing_dane_hosts_total{state="failed"} 1
waxwing_dane_hosts_total{state="usable"} 1
# HELP waxwing_destinations_total Destinations looked up for a delivery, by the DNSSEC state of their MX answer (secure, other) or the reason word of the failure.
# TYPE waxwing_destinations_total counter
waxwing_destinations_total{result="null-mx"} 1
waxwing_destinations_total{result="secure"} 1
# HELP waxwing_mtasts_lookups_total MTA-STS findings used for a delivery (none, testing, enforce, or the error word).
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
waxwing_recipients_settled_total{outcome="failed",tls="none",transport="direct"} 1
# HELP waxwing_requiretls_unsupported_total Recipients whose REQUIRETLS message failed or waits because a host could not honour it, by reason word.
# TYPE waxwing_requiretls_unsupported_total counter
waxwing_requiretls_unsupported_total{reason="requiretls-not-offered"} 1
# HELP waxwing_tls_failures_total Failed TLS sessions by result type of RFC 8460 and reason word.
# TYPE waxwing_tls_failures_total counter
waxwing_tls_failures_total{reason="dane-no-match",type="validation-failure"} 1
# HELP waxwing_tls_optional_ignored_total Findings set aside because the message said TLS-Required: No, by cause.
# TYPE waxwing_tls_optional_ignored_total counter
waxwing_tls_optional_ignored_total{cause="tlsa-unusable"} 2
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
}

// TestNil: a server without metrics counts nothing and does not fall over.
func TestNil(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.Attempt(&delivery.Job{}, &delivery.Result{})
	m.Accepted("mx")
	m.Report("in", "taken")
	m.SelfTest("signed", true)
}
