package intake

import (
	"strings"
	"testing"
	"time"

	"waxwing/tlsrpt"
)

const adviceDay = "2026-11-22"

// on makes lines of one reporter for the days that are so many days ago.
func on(reporter string, ago []int, change func(*Line)) []Line {
	today, _ := time.Parse(time.DateOnly, adviceDay)
	var out []Line
	for _, n := range ago {
		l := Line{Day: today.AddDate(0, 0, -n).Format(time.DateOnly), Domain: "example", Reporter: reporter, Source: "mail", Policy: tlsrpt.PolicySTS, Mode: "testing", OK: 5}
		if change != nil {
			change(&l)
		}
		out = append(out, l)
	}
	return out
}

func days(from, to int) []int {
	var out []int
	for d := from; d <= to; d++ {
		out = append(out, d)
	}
	return out
}

func failing(p tlsrpt.PolicyType, t tlsrpt.ResultType, host string) func(*Line) {
	return func(l *Line) {
		l.Policy, l.Failed = p, 1
		if p != tlsrpt.PolicySTS {
			l.Mode = ""
		}
		l.Failures = []Failure{{Type: t, MXHost: host, Sessions: 1}}
	}
}

func reasoned(p tlsrpt.PolicyType, t tlsrpt.ResultType, reason string) func(*Line) {
	return func(l *Line) {
		failing(p, t, "mx1")(l)
		l.Failures[0].Reason = reason
	}
}

// RPT-19.
func TestAdvise(t *testing.T) {
	t.Parallel()
	none := func(l *Line) { l.Policy, l.Mode = tlsrpt.PolicyNone, "" }
	enforce := func(l *Line) { l.Mode = "enforce" }
	for _, tt := range []struct {
		name  string
		lines []Line
		want  string // words, in order
		text  []string
	}{
		{"nothing", nil, "", nil},
		{"testing for 30 days, two senders", append(on("a", days(1, 31), nil), on("b", days(3, 9), nil)...), "enforce",
			[]string{"30 days without a failure", "the reports of 2 senders say: mode enforce is safe"}},
		{"testing for 30 days, one sender", on("a", days(1, 31), nil), "", nil},
		{"testing for 29 days", append(on("a", days(1, 29), nil), on("b", days(1, 29), nil)...), "", nil},
		{"testing, one failure in between", append(on("a", days(1, 31), nil), on("b", []int{20}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx"))...), "", nil},
		{"testing, failure before the 30 days", append(append(on("a", days(1, 31), nil), on("b", days(1, 2), nil)...), on("b", []int{40}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx"))...), "enforce", nil},
		{"enforce already", append(on("a", days(1, 31), enforce), on("b", days(1, 31), enforce)...), "", nil},
		{"no policy, 30 clean days", append(on("a", days(1, 31), none), on("b", days(1, 2), none)...), "publish", []string{"publish MTA-STS in mode testing"}},
		{"clean by https only: nobody vouches", append(on("a", days(1, 31), func(l *Line) { l.Source = "https" }), on("b", days(1, 31), func(l *Line) { l.Source = "https" })...), "", nil},
		{"certificate since three days", on("a", []int{1, 2, 3}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx2.example")), "certificate",
			[]string{"certificate of mx2.example is failing since 3 days (certificate-expired), the reports of 1 sender say. Renew"}},
		{"a gap of one day is no end", on("a", []int{1, 3}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx2")), "certificate", []string{"since 3 days"}},
		{"a gap of two days is", on("a", []int{1, 4}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx2")), "certificate", []string{"since yesterday"}},
		{"failures that are over", on("a", []int{5, 6}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx2")), "", nil},
		{"failures by https", on("a", []int{1}, func(l *Line) { failing(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure, "mx")(l); l.Source = "https" }), "", nil},
		{"TLSA mismatch", on("a", []int{0}, failing(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure, "mx1")), "tlsa",
			[]string{"TLSA records published for mx1 do not match what it serves, since today"}},
		{"TLSA unusable", on("a", []int{1}, failing(tlsrpt.PolicyTLSA, tlsrpt.TLSAInvalid, "mx1")), "tlsa", nil},
		{"validation failure under sts says too little", on("a", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.ValidationFailure, "mx1")), "", nil},
		{"DNSSEC", on("a", []int{1}, failing(tlsrpt.PolicyTLSA, tlsrpt.DNSSECInvalid, "")), "dnssec", []string{"DNSSEC fails for a host"}},
		{"STARTTLS", on("a", []int{1}, failing(tlsrpt.PolicyNone, tlsrpt.StartTLSNotSupported, "mx1")), "starttls", []string{"mx1 did not offer"}},
		{"policy host", append(on("a", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.STSPolicyFetchError, "")), on("b", []int{2}, failing(tlsrpt.PolicySTS, tlsrpt.STSWebPKIInvalid, "x"))...), "policy policy",
			[]string{"since yesterday (sts-policy-fetch-error), the reports of 1 sender say. Make https", "since 2 days (sts-webpki-invalid), the reports of 1 sender say. Give mta-sts"}},
		{"SES-16: two faults of one certificate", append(on("a", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx1")), on("b", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateHostMismatch, "mx1"))...),
			"certificate certificate", []string{"(certificate-expired), the reports of 1 sender say. Renew", "(certificate-host-mismatch), the reports of 1 sender say. Give the host"}},
		{"SES-16: the reason is ours", on("a", []int{1}, reasoned(tlsrpt.PolicySTS, tlsrpt.CertificateNotTrusted, "cert-weak-algorithm")), "certificate",
			[]string{"(certificate-not-trusted, cert-weak-algorithm), the reports of 1 sender say. Issue it anew."}},
		{"SES-16: no handshake is no mismatch", on("a", []int{1}, reasoned(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure, "tls-version TLS handshake: …")), "tls",
			[]string{"TLS with mx1 does not come about since yesterday (validation-failure, tls-version), the reports of 1 sender say: the host speaks no TLS version"}},
		{"SES-16: a host that the policy lacks", on("a", []int{1}, reasoned(tlsrpt.PolicySTS, tlsrpt.ValidationFailure, "sts-mx-mismatch")), "policy",
			[]string{"policy does not name mx1"}},
		{"SES-16: TLSA by reason", append(on("a", []int{1}, reasoned(tlsrpt.PolicyTLSA, tlsrpt.ValidationFailure, "dane-no-match")), on("b", []int{1}, failing(tlsrpt.PolicyTLSA, tlsrpt.DANERequired, "mx1"))...), "tlsa tlsa",
			[]string{"do not match what it serves, since yesterday (validation-failure, dane-no-match)", "insists on DANE"}},
		{"enforce and failing", on("a", []int{1}, func(l *Line) {
			failing(tlsrpt.PolicySTS, tlsrpt.CertificateHostMismatch, "mx1")(l)
			l.Mode = "enforce"
		}), "certificate held-by-mode", nil},
		{"enforce, and only the fetch fails: mail goes through", on("a", []int{1}, func(l *Line) {
			failing(tlsrpt.PolicySTS, tlsrpt.STSPolicyFetchError, "")(l)
			l.Mode = "enforce"
		}), "policy", []string{"https://mta-sts.example/.well-known/"}},
		{"two hosts", append(on("a", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx1")), on("a", []int{1}, failing(tlsrpt.PolicySTS, tlsrpt.CertificateExpired, "mx2"))...), "certificate certificate", nil},
	} {
		got := Advise(tt.lines, adviceDay)
		var words, texts []string
		for _, a := range got {
			words, texts = append(words, a.Word), append(texts, a.Text)
			if a.Domain != "example" || a.Text == "" || a.Urgent != (a.Word == AdviseTLSA || a.Word == AdviseDNSSEC || a.Word == AdviseHeld) {
				t.Errorf("%s: %+v", tt.name, a)
			}
		}
		if is := strings.Join(words, " "); is != tt.want {
			t.Errorf("%s: %q, want %q: %q", tt.name, is, tt.want, texts)
		}
		for _, w := range tt.text {
			if !strings.Contains(strings.Join(texts, "\n"), w) {
				t.Errorf("%s: %q lacks %q", tt.name, texts, w)
			}
		}
	}
	if got := Advise(on("a", days(1, 31), nil), "no day"); got != nil {
		t.Errorf("no day: %+v", got)
	}
}
